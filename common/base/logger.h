/* logger: levelled, structured log lines on stderr, one line per call, logfmt or JSON.
 *
 * Only shells log; cores and libraries return statuses. A line has a fixed message and key=value
 * fields, so that it can be searched and parsed. Thread-safe (one write(2) per line).
 *
 *   time=2026-01-02T03:04:05.000000006Z level=warn program=weir-processor msg="torn batch" file=…
 */
#ifndef WEIR_COMMON_BASE_LOGGER_H
#define WEIR_COMMON_BASE_LOGGER_H

#include <stdbool.h>

#include "common/base/status.h"

enum logger_level { LOGGER_ERROR, LOGGER_WARN, LOGGER_INFO, LOGGER_DEBUG };
enum logger_format { LOGGER_LOGFMT, LOGGER_JSON };

/* Set once, before any thread starts. `program` must outlive the process's logging. */
void logger_setup(const char *program, enum logger_level level, enum logger_format format);
/* "error", "warn", "info", "debug"; false for anything else. */
bool logger_level_parse(const char *text, enum logger_level *ret_level);
bool logger_format_parse(const char *text, enum logger_format *ret_format);

/* `fields` is a printf format of space-separated key=value pairs, values that may hold spaces
 * written as key="%s"; the logger escapes control characters, quotes and backslashes. NULL for
 * none. At most 1,024 bytes of fields and 256 of message; longer is cut. Keeps errno. */
void logger_write(enum logger_level level, const char *message, const char *fields, ...)
    PRINTF_LIKE(3, 4);

#define log_error(...) logger_write(LOGGER_ERROR, __VA_ARGS__)
#define log_warn(...)  logger_write(LOGGER_WARN, __VA_ARGS__)
#define log_info(...)  logger_write(LOGGER_INFO, __VA_ARGS__)
#define log_debug(...) logger_write(LOGGER_DEBUG, __VA_ARGS__)

#endif
