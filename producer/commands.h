/* commands: one function per command of weir-producer, each in the file of its name. To add one,
 * write its file, declare it here and name it in main.c.
 */
#ifndef WEIR_PRODUCER_COMMANDS_H
#define WEIR_PRODUCER_COMMANDS_H

#define PRODUCER_PROGRAM "weir-producer"

/* argv[0] is the command's name; each returns the exit code. */
int send_main(int argc, char **argv);
int generate_main(int argc, char **argv);
int latency_main(int argc, char **argv);
int inject_main(int argc, char **argv);

#endif
