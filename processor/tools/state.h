/* state: the command `weir-processor state`: what the limiter knew as of an event or a time: per
 * policy and key the units in the window, which events fill it, when the next unit fits. Reads
 * only. */
#ifndef WEIR_PROCESSOR_TOOLS_STATE_H
#define WEIR_PROCESSOR_TOOLS_STATE_H

/* argv[0] is "state". Returns the exit code. */
int state_main(int argc, char **argv);

#endif
