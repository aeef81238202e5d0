/* verify: the command `weir-processor verify`: reads a whole log, checks every byte, proves every
 * window and decides everything again. Changes nothing, and may be used on a store that a processor
 * holds.
 */
#ifndef WEIR_PROCESSOR_TOOLS_VERIFY_H
#define WEIR_PROCESSOR_TOOLS_VERIFY_H

/* argv[0] is "verify". Returns the exit code. */
int verify_main(int argc, char **argv);

#endif
