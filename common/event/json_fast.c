#include "common/event/json_fast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/event/codec.h"

enum {
    LINE_BYTES_MAX = 2 * EVENT_BYTES_MAX, /* longer ones are hardly events */
    EXTENSIONS_MAX = 16,
    DIGITS_MAX = 18, /* of an integer: always within 64 bits */
    REAL_BYTES_MAX = 40,
    FIX_COUNT_MAX = 15,   /* items that a container's first byte can tell */
    LONG_COUNT_BYTES = 2, /* what a longer one's head has on top */
    HEAD_BYTES_MAX = 1 + CODEC_UINT_BYTES_MAX + 2 * 3 + 3 + 1, /* without type and subject */
    TIME_BYTES_MAX = 64,
};

/* Where reading stands in the line, and writing in the buffer. Every value takes at most three
 * bytes for each byte of its text ("1e5," is the worst: four for nine), so there is always room. */
struct cursor {
    const uint8_t *at, *end;
    uint8_t *out;
};

/* The members of a line, by their places in the table below. */
enum member {
    MEMBER_SPECVERSION,
    MEMBER_SOURCE,
    MEMBER_TYPE,
    MEMBER_SUBJECT,
    MEMBER_TIME,
    MEMBER_SEQUENCE, /* this one and the next two tell of the log that a line was read from */
    MEMBER_EVENTID,
    MEMBER_ACCEPTEDAT,
    MEMBER_SCHEMAVERSION, /* up to here: texts */
    MEMBER_DATA,
    MEMBER_COUNT,
};
static const char *const member_names[MEMBER_COUNT] = {
    "specversion", "source",  "type",       "subject",       "time",
    "sequence",    "eventid", "acceptedat", "schemaversion", "data"};

struct extension {
    struct slice name;
    struct slice value; /* text, or the words of a number or boolean */
};

struct line {
    bool seen[MEMBER_COUNT];
    struct slice texts[MEMBER_SCHEMAVERSION];
    int64_t schema_version;
    struct slice data; /* MessagePack */
    struct extension extensions[EXTENSIONS_MAX];
    uint8_t extension_count;
};

/* ---- tokens ---- */

static void space_skip(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n'))
        c->at++;
}

/* The next byte that is not white space is this one; moves past it. */
static bool mark_take(struct cursor *c, char mark)
{
    space_skip(c);
    if (c->at == c->end || *c->at != (uint8_t)mark)
        return false;
    c->at++;
    return true;
}

/* What comes next, or 0 at the end. */
static uint8_t byte_next(struct cursor *c)
{
    space_skip(c);
    return c->at < c->end ? *c->at : 0;
}

/* A string without escapes. */
static bool text_take(struct cursor *c, struct slice *ret_text)
{
    if (!mark_take(c, '"'))
        return false;
    const uint8_t *first = c->at;
    while (c->at < c->end && *c->at != '"' && *c->at != '\\' && *c->at >= ' ')
        c->at++;
    if (c->at == c->end || *c->at != '"')
        return false;
    *ret_text = (struct slice){first, (size_t)(c->at - first)};
    c->at++;
    return true;
}

static bool word_take(struct cursor *c, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0)
        return false;
    c->at += size;
    return true;
}

static size_t digits_take(struct cursor *c)
{
    const uint8_t *first = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return (size_t)(c->at - first);
}

/* The integer part of a number; "01" is none. */
static bool integer_take(struct cursor *c, struct slice *ret_token)
{
    const uint8_t *first = c->at;
    if (c->at < c->end && *c->at == '-')
        c->at++;
    const uint8_t *digits = c->at;
    size_t count = digits_take(c);
    if (count == 0 || count > DIGITS_MAX || (count > 1 && *digits == '0'))
        return false;
    *ret_token = (struct slice){first, (size_t)(c->at - first)};
    return true;
}

static int64_t integer_of(struct slice token)
{
    bool negative = token.data[0] == '-';
    int64_t value = 0;
    for (size_t i = negative ? 1 : 0; i < token.size; i++)
        value = value * 10 + (token.data[i] - '0');
    return negative ? -value : value;
}

/* Does the number go on with a fraction or an exponent? */
static bool real_follows(const struct cursor *c)
{
    return c->at < c->end && (*c->at == '.' || *c->at == 'e' || *c->at == 'E');
}

/* The rest of a number that began at `first`. */
static bool real_take(struct cursor *c, const uint8_t *first, double *ret_value)
{
    if (*c->at == '.') {
        c->at++;
        if (digits_take(c) == 0)
            return false;
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        if (digits_take(c) == 0)
            return false;
    }
    char text[REAL_BYTES_MAX];
    size_t size = (size_t)(c->at - first);
    if (size >= sizeof text)
        return false;
    memcpy(text, first, size);
    text[size] = '\0';
    *ret_value = strtod(text, NULL);
    return !isinf(*ret_value);
}

/* ---- MessagePack, in the shortest form, as the packer writes it ---- */

static uint8_t *int_put(uint8_t *at, int64_t value)
{
    if (value >= 0)
        return codec_put_uint(at, (uint64_t)value);
    if (value >= -32) {
        *at = (uint8_t)value;
        return at + 1;
    }
    unsigned bytes = value >= INT8_MIN ? 1 : value >= INT16_MIN ? 2 : value >= INT32_MIN ? 4 : 8;
    static const uint8_t heads[] = {[1] = 0xd0, [2] = 0xd1, [4] = 0xd2, [8] = 0xd3};
    *at = heads[bytes];
    return codec_put_be(at + 1, (uint64_t)value, bytes);
}

static uint8_t *real_put(uint8_t *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    *at = 0xcb;
    return codec_put_be(at + 1, bits, sizeof bits);
}

/* The head of a container whose items stand already behind one byte at `head`. */
static bool count_put(struct cursor *c, uint8_t *head, uint32_t count, bool map)
{
    if (count <= FIX_COUNT_MAX) {
        *head = (uint8_t)((map ? 0x80u : 0x90u) | count);
        return true;
    }
    if (count > UINT16_MAX)
        return false;
    memmove(head + 1 + LONG_COUNT_BYTES, head + 1, (size_t)(c->out - (head + 1)));
    *head = map ? 0xde : 0xdc;
    codec_put_be(head + 1, count, LONG_COUNT_BYTES);
    c->out += LONG_COUNT_BYTES;
    return true;
}

/* ---- values of `data` ---- */

static bool value_copy(struct cursor *c, unsigned depth);

static bool text_copy(struct cursor *c)
{
    struct slice text;
    if (!text_take(c, &text) || text.size > UINT16_MAX)
        return false;
    c->out = codec_put_text(c->out, text);
    return true;
}

static bool number_copy(struct cursor *c)
{
    struct slice token;
    double real;
    if (!integer_take(c, &token))
        return false;
    if (!real_follows(c)) {
        c->out = int_put(c->out, integer_of(token));
        return true;
    }
    if (!real_take(c, token.data, &real))
        return false;
    c->out = real_put(c->out, real);
    return true;
}

static bool word_copy(struct cursor *c)
{
    uint8_t item;
    if (word_take(c, "true"))
        item = 0xc3;
    else if (word_take(c, "false"))
        item = 0xc2;
    else if (word_take(c, "null"))
        item = 0xc0;
    else
        return false;
    *c->out++ = item;
    return true;
}

/* An object, or with `map` false an array; `depth`: containers around it. */
static bool container_copy(struct cursor *c, unsigned depth, bool map)
{
    char last = map ? '}' : ']';
    uint8_t *head = c->out++;
    uint32_t count = 0;
    if (depth == MP_DATA_DEPTH_MAX)
        return false;
    c->at++;
    if (mark_take(c, last))
        return count_put(c, head, 0, map);
    do {
        if (map && (!text_copy(c) || !mark_take(c, ':')))
            return false;
        if (!value_copy(c, depth + 1))
            return false;
        count++;
    } while (mark_take(c, ','));
    return mark_take(c, last) && count_put(c, head, count, map);
}

/* Recursion ends at MP_DATA_DEPTH_MAX. */
static bool value_copy(struct cursor *c, unsigned depth)
{
    uint8_t first = byte_next(c);
    switch (first) {
    case '{':
    case '[':
        return container_copy(c, depth, first == '{');
    case '"':
        return text_copy(c);
    case 't':
    case 'f':
    case 'n':
        return word_copy(c);
    default:
        return number_copy(c);
    }
}

/* ---- members ---- */

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

static enum member member_of(struct slice name)
{
    unsigned i = 0;
    while (i < MEMBER_COUNT && !slice_equal_text(name, member_names[i]))
        i++;
    return (enum member)i;
}

static bool extension_take(struct cursor *c, struct line *line, struct slice name)
{
    struct extension *extension = &line->extensions[line->extension_count];
    if (line->extension_count == EXTENSIONS_MAX || slice_equal_text(name, "data_base64"))
        return false;
    extension->name = name;
    line->extension_count++;
    uint8_t first = byte_next(c);
    if (first == '"')
        return text_take(c, &extension->value) && extension->value.size <= UINT16_MAX;
    if (first == 't' || first == 'f') {
        extension->value = slice_of_text(first == 't' ? "true" : "false");
        return word_take(c, first == 't' ? "true" : "false");
    }
    return integer_take(c, &extension->value) && !real_follows(c) &&
           !slice_equal_text(extension->value, "-0");
}

static bool member_take(struct cursor *c, struct line *line)
{
    struct slice name, token;
    if (!text_take(c, &name) || !mark_take(c, ':') || name.size > UINT16_MAX)
        return false;
    enum member member = member_of(name);
    if (member == MEMBER_COUNT)
        return extension_take(c, line, name);
    if (line->seen[member])
        return false;
    line->seen[member] = true;
    if (member < MEMBER_SCHEMAVERSION)
        return text_take(c, &line->texts[member]) && line->texts[member].size <= UINT16_MAX;
    if (member == MEMBER_SCHEMAVERSION) {
        (void)byte_next(c);
        if (!integer_take(c, &token) || real_follows(c))
            return false;
        line->schema_version = integer_of(token);
        return true;
    }
    line->data.data = c->out;
    if (byte_next(c) != '{' || !value_copy(c, 0))
        return false;
    line->data.size = (size_t)(c->out - line->data.data);
    return true;
}

static bool members_take(struct cursor *c, struct line *line)
{
    if (!mark_take(c, '{'))
        return false;
    do {
        if (!member_take(c, line))
            return false;
    } while (mark_take(c, ','));
    return mark_take(c, '}') && byte_next(c) == 0 && c->at == c->end;
}

/* ---- the event ---- */

/* What no later check looks at. */
static bool texts_check(const struct line *line)
{
    if (line->seen[MEMBER_SPECVERSION] && !slice_equal_text(line->texts[MEMBER_SPECVERSION], "1.0"))
        return false;
    for (unsigned i = MEMBER_SEQUENCE; i <= MEMBER_ACCEPTEDAT; i++)
        if (!is_ascii(line->texts[i]))
            return false;
    return line->seen[MEMBER_TYPE] &&
           (!line->seen[MEMBER_SOURCE] ||
            event_source_check(line->texts[MEMBER_SOURCE], NULL) == STATUS_OK);
}

static bool time_of(const struct line *line, uint64_t now_ns, uint64_t *ret_time_ns)
{
    char text[TIME_BYTES_MAX];
    struct slice time = line->texts[MEMBER_TIME];
    *ret_time_ns = now_ns;
    if (!line->seen[MEMBER_TIME])
        return now_ns != JSON_TIME_REQUIRED;
    if (time.size >= sizeof text)
        return false;
    memcpy(text, time.data, time.size);
    text[time.size] = '\0';
    return clock_parse(text, ret_time_ns);
}

static uint8_t *extensions_put(uint8_t *at, const struct line *line)
{
    if (line->extension_count == 0)
        return at;
    if (line->extension_count <= FIX_COUNT_MAX) {
        *at++ = (uint8_t)(0x80u | line->extension_count);
    } else {
        *at++ = 0xde;
        at = codec_put_be(at, line->extension_count, LONG_COUNT_BYTES);
    }
    for (unsigned i = 0; i < line->extension_count; i++) {
        at = codec_put_text(at, line->extensions[i].name);
        at = codec_put_text(at, line->extensions[i].value);
    }
    return at;
}

static uint8_t *event_put(uint8_t *at, const struct line *line, uint64_t time_ns)
{
    static const uint8_t empty_map = 0x80;
    bool subject = line->seen[MEMBER_SUBJECT], data = line->seen[MEMBER_DATA];
    at = codec_put_array(at, line->extension_count > 0 ? 6 : 5);
    at = codec_put_uint(at, time_ns);
    at = codec_put_text(at, line->texts[MEMBER_TYPE]);
    at = codec_put_text(at, subject ? line->texts[MEMBER_SUBJECT] : slice_of_text("-"));
    at = int_put(at, line->seen[MEMBER_SCHEMAVERSION] ? line->schema_version : 1);
    if (data) /* from further behind in the same buffer */
        memmove(at, line->data.data, line->data.size);
    else
        *at = empty_map;
    at += data ? line->data.size : 1;
    return extensions_put(at, line);
}

bool json_fast_read(struct slice text, uint64_t now_ns, struct buffer *event, char *ret_source)
{
    size_t head_bytes = HEAD_BYTES_MAX + text.size; /* with type and subject */
    size_t bytes = head_bytes + 4 * text.size;
    if (text.size > LINE_BYTES_MAX || bytes > event->bytes_max - event->size ||
        buffer_reserve(event, bytes) != STATUS_OK)
        return false;
    struct line line = {.extension_count = 0};
    uint8_t *first = event->data + event->size;
    struct cursor c = {text.data, text.data + text.size, first + head_bytes};
    uint64_t time_ns;
    if (!members_take(&c, &line) || !texts_check(&line) || !time_of(&line, now_ns, &time_ns))
        return false;
    uint8_t *end = event_put(first, &line, time_ns);
    struct mp_reader reader = mp_reader_of((struct slice){first, (size_t)(end - first)});
    struct event read;
    if (event_read(&reader, &read, NULL, NULL) != STATUS_OK)
        return false;
    struct slice source = line.texts[MEMBER_SOURCE];
    event->size += (size_t)(end - first);
    if (source.size > 0)
        memcpy(ret_source, source.data, source.size);
    ret_source[source.size] = '\0';
    return true;
}
