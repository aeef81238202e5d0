#include "common/upload/upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The layout that records on users' disks have. */
static const char golden[] = "weir-upload 1\n"
                             "log 000102030405060708090a0b0c0d0eff\n"
                             "file /data/a%20b%25%C3%A9.jsonl\n"
                             "prefix 4096 00000000deadbeef 17\n"
                             "source 0 9 shop-1\n"
                             "source 1000 5 urn:x?y=z\n"
                             "crc 5308e161\n";

static void fill(struct upload *upload)
{
    upload_init(upload);
    for (unsigned i = 0; i < LOG_ID_BYTES - 1; i++)
        upload->log_id.bytes[i] = (uint8_t)i;
    upload->log_id.bytes[LOG_ID_BYTES - 1] = 0xff;
    strcpy(upload->path, "/data/a b%\xc3\xa9.jsonl");
    uint32_t first, second;
    assert_int_equal(upload_add(upload, slice_of_text("shop-1"), 0, &first), STATUS_OK);
    assert_int_equal(upload_add(upload, slice_of_text("urn:x?y=z"), 1000, &second), STATUS_OK);
    upload->sources[first].events_read = 9;
    upload->sources[second].events_read = 5;
    upload_mark(upload, &(struct upload_prefix){4096, 0xdeadbeef, 17});
    upload_save_mark(upload);
}

static void write_record(struct buffer *text)
{
    struct upload upload;
    fill(&upload);
    buffer_init(text, UPLOAD_RECORD_BYTES_MAX);
    upload_record_write(text, &upload);
    assert_int_equal(text->status, STATUS_OK);
    upload_fini(&upload);
}

static enum status read_record(struct slice text)
{
    struct upload upload;
    struct detail detail;
    upload_init(&upload);
    enum status status = upload_record_read(text, &upload, &detail);
    upload_fini(&upload);
    return status;
}

static void writes_the_golden_record(void **state)
{
    (void)state;
    struct buffer text;
    write_record(&text);
    buffer_append(&text, "", 1);
    assert_string_equal((const char *)text.data, golden);
    buffer_fini(&text);
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    struct upload upload, expected;
    struct detail detail;
    fill(&expected);
    upload_init(&upload);
    assert_int_equal(upload_record_read(slice_of_text(golden), &upload, &detail), STATUS_OK);
    assert_true(log_id_equal(&upload.log_id, &expected.log_id));
    assert_string_equal(upload.path, expected.path);
    assert_memory_equal(&upload.saved, &expected.saved, sizeof upload.saved);
    assert_int_equal(upload.source_count, 2);
    assert_memory_equal(upload.sources, expected.sources, 2 * sizeof *upload.sources);
    assert_false(upload.is_marked);
    upload_fini(&upload);
    upload_fini(&expected);
}

static void refuses_a_record_cut_anywhere(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof golden - 1; size++)
        assert_int_equal(read_record((struct slice){(const uint8_t *)golden, size}),
                         STATUS_DAMAGED);
}

static void refuses_a_record_with_any_bit_turned(void **state)
{
    (void)state;
    uint8_t bytes[sizeof golden];
    for (size_t at = 0; at < sizeof golden - 1; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(bytes, golden, sizeof golden);
            bytes[at] ^= (uint8_t)(1u << bit);
            bool in_crc = at >= sizeof golden - 1 - strlen("5308e161\n");
            bool same_digit = in_crc && bit == 5; /* a hexadecimal digit in the other case */
            enum status status = read_record((struct slice){bytes, sizeof golden - 1});
            assert_true(status == STATUS_DAMAGED || same_digit);
        }
    }
}

static void refuses_bytes_behind_the_record(void **state)
{
    (void)state;
    struct buffer text;
    write_record(&text);
    buffer_append_text(&text, "\n");
    assert_int_equal(read_record(buffer_slice(&text)), STATUS_DAMAGED);
    buffer_fini(&text);
}

static void saves_only_what_was_marked(void **state)
{
    (void)state;
    struct upload upload;
    fill(&upload);
    upload.sources[0].events_read = 20;
    upload_mark(&upload, &(struct upload_prefix){8192, 1, 40});
    upload.sources[0].events_read = 30;
    assert_int_equal(upload.sources[0].events_saved, 9);
    upload_save_mark(&upload);
    assert_int_equal(upload.sources[0].events_saved, 20);
    assert_int_equal(upload.saved.lines, 40);
    assert_int_equal(upload_sequence(&upload.sources[0]), 30);
    assert_int_equal(upload_sequence(&upload.sources[1]), 1005);
    upload_fini(&upload);
}

static void finds_sources_by_their_whole_name(void **state)
{
    (void)state;
    struct upload upload;
    fill(&upload);
    assert_int_equal(upload_find(&upload, slice_of_text("urn:x?y=z")), 1);
    assert_int_equal(upload_find(&upload, slice_of_text("shop-")), UPLOAD_SOURCES_MAX);
    assert_int_equal(upload_find(&upload, slice_of_text("shop-11")), UPLOAD_SOURCES_MAX);
    upload_fini(&upload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_golden_record),
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(refuses_a_record_cut_anywhere),
        cmocka_unit_test(refuses_a_record_with_any_bit_turned),
        cmocka_unit_test(refuses_bytes_behind_the_record),
        cmocka_unit_test(saves_only_what_was_marked),
        cmocka_unit_test(finds_sources_by_their_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
