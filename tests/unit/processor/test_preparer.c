#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "processor/store/preparer.h"
#include "processor/store/segment.h"
#include "store_fixture.h"

enum { MEGABYTE = 1024 * 1024, LARGE_BYTES = 64 * MEGABYTE };

static char store[FIXTURE_PATH_BYTES];
static struct folder folder;
static struct detail detail;

static int set_up(void **state)
{
    (void)state;
    fixture_folder(store, true);
    return folder_open(&folder, store, NULL, false, &detail) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    folder_close(&folder);
    fixture_remove(store);
    return 0;
}

static struct preparer *start(uint64_t segment_bytes)
{
    struct preparer *preparer = NULL;
    assert_int_equal(preparer_new(&folder, segment_bytes, &preparer, &detail), STATUS_OK);
    return preparer;
}

/* Takes the spare as the log does, and lets the thread go on. */
static struct file take(struct preparer *preparer, const char *name)
{
    struct file spare, none = {.fd = -1};
    assert_int_equal(preparer_wait(preparer, &detail), STATUS_OK);
    preparer_take(preparer, &spare);
    assert_int_equal(file_rename(&spare, name, &detail), STATUS_OK);
    preparer_resume(preparer, &none);
    return spare;
}

static void expect_zeros_to_be_written_over(struct file *file, uint64_t bytes)
{
    uint8_t *content = malloc(MEGABYTE);
    assert_non_null(content);
    assert_int_equal(file->bytes, bytes);
    assert_int_equal(lseek(file->fd, 0, SEEK_END), bytes);
    for (uint64_t at = 0; at < bytes; at += MEGABYTE) {
        assert_int_equal(file_read(file, at, content, MEGABYTE, &detail), STATUS_OK);
        assert_int_equal(content[0], 0);
        assert_memory_equal(content, content + 1, MEGABYTE - 1);
    }
    free(content);
    assert_int_equal(fcntl(file->fd, F_GETFL) & O_DIRECT, 0);
    assert_int_equal(file_write(file, 1, "odd", 3, &detail),
                     STATUS_OK); /* through the page cache */
    file_close(file);
}

/* Until zeros were written from the spare's beginning to `bytes` at least. */
static void wait_for_zeros(off_t bytes)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    off_t end = 0;
    while (end < bytes) {
        const int fd = openat(folder.fd, SEGMENT_SPARE_NAME, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            end = lseek(fd, 0, SEEK_DATA) == 0 ? lseek(fd, 0, SEEK_HOLE) : 0;
            (void)close(fd);
        }
        (void)nanosleep(&pause, NULL);
    }
}

static void one_spare_after_another_has_its_space_and_reads_as_zeros(void **state)
{
    (void)state;
    struct preparer *preparer = start(4 * MEGABYTE);
    for (int i = 0; i < 20; i++) {
        char name[SEGMENT_NAME_BYTES];
        (void)snprintf(name, sizeof name, "segment-%d", i);
        struct file spare = take(preparer, name);
        expect_zeros_to_be_written_over(&spare, 4 * MEGABYTE);
    }
    preparer_destroy(&preparer);
}

static void zeros_are_written_to_a_spare_that_nobody_takes(void **state)
{
    (void)state;
    struct preparer *preparer = start(4 * MEGABYTE);
    wait_for_zeros(4 * MEGABYTE);
    assert_true(preparer_settled(preparer));
    struct file spare = take(preparer, "segment");
    expect_zeros_to_be_written_over(&spare, 4 * MEGABYTE);
    preparer_destroy(&preparer);
}

static void a_spare_may_be_taken_while_zeros_are_written(void **state)
{
    (void)state;
    struct preparer *preparer = start(LARGE_BYTES);
    wait_for_zeros(1);
    assert_true(preparer_settled(preparer));
    struct file spare = take(preparer, "segment");
    expect_zeros_to_be_written_over(&spare, LARGE_BYTES);
    preparer_destroy(&preparer);
}

static void a_stop_does_not_wait_for_zeros_and_the_next_start_is_none_the_worse(void **state)
{
    (void)state;
    struct preparer *preparer = start(LARGE_BYTES);
    wait_for_zeros(1);
    preparer_destroy(&preparer);
    preparer = start(4 * MEGABYTE);
    struct file spare = take(preparer, "segment");
    expect_zeros_to_be_written_over(&spare, 4 * MEGABYTE);
    preparer_destroy(&preparer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_spare_after_another_has_its_space_and_reads_as_zeros),
        TEST(zeros_are_written_to_a_spare_that_nobody_takes),
        TEST(a_spare_may_be_taken_while_zeros_are_written),
        TEST(a_stop_does_not_wait_for_zeros_and_the_next_start_is_none_the_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
