#include "common/base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

const char *status_text(enum status status)
{
    switch (status) {
#define X(name, text)                                                                              \
    case STATUS_##name:                                                                            \
        return text;
        STATUS_TABLE(X)
#undef X
    }
    return "unknown status";
}

enum exit_code status_exit_code(enum status status)
{
    switch (status) {
    case STATUS_OK:
    case STATUS_END:
    case STATUS_INTERRUPTED:
        return EXIT_CODE_DONE;
    case STATUS_USAGE:
        return EXIT_CODE_USAGE;
    case STATUS_MALFORMED:
    case STATUS_INVALID:
    case STATUS_TOO_LARGE:
    case STATUS_BAD_INPUT:
        return EXIT_CODE_BAD_INPUT;
    case STATUS_UNAVAILABLE:
        return EXIT_CODE_NO_PEER;
    case STATUS_NO_SPACE:
    case STATUS_IO:
    case STATUS_DAMAGED:
        return EXIT_CODE_IO;
    case STATUS_TIMED_OUT:
    case STATUS_FENCED:
    case STATUS_BUSY:
        return EXIT_CODE_TEMPORARY;
    case STATUS_CONFIG:
        return EXIT_CODE_CONFIG;
    case STATUS_DIVERGED:
    case STATUS_FULL:
    case STATUS_NO_MEMORY:
    case STATUS_NOT_FOUND:
    case STATUS_GONE:
    case STATUS_OUT_OF_ORDER:
        return EXIT_CODE_FAILED;
    }
    return EXIT_CODE_FAILED;
}

enum status(detail_set)(struct detail *detail, enum status status, const char *format, ...)
{
    if (detail == NULL)
        return status;

    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(detail->text, sizeof detail->text, format, arguments) < 0)
        detail->text[0] = '\0';
    va_end(arguments);
    return status;
}

void detail_write(struct detail *detail, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(detail->text, sizeof detail->text, format, arguments) < 0)
        detail->text[0] = '\0';
    va_end(arguments);
}
