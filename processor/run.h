/* run: the command `weir-processor run`: starts everything in order, waits, stops everything in
 * order. */
#ifndef WEIR_PROCESSOR_RUN_H
#define WEIR_PROCESSOR_RUN_H

/* argv[0] is "run". Returns the exit code. */
int run_main(int argc, char **argv);

#endif
