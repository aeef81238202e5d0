/* fold_lines: `weir-projector fold [VIEW …]`: views over JSON Lines on standard input, no sockets.
 */
#ifndef WEIR_PROJECTOR_FOLD_LINES_H
#define WEIR_PROJECTOR_FOLD_LINES_H

/* argv[0] is the command's name. Returns the exit code. */
int fold_main(int argc, char **argv);

#endif
