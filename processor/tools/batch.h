/* batch: the command `weir-processor batch`: a recorded file decided in bulk by its events' own
 * times, offline, into a store that nobody else holds.
 */
#ifndef WEIR_PROCESSOR_TOOLS_BATCH_H
#define WEIR_PROCESSOR_TOOLS_BATCH_H

/* argv[0] is "batch". Returns the exit code. */
int batch_main(int argc, char **argv);

#endif
