/* status: the one table of outcomes that fallible functions return.
 *
 * A function that can fail returns an `enum status` (must be used) and leaves its `ret_…` arguments
 * untouched on failure. Where a person will read the failure it also fills a `struct detail`: one
 * line that says what happened, to what, and what to do next. Statuses are values: nothing here
 * logs, allocates or exits.
 */
#ifndef WEIR_COMMON_BASE_STATUS_H
#define WEIR_COMMON_BASE_STATUS_H

#define STATUS_TABLE(X)                                                                            \
    X(OK, "done")                                                                                  \
    X(END, "nothing more")                                                                         \
    X(FULL, "no room left within a named limit")                                                   \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(MALFORMED, "bytes that are not MessagePack")                                                 \
    X(INVALID, "a value outside its type or range")                                                \
    X(TOO_LARGE, "larger than its limit")                                                          \
    X(NOT_FOUND, "no such thing")                                                                  \
    X(GONE, "no longer kept")                                                                      \
    X(OUT_OF_ORDER, "not the next number")                                                         \
    X(FENCED, "another holder took over")                                                          \
    X(BUSY, "in use by another process")                                                           \
    X(UNAVAILABLE, "not to be had now")                                                            \
    X(TIMED_OUT, "no answer in time")                                                              \
    X(INTERRUPTED, "asked to stop")                                                                \
    X(NO_SPACE, "the disk is full")                                                                \
    X(IO, "input or output failed")                                                                \
    X(DIVERGED, "two folds of one log differ")                                                     \
    X(DAMAGED, "stored bytes fail their checksum")                                                 \
    X(BAD_INPUT, "bad input data")                                                                 \
    X(CONFIG, "bad configuration")                                                                 \
    X(USAGE, "wrong usage")

enum status {
#define X(name, text) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};

/* The exit codes of every command (docs/protocol.md). */
enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_SOME_REFUSED = 2,
    EXIT_CODE_USAGE = 64,
    EXIT_CODE_BAD_INPUT = 65,
    EXIT_CODE_NO_PEER = 69,
    EXIT_CODE_IO = 74,
    EXIT_CODE_TEMPORARY = 75,
    EXIT_CODE_CONFIG = 78,
};

#define MUST_USE                    __attribute__((warn_unused_result))
#define PRINTF_LIKE(text_at, first) __attribute__((format(printf, text_at, first)))

enum { DETAIL_BYTES_MAX = 512 };

/* One line for a person; always NUL-terminated, cut when longer. */
struct detail {
    char text[DETAIL_BYTES_MAX];
};

/* The table's text for `status`; "unknown status" for anything else. Never NULL. */
const char *status_text(enum status status);

/* The process exit code that stands for `status`. */
enum exit_code status_exit_code(enum status status);

/* Writes the line; does nothing when `detail` is NULL. Returns `status`, so that a failure is one
 * line: return detail_set (ret_detail, STATUS_CONFIG, "%s:%d: unknown key '%s'", file, line, key);
 */
MUST_USE enum status detail_set(struct detail *detail, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
#ifdef __clang_analyzer__
/* The static analyzer looks at one file at a time: this tells it that the status comes back. */
#define detail_set(detail, status, ...) ((void)(detail_set)(detail, status, __VA_ARGS__), (status))
#endif

/* Writes the line without a status. */
void detail_write(struct detail *detail, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
