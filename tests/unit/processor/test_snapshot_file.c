/* Snapshot files: what was put comes back; no flipped, missing or added byte goes unseen. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "processor/store/snapshot.h"
#include "tests/unit/processor/store_fixture.h"

enum { NUMBER = 713, FILE_BYTES = 128 + (8 + 7) + (8 + 5) + (8 + 9) + 8 };

static char folder[FIXTURE_PATH_BYTES];

static const struct snapshot_header header = {
    .start = {.segment = 700,
              .offset = 4096,
              .chain = {.next_number = NUMBER,
                        .next_event_id = 1001,
                        .next_rejection_id = 51,
                        .last_time_ns = 123456789,
                        .salt = 0x0102030405060708,
                        .write_first = 711,
                        .state_digest = 0x8091a2b3c4d5e6f7,
                        .last_crc = 0x11223344}},
    .log_id.bytes = "0123456789abcdef"};

static int set_up(void **state)
{
    (void)state;
    fixture_folder(folder, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_remove(folder);
    return 0;
}

static void path_of(char ret_path[FIXTURE_PATH_BYTES + 64], const char *name)
{
    (void)snprintf(ret_path, FIXTURE_PATH_BYTES + 64, "%s/snapshots/%s", folder, name);
}

static void write_one(void)
{
    struct snapshot_writer *writer;
    struct detail detail;
    uint64_t bytes;
    assert_int_equal(
        snapshot_writer_new(folder, &header, slice_of_text("genesis"), &writer, &detail),
        STATUS_OK);
    assert_int_equal(snapshot_put(writer, slice_of_text("first"), &detail), STATUS_OK);
    assert_int_equal(snapshot_put(writer, slice_of_text("secondary"), &detail), STATUS_OK);
    assert_int_equal(snapshot_finish(writer, &bytes, &detail), STATUS_OK);
    assert_int_equal(bytes, FILE_BYTES);
    snapshot_writer_destroy(&writer);
}

/* Reads to the end; END when all of it is good. */
static enum status read_all(struct buffer *ret_all)
{
    struct snapshot_reader *reader = NULL;
    struct slice block;
    struct detail detail;
    buffer_init(ret_all, 1024);
    enum status status = snapshot_reader_new(folder, NUMBER, &reader, &detail);
    while (status == STATUS_OK) {
        status = snapshot_take(reader, &block, &detail);
        if (status == STATUS_OK)
            buffer_append(ret_all, block.data, block.size);
    }
    snapshot_reader_destroy(&reader);
    return status;
}

static void gives_back_what_was_put(void **state)
{
    (void)state;
    struct buffer all;
    struct snapshot_reader *reader;
    struct detail detail;
    write_one();
    assert_int_equal(read_all(&all), STATUS_END);
    assert_true(slice_equal_text(buffer_slice(&all), "genesisfirstsecondary"));
    buffer_fini(&all);
    assert_int_equal(snapshot_reader_new(folder, NUMBER, &reader, &detail), STATUS_OK);
    assert_memory_equal(snapshot_header(reader), &header, sizeof header);
    assert_int_equal(snapshot_bytes(reader), FILE_BYTES);
    snapshot_reader_destroy(&reader);
}

static void no_changed_byte_goes_unseen(void **state)
{
    (void)state;
    char path[FIXTURE_PATH_BYTES + 64];
    struct buffer all;
    write_one();
    path_of(path, "00000000000000000713.snap");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t i = 0; i < FILE_BYTES * 8; i++) {
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, i / 8), 1);
        byte ^= (uint8_t)(1u << i % 8);
        assert_int_equal(pwrite(fd, &byte, 1, i / 8), 1);
        assert_int_equal(read_all(&all), STATUS_DAMAGED);
        buffer_fini(&all);
        byte ^= (uint8_t)(1u << i % 8);
        assert_int_equal(pwrite(fd, &byte, 1, i / 8), 1);
    }
    assert_int_equal(pwrite(fd, "", 1, FILE_BYTES), 1);
    assert_int_equal(read_all(&all), STATUS_DAMAGED);
    buffer_fini(&all);
    for (off_t size = FILE_BYTES - 1; size >= 0; size--) {
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(read_all(&all), STATUS_DAMAGED);
        buffer_fini(&all);
    }
    close(fd);
}

static void what_is_not_finished_has_no_name(void **state)
{
    (void)state;
    struct snapshot_writer *writer;
    struct segment_list list = {0};
    struct detail detail;
    char path[FIXTURE_PATH_BYTES + 64];
    assert_int_equal(
        snapshot_writer_new(folder, &header, slice_of_text("genesis"), &writer, &detail),
        STATUS_OK);
    assert_int_equal(snapshot_list_read(&list, folder, &detail), STATUS_OK);
    assert_int_equal(list.count, 0);
    path_of(path, SNAPSHOT_TEMP_NAME);
    assert_int_equal(access(path, F_OK), 0);
    snapshot_writer_destroy(&writer);
    assert_int_equal(access(path, F_OK), -1);
    write_one();
    assert_int_equal(snapshot_list_read(&list, folder, &detail), STATUS_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.numbers[0], NUMBER);
    assert_int_equal(snapshot_remove(folder, NUMBER, &detail), STATUS_OK);
    segment_list_fini(&list);
    assert_int_equal(snapshot_list_read(&list, folder, &detail), STATUS_OK);
    assert_int_equal(list.count, 0);
    segment_list_fini(&list);
}

int main(void)
{
#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        with_folder(gives_back_what_was_put),
        with_folder(no_changed_byte_goes_unseen),
        with_folder(what_is_not_finished_has_no_name),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
