#include "tests/unit/common/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"

enum { LINE_BYTES_MAX = 8192 };

static void append_hex(struct buffer *bytes, const char *digits)
{
    for (unsigned value; sscanf(digits, "%2x", &value) == 1; digits += 2) {
        uint8_t byte = (uint8_t)value;
        buffer_append(bytes, &byte, 1);
    }
}

void golden_read(const char *kind, const char *name, struct buffer *bytes)
{
    char path[512], line[LINE_BYTES_MAX];
    snprintf(path, sizeof path, "%s/%s.hex", WEIR_GOLDEN_DIR, kind);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = strlen(name);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, name, length) == 0 && line[length] == ' ';
    fclose(file);
    if (!found)
        fail_msg("no message %s in %s", name, path);
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
