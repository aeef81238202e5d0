#include "tests/unit/common/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/lib/seed.h"

enum { LINE_BYTES_MAX = 8192, SPOILED_COPIES = 2000 };

static void append_hex(struct buffer *bytes, const char *digits)
{
    for (unsigned value; sscanf(digits, "%2x", &value) == 1; digits += 2) {
        uint8_t byte = (uint8_t)value;
        buffer_append(bytes, &byte, 1);
    }
}

static FILE *open_golden(const char *kind)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.hex", WEIR_GOLDEN_DIR, kind);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    return file;
}

void golden_read(const char *kind, const char *name, struct buffer *bytes)
{
    char line[LINE_BYTES_MAX];
    FILE *file = open_golden(kind);
    size_t length = strlen(name);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, name, length) == 0 && line[length] == ' ';
    fclose(file);
    if (!found)
        fail_msg("no message %s in %s.hex", name, kind);
    append_hex(bytes, line + length + 1);
}

void assert_golden(struct slice written, const char *kind, const char *name)
{
    struct buffer expected;
    buffer_init(&expected, LINE_BYTES_MAX);
    golden_read(kind, name, &expected);
    assert_bytes(written, buffer_slice(&expected));
    buffer_fini(&expected);
}

void assert_text(struct slice slice, const char *text)
{
    assert_int_equal(slice.size, strlen(text));
    assert_memory_equal(slice.data, text, slice.size);
}

void assert_bytes(struct slice slice, struct slice expected)
{
    assert_int_equal(slice.size, expected.size);
    assert_memory_equal(slice.data, expected.data, expected.size);
}

void golden_event_created(struct buffer *bytes)
{
    codec_array(bytes, 5);
    codec_uint(bytes, GOLDEN_TIME);
    codec_text(bytes, "order.created");
    codec_text(bytes, "order-1");
    codec_uint(bytes, 1);
    codec_map(bytes, 2);
    codec_text(bytes, "status");
    codec_text(bytes, "new");
    codec_text(bytes, "amount");
    codec_uint(bytes, 1250);
}

void golden_event_traced(struct buffer *bytes)
{
    codec_array(bytes, 6);
    codec_uint(bytes, GOLDEN_TIME + 1);
    codec_text(bytes, "user.login");
    codec_text(bytes, "Zo\xc3\xab");
    codec_uint(bytes, 65535);
    codec_map(bytes, 0);
    codec_map(bytes, 1);
    codec_text(bytes, "traceparent");
    codec_text(bytes, "00-ab-cd-01");
}

static void spoil_once(struct rng *rng, struct buffer *bytes)
{
    static const uint8_t telling[] = {0x00, 0x7f, 0x80, 0x90, 0xa0, 0xc0, 0xc1, 0xc4, 0xc6, 0xca,
                                      0xcb, 0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xdf, 0xe0, 0xff};
    size_t place = (size_t)rng_below(rng, bytes->size);
    uint8_t *at = bytes->data + place;
    size_t rest = bytes->size - place;
    switch (rng_below(rng, 6)) {
    case 0:
        *at = (uint8_t)rng_next(rng);
        break;
    case 1:
        *at = telling[rng_below(rng, sizeof telling)];
        break;
    case 2:
        *at = (uint8_t)(*at ^ (1u << rng_below(rng, 8)));
        break;
    case 3:
        bytes->size = place;
        break;
    case 4:
        memmove(at, at + 1, rest - 1);
        bytes->size--;
        break;
    default:
        if (rest > bytes->bytes_max - bytes->size)
            break;
        assert_int_equal(buffer_reserve(bytes, rest), STATUS_OK);
        memcpy(bytes->data + bytes->size, bytes->data + place, rest);
        bytes->size += rest;
        break;
    }
}

void golden_spoil(struct rng *rng, struct buffer *bytes)
{
    uint64_t times = 1 + rng_below(rng, 4);
    for (uint64_t i = 0; i < times && bytes->size > 0; i++)
        spoil_once(rng, bytes);
}

static void read_spoiled(struct rng *rng, const struct buffer *golden, golden_read_fn *read)
{
    struct buffer copy;
    buffer_init(&copy, 32 * LINE_BYTES_MAX);
    buffer_append(&copy, golden->data, golden->size);
    golden_spoil(rng, &copy);
    uint8_t *exact = malloc(copy.size + 1);
    assert_non_null(exact);
    memcpy(exact + 1, copy.data, copy.size);
    read((struct slice){exact + 1, copy.size});
    free(exact);
    buffer_fini(&copy);
}

void golden_spoil_all(const char *kind, golden_read_fn *read)
{
    char line[LINE_BYTES_MAX];
    struct rng rng = test_rng();
    struct buffer golden;
    uint64_t copies = test_number("WEIR_SPOILED_COPIES", SPOILED_COPIES);
    FILE *file = open_golden(kind);
    buffer_init(&golden, LINE_BYTES_MAX);
    while (fgets(line, sizeof line, file) != NULL) {
        char *digits = strchr(line, ' ');
        if (line[0] == '#' || digits == NULL)
            continue;
        buffer_clear(&golden);
        append_hex(&golden, digits + 1);
        for (unsigned long i = 0; i < copies; i++)
            read_spoiled(&rng, &golden, read);
    }
    buffer_fini(&golden);
    fclose(file);
}
