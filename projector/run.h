/* run: `weir-projector run`. */
#ifndef WEIR_PROJECTOR_RUN_H
#define WEIR_PROJECTOR_RUN_H

/* argv[0] is the command's name. Returns the exit code. */
int run_main(int argc, char **argv);

#endif
