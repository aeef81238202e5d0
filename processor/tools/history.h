/* history: the command `weir-processor history`: prints a range of one stream of the log as
 * CloudEvents JSON Lines, and what comes on top of it with --follow. Reads only. */
#ifndef WEIR_PROCESSOR_TOOLS_HISTORY_H
#define WEIR_PROCESSOR_TOOLS_HISTORY_H

/* argv[0] is "history". Returns the exit code. */
int history_main(int argc, char **argv);

#endif
