/* lifecycle: signals, readiness and the end of a program.
 *
 * SIGINT and SIGTERM make a descriptor readable, so that poll loops wake and ask
 * lifecycle_stopping; after that answer a second one ends the process at once (130 in a shell, 143
 * for SIGTERM). SIGPIPE is ignored. A program prints "ready" as a log line when it serves.
 * lifecycle_stopping and lifecycle_stop may be called from any thread.
 */
#ifndef WEIR_COMMON_APP_LIFECYCLE_H
#define WEIR_COMMON_APP_LIFECYCLE_H

#include <stdbool.h>

#include "common/base/status.h"

/* Blocks the two signals in all threads to come and reads them through a signalfd. Call before any
 * thread starts. */
MUST_USE enum status lifecycle_start(struct detail *ret_detail);
/* Readable once a stop was asked for; stays readable. */
int lifecycle_fd(void);
/* True once a stop was asked for (reads the descriptor without waiting). */
bool lifecycle_stopping(void);
/* Asks for a stop from inside. */
void lifecycle_stop(void);

/* Prints "PROGRAM: what" to stderr for a failed start and returns the exit code for `status`. */
int lifecycle_fail(const char *program, enum status status, const struct detail *detail);

#endif
