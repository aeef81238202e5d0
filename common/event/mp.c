#include "common/event/mp.h"

#include <endian.h>
#include <string.h>

#include "common/event/mp_head.h"

/* How the formats 0xc0 to 0xdf are built. */
struct format {
    uint8_t type;          /* enum mp_type, or NO_TYPE */
    uint8_t size_bytes;    /* of the size field behind the first byte */
    uint8_t payload_bytes; /* fixed payload, where there is no size field */
};
enum { NO_TYPE = 0xff };

static const struct format formats[32] = {
    {MP_NIL, 0, 0},      {NO_TYPE, 0, 0},     {MP_BOOL, 0, 0},     {MP_BOOL, 0, 0},     /* c0 */
    {MP_BIN, 1, 0},      {MP_BIN, 2, 0},      {MP_BIN, 4, 0},      {MP_EXT, 1, 0},      /* c4 */
    {MP_EXT, 2, 0},      {MP_EXT, 4, 0},      {MP_FLOAT, 0, 4},    {MP_FLOAT, 0, 8},    /* c8 */
    {MP_UINT, 0, 1},     {MP_UINT, 0, 2},     {MP_UINT, 0, 4},     {MP_UINT, 0, 8},     /* cc */
    {MP_NEGATIVE, 0, 1}, {MP_NEGATIVE, 0, 2}, {MP_NEGATIVE, 0, 4}, {MP_NEGATIVE, 0, 8}, /* d0 */
    {MP_EXT, 0, 1},      {MP_EXT, 0, 2},      {MP_EXT, 0, 4},      {MP_EXT, 0, 8},      /* d4 */
    {MP_EXT, 0, 16},     {MP_TEXT, 1, 0},     {MP_TEXT, 2, 0},     {MP_TEXT, 4, 0},     /* d8 */
    {MP_ARRAY, 2, 0},    {MP_ARRAY, 4, 0},    {MP_MAP, 2, 0},      {MP_MAP, 4, 0},      /* dc */
};

#define FOUR(n)       (n), (n), (n), (n)
#define EIGHT(n)      FOUR(n), FOUR(n)
#define FOUR_FROM(n)  (n), (n) + 1, (n) + 2, (n) + 3
#define EIGHT_FROM(n) FOUR_FROM(n), FOUR_FROM((n) + 4)

const uint8_t mp_plain_bytes[256] = {
    EIGHT(1),
    EIGHT(1),
    EIGHT(1),
    EIGHT(1), /* 00: positive fixint */
    EIGHT(1),
    EIGHT(1),
    EIGHT(1),
    EIGHT(1), /* 20 */
    EIGHT(1),
    EIGHT(1),
    EIGHT(1),
    EIGHT(1), /* 40 */
    EIGHT(1),
    EIGHT(1),
    EIGHT(1),
    EIGHT(1), /* 60 */
    EIGHT(0),
    EIGHT(0),
    EIGHT(0),
    EIGHT(0), /* 80: fixmap, fixarray */
    EIGHT_FROM(1),
    EIGHT_FROM(9),
    EIGHT_FROM(17),
    EIGHT_FROM(25), /* a0: fixstr */
    1,
    0,
    1,
    1,
    0,
    0,
    0,
    0, /* c0: nil, never used, false, true, bin */
    0,
    0,
    5,
    9,
    2,
    3,
    5,
    9, /* c8: ext, float, uint */
    2,
    3,
    5,
    9,
    3,
    4,
    6,
    10, /* d0: int, fixext */
    18,
    0,
    0,
    0,
    0,
    0,
    0,
    0, /* d8: fixext 16, str, array, map */
    EIGHT(1),
    EIGHT(1),
    EIGHT(1),
    EIGHT(1), /* e0: negative fixint */
};

struct mp_head mp_head_read_sized(const uint8_t *at, const uint8_t *end)
{
    const struct mp_head torn = {.whole = false};
    struct format format = formats[*at - 0xc0];
    unsigned head_bytes = 1u + format.size_bytes + (format.type == MP_EXT ? 1 : 0);
    size_t left = (size_t)(end - at);
    if (format.type == NO_TYPE || left < head_bytes)
        return torn;
    left -= head_bytes;

    uint32_t size = format.payload_bytes;
    if (format.size_bytes > 0)
        size = (uint32_t)mp_big_endian(at + 1, format.size_bytes);
    if (left < (format.type == MP_MAP ? 2 : 1) * (uint64_t)size)
        return torn;
    /* The signed formats hold values ≥ 0 as well. */
    if (format.type == MP_NEGATIVE && at[1] < 0x80)
        format.type = MP_UINT;
    return (struct mp_head){true, format.type, (uint8_t)head_bytes, size};
}

struct mp_reader mp_reader_of(struct slice bytes)
{
    /* An empty slice may hold NULL, and NULL + 0 is undefined in C. */
    return (struct mp_reader){bytes.data, bytes.size > 0 ? bytes.data + bytes.size : bytes.data};
}

enum status mp_peek(const struct mp_reader *reader, enum mp_type *ret_type)
{
    struct mp_head head = mp_head_read(reader->at, reader->end);
    if (!head.whole)
        return STATUS_MALFORMED;
    *ret_type = (enum mp_type)head.type;
    return STATUS_OK;
}

/* What to answer when the next item is not of the type asked for. */
static enum status mismatch(const struct mp_reader *reader)
{
    struct mp_reader probe = *reader;
    return mp_skip(&probe) == STATUS_OK ? STATUS_INVALID : STATUS_MALFORMED;
}

/* Gives the head of the next item if its type is `type`; does not move. */
static enum status expect(const struct mp_reader *reader, enum mp_type type,
                          struct mp_head *ret_head)
{
    struct mp_head head = mp_head_read(reader->at, reader->end);
    if (!head.whole)
        return STATUS_MALFORMED;
    if (head.type != type)
        return mismatch(reader);
    *ret_head = head;
    return STATUS_OK;
}

/* The value of an integer item of either sign, in two's complement. */
static uint64_t integer_bits(const uint8_t *at, struct mp_head head)
{
    if (head.size == 0)
        return head.type == MP_UINT ? *at : (uint64_t)(int64_t)(*at - 0x100);
    uint64_t bits = mp_big_endian(at + 1, head.size);
    if (head.type == MP_NEGATIVE && head.size < 8)
        bits |= UINT64_MAX << (8 * head.size);
    return bits;
}

enum status mp_read_uint_any(struct mp_reader *reader, uint64_t *ret_value)
{
    struct mp_head head;
    enum status status = expect(reader, MP_UINT, &head);
    if (status != STATUS_OK)
        return status;
    *ret_value = integer_bits(reader->at, head);
    reader->at += head.head_bytes + head.size;
    return STATUS_OK;
}

enum status mp_read_int(struct mp_reader *reader, int64_t *ret_value)
{
    struct mp_head head = mp_head_read(reader->at, reader->end);
    if (!head.whole)
        return STATUS_MALFORMED;
    if (head.type != MP_UINT && head.type != MP_NEGATIVE)
        return mismatch(reader);
    uint64_t bits = integer_bits(reader->at, head);
    if (head.type == MP_UINT && bits > INT64_MAX)
        return STATUS_INVALID;
    *ret_value = (int64_t)bits;
    reader->at += head.head_bytes + head.size;
    return STATUS_OK;
}

enum status mp_read_bool(struct mp_reader *reader, bool *ret_value)
{
    struct mp_head head;
    enum status status = expect(reader, MP_BOOL, &head);
    if (status != STATUS_OK)
        return status;
    *ret_value = *reader->at == 0xc3;
    reader->at++;
    return STATUS_OK;
}

enum status mp_read_float(struct mp_reader *reader, double *ret_value)
{
    struct mp_head head;
    enum status status = expect(reader, MP_FLOAT, &head);
    if (status != STATUS_OK)
        return status;
    uint64_t bits = mp_big_endian(reader->at + 1, head.size);
    if (head.size == sizeof(float)) {
        uint32_t bits32 = (uint32_t)bits;
        float value;
        memcpy(&value, &bits32, sizeof value);
        *ret_value = (double)value;
    } else {
        memcpy(ret_value, &bits, sizeof *ret_value);
    }
    reader->at += head.head_bytes + head.size;
    return STATUS_OK;
}

/* A text or a bin. */
static enum status read_bytes(struct mp_reader *reader, enum mp_type type, struct slice *ret_bytes)
{
    struct mp_head head;
    enum status status = expect(reader, type, &head);
    if (status != STATUS_OK)
        return status;
    *ret_bytes = (struct slice){reader->at + head.head_bytes, head.size};
    reader->at += head.head_bytes + head.size;
    return STATUS_OK;
}

enum status mp_read_text_any(struct mp_reader *reader, struct slice *ret_text)
{
    return read_bytes(reader, MP_TEXT, ret_text);
}

enum status mp_read_bin(struct mp_reader *reader, struct slice *ret_bytes)
{
    return read_bytes(reader, MP_BIN, ret_bytes);
}

/* The head of an array or a map. */
static enum status read_count(struct mp_reader *reader, enum mp_type type, uint32_t *ret_count)
{
    struct mp_head head;
    enum status status = expect(reader, type, &head);
    if (status != STATUS_OK)
        return status;
    *ret_count = head.size;
    reader->at += head.head_bytes;
    return STATUS_OK;
}

enum status mp_read_array_any(struct mp_reader *reader, uint32_t *ret_count)
{
    return read_count(reader, MP_ARRAY, ret_count);
}

enum status mp_read_map_any(struct mp_reader *reader, uint32_t *ret_pairs)
{
    return read_count(reader, MP_MAP, ret_pairs);
}

bool mp_read_nil(struct mp_reader *reader)
{
    if (reader->at == reader->end || *reader->at != 0xc0)
        return false;
    reader->at++;
    return true;
}

/* Why the item at `at` was refused. */
static enum status explain(const uint8_t *at, const uint8_t *end, const uint8_t *origin,
                           struct detail *ret_detail)
{
    const char *problem = "a length or count past the end";
    if (at == end)
        problem = "cut off";
    else if (*at == 0xc1)
        problem = "0xc1, which is never used,";
    else if (mp_head_read(at, end).whole)
        problem = "nested too deep";
    return detail_set(ret_detail, STATUS_MALFORMED, "malformed: %s at byte %zu", problem,
                      (size_t)(at - origin));
}

enum status mp_skip_explain(struct mp_reader *reader, const uint8_t *origin,
                            struct detail *ret_detail)
{
    uint64_t outer_items[MP_DEPTH_MAX]; /* still to come in each container that is open */
    unsigned depth = 0;
    uint64_t items = 1; /* still to come in the innermost */
    const uint8_t *at = reader->at, *end = reader->end;
    while (items > 0) {
        /* Most items are plain and far from the end; of those at least one is left to the rest. */
        while (items > 1 && end - at >= MP_PLAIN_BYTES_MAX && mp_plain_bytes[*at] > 0) {
            at += mp_plain_bytes[*at];
            items--;
        }
        size_t plain_bytes = at < end ? mp_plain_bytes[*at] : 0;
        items--;
        if (plain_bytes > 0 && plain_bytes <= (size_t)(end - at)) {
            at += plain_bytes;
        } else {
            struct mp_head head = mp_head_read(at, end);
            bool container = head.type == MP_ARRAY || head.type == MP_MAP;
            if (!head.whole || (container && depth == MP_DEPTH_MAX))
                return explain(at, end, origin, ret_detail);
            if (container) {
                outer_items[depth++] = items;
                items = (head.type == MP_MAP ? 2 : 1) * (uint64_t)head.size;
            }
            at += head.head_bytes + (container ? 0 : head.size);
        }
        while (items == 0 && depth > 0)
            items = outer_items[--depth]; /* cppcheck-suppress uninitvar; set when it was opened */
    }
    reader->at = at;
    return STATUS_OK;
}

enum status mp_skip(struct mp_reader *reader)
{
    return mp_skip_explain(reader, reader->at, NULL);
}

enum status mp_read_raw(struct mp_reader *reader, struct slice *ret_item)
{
    const uint8_t *start = reader->at;
    enum status status = mp_skip(reader);
    if (status != STATUS_OK)
        return status;
    *ret_item = (struct slice){start, (size_t)(reader->at - start)};
    return STATUS_OK;
}
