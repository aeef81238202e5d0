#include "common/base/logger.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"

enum {
    FIELDS_BYTES_MAX = 1024,
    MESSAGE_BYTES_MAX = 256,
    /* Every byte may become six (\u001f); the rest is time, level, program and the keys' quotes. */
    LINE_BYTES_MAX = 6 * (FIELDS_BYTES_MAX + MESSAGE_BYTES_MAX) + 1024,
    TAIL_BYTES = 4, /* kept free for the end of the line */
};

static struct {
    const char *program;
    enum logger_level level;
    enum logger_format format;
} settings = {"weir", LOGGER_INFO, LOGGER_LOGFMT};

static const char *const level_names[] = {
    [LOGGER_ERROR] = "error",
    [LOGGER_WARN] = "warn",
    [LOGGER_INFO] = "info",
    [LOGGER_DEBUG] = "debug",
};

struct line {
    size_t size; /* bytes written; at most LINE_BYTES_MAX - TAIL_BYTES before the end is added */
    char text[LINE_BYTES_MAX];
};

void logger_setup(const char *program, enum logger_level level, enum logger_format format)
{
    settings.program = program;
    settings.level = level;
    settings.format = format;
}

bool logger_level_parse(const char *text, enum logger_level *ret_level)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum logger_level)i;
            return true;
        }
    }
    return false;
}

bool logger_format_parse(const char *text, enum logger_format *ret_format)
{
    bool json = strcmp(text, "json") == 0;
    if (!json && strcmp(text, "logfmt") != 0)
        return false;
    *ret_format = json ? LOGGER_JSON : LOGGER_LOGFMT;
    return true;
}

/* All or nothing, so that an escape is never cut in two. */
static void add(struct line *line, const char *bytes, size_t size)
{
    if (size > LINE_BYTES_MAX - TAIL_BYTES - line->size)
        return;
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

/* Quotes, backslashes and control characters leave as JSON escapes, which logfmt readers know. */
static void add_escaped(struct line *line, struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = value.data[i];
        char escape[8];
        if (c == '"' || c == '\\') {
            add(line, (char[]){'\\', (char)c}, 2);
        } else if (c == '\n') {
            add(line, "\\n", 2);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
            add_text(line, escape);
        } else {
            add(line, (char *)&c, 1);
        }
    }
}

static void add_field(struct line *line, struct slice key, struct slice value, bool quoted)
{
    bool json = settings.format == LOGGER_JSON;
    if (json)
        add_text(line, line->size > 0 ? ",\"" : "{\"");
    else if (line->size > 0)
        add_text(line, " ");
    add_escaped(line, key);
    add_text(line, json ? "\":\"" : quoted ? "=\"" : "=");
    add_escaped(line, value);
    if (json || quoted)
        add_text(line, "\"");
}

static bool is_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t key_length(const char *text)
{
    size_t length = 0;
    while (is_key(text[length]))
        length++;
    return text[length] == '=' ? length : 0;
}

/* Bytes up to the quote that ends a value: the one before the end or before ` key=`. */
static size_t quoted_length(const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        const char *after = text + length + 1;
        if (text[length] == '"' && (*after == '\0' || (*after == ' ' && key_length(after + 1) > 0)))
            break;
    }
    return length;
}

/* Takes `key=value key="value" …` apart and adds each pair in the line's own format. */
static void add_fields(struct line *line, const char *text)
{
    while (*text != '\0') {
        size_t key_size = key_length(text);
        struct slice key = {(const uint8_t *)text, key_size};
        if (key_size == 0)
            key = slice_of_text("note"); /* no pair: keep the words */
        else
            text += key_size + 1;
        bool quoted = *text == '"';
        if (quoted)
            text++;
        size_t size = quoted ? quoted_length(text) : strcspn(text, " ");
        add_field(line, key, (struct slice){(const uint8_t *)text, size}, quoted);
        text += size;
        if (quoted && *text == '"')
            text++;
        text += strspn(text, " ");
    }
}

static void write_line(const struct line *line)
{
    size_t written = 0;
    while (written < line->size) {
        ssize_t more = write(STDERR_FILENO, line->text + written, line->size - written);
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            return; /* nobody is left to tell */
        written += (size_t)more;
    }
}

void logger_write(enum logger_level level, const char *message, const char *fields, ...)
{
    if (level > settings.level)
        return;
    int saved_errno = errno;

    char field_text[FIELDS_BYTES_MAX] = "";
    if (fields != NULL) {
        va_list arguments;
        va_start(arguments, fields);
        if (vsnprintf(field_text, sizeof field_text, fields, arguments) < 0)
            field_text[0] = '\0';
        va_end(arguments);
    }
    char time_text[CLOCK_TEXT_BYTES];
    clock_format(clock_wall_ns(), time_text);

    struct slice message_slice = {(const uint8_t *)message, strnlen(message, MESSAGE_BYTES_MAX)};
    struct line line;
    line.size = 0;
    bool json = settings.format == LOGGER_JSON;
    add_field(&line, slice_of_text("time"), slice_of_text(time_text), false);
    add_field(&line, slice_of_text("level"), slice_of_text(level_names[level]), false);
    add_field(&line, slice_of_text("program"), slice_of_text(settings.program), false);
    add_field(&line, slice_of_text("msg"), message_slice, true);
    add_fields(&line, field_text);
    memcpy(line.text + line.size, json ? "}\n" : "\n", json ? 2 : 1);
    line.size += json ? 2 : 1;
    write_line(&line);
    errno = saved_errno;
}
