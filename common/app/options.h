/* options: the command line of all three programs (getopt_long underneath), and what every command
 * shares.
 *
 * A command is a table of options; --help, -h, --version, --log-level and --log-format are added to
 * each. Usage errors say what is wrong and name `PROGRAM COMMAND --help`; exit 64.
 */
#ifndef WEIR_COMMON_APP_OPTIONS_H
#define WEIR_COMMON_APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/wire/endpoint.h"

#define WEIR_VERSION "0.1.0"

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_UINT, OPTION_LIST };
enum { OPTION_LIST_MAX = 64 };

struct option_list {
    const char *items[OPTION_LIST_MAX];
    uint32_t count;
};

struct option_spec {
    const char *name;     /* "store" */
    const char *argument; /* "DIR"; NULL for a flag */
    const char *help;     /* one line */
    enum option_kind kind;
    void *target; /* bool *, const char **, uint64_t *, struct option_list * */
    uint64_t max; /* OPTION_UINT: largest value; 0: UINT64_MAX */
};

struct command {
    const char *name;     /* "run" */
    const char *operands; /* "FILE|-" or NULL */
    const char *help;     /* one line */
    const struct option_spec *options;
    uint32_t option_count;
    int operands_min, operands_max;
};

/* Parses argv, where argv[0] is the command's name. Sets up the logger. STATUS_OK: *ret_operands
 * points at the operands (both results may be NULL where the command takes none). STATUS_END:
 * --help or --version was printed, exit 0. STATUS_USAGE: the message was printed, exit 64. Options
 * may be shortened nowhere and follow operands anywhere; the last of several wins, but for lists.
 * Texts point into argv. */
MUST_USE enum status options_parse(const char *program, const struct command *command, int argc,
                                   char **argv, char ***ret_operands, int *ret_operand_count);

/* Prints a usage error of a command ("--store is missing") and where to read more; returns
 * STATUS_USAGE. For what the table cannot say. */
MUST_USE enum status options_usage(const char *program, const struct command *command,
                                   const char *format, ...) PRINTF_LIKE(3, 4);

/* The options that locate sockets, to put into a table: */
#define OPTIONS_ENDPOINTS(e)                                                                        \
    {"run-dir",                                                                                     \
     "DIR",                                                                                         \
     "folder of the sockets (default $XDG_RUNTIME_DIR/weir or /tmp/weir-UID)",                      \
     OPTION_TEXT,                                                                                   \
     &(e).run_dir,                                                                                  \
     0},                                                                                            \
        {"ingest", "ENDPOINT", "override where submissions go", OPTION_TEXT, &(e).ingest, 0},       \
        {"events", "ENDPOINT", "override where events are published", OPTION_TEXT, &(e).events, 0}, \
    {                                                                                               \
        "control", "ENDPOINT", "override where requests go", OPTION_TEXT, &(e).control, 0           \
    }

/* A program is a list of commands. */
struct program_command {
    const char *name;
    const char *help;
    int (*main)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
};
/* Picks the command; prints help, version or a usage error. Returns the exit code. */
int program_main(const char *program, const char *summary, const struct program_command *commands,
                 uint32_t command_count, int argc, char **argv);

#endif
