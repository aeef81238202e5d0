#include "common/upload/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/event/json.h"

/* A file with these bytes; the caller removes it. */
static void write_file(char path[32], const void *bytes, size_t size)
{
    strcpy(path, "/tmp/weir-lines-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t part = write(fd, (const char *)bytes + done, size - done);
        assert_true(part > 0);
        done += (size_t)part;
    }
    close(fd);
}

static struct lines *open_lines(const char *path)
{
    struct lines *lines = NULL;
    struct detail detail;
    assert_int_equal(lines_open(path, &lines, &detail), STATUS_OK);
    return lines;
}

/* The next line, or TOO_LARGE, or END when the input is over. */
static enum status next(struct lines *lines, struct slice *ret_line)
{
    struct detail detail;
    for (;;) {
        enum status status = lines_next(lines, ret_line);
        if (status != STATUS_END || lines_over(lines))
            return status;
        assert_int_equal(lines_read(lines, &detail), STATUS_OK);
    }
}

static void expect_line(struct lines *lines, const char *text)
{
    struct slice line;
    assert_int_equal(next(lines, &line), STATUS_OK);
    assert_true(slice_equal_text(line, text));
}

static void expect_end(struct lines *lines)
{
    struct slice line;
    assert_int_equal(next(lines, &line), STATUS_END);
    assert_true(lines_over(lines));
}

static void gives_lines_without_their_ends_and_the_last_one_without_one(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "one\n\ntwo\r\nthree", 15);
    struct lines *lines = open_lines(path);
    expect_line(lines, "one");
    assert_int_equal(lines_taken(lines).bytes, 4);
    expect_line(lines, "");
    expect_line(lines, "two\r");
    expect_line(lines, "three");
    expect_end(lines);
    assert_int_equal(lines_taken(lines).lines, 4);
    assert_int_equal(lines_taken(lines).bytes, 15);
    lines_close(&lines);
    unlink(path);
}

static void throws_away_a_line_that_is_too_long_and_goes_on(void **state)
{
    (void)state;
    static const size_t sizes[] = {JSON_LINE_BYTES_MAX, JSON_LINE_BYTES_MAX + 1,
                                   JSON_LINE_BYTES_MAX * 3};
    for (unsigned i = 0; i < 3; i++) {
        size_t size = sizes[i] + 10;
        char *bytes = malloc(size);
        assert_non_null(bytes);
        memset(bytes, 'x', size);
        memcpy(bytes, "one\n", 4);
        memcpy(bytes + size - 6, "\nlast\n", 6);
        char path[32];
        write_file(path, bytes, size);
        struct lines *lines = open_lines(path);
        struct slice line;
        expect_line(lines, "one");
        assert_int_equal(next(lines, &line), i == 0 ? STATUS_OK : STATUS_TOO_LARGE);
        assert_int_equal(lines_taken(lines).lines, 2);
        expect_line(lines, "last");
        expect_end(lines);
        assert_int_equal(lines_taken(lines).lines, 3);
        assert_int_equal(lines_taken(lines).bytes, size);
        lines_close(&lines);
        unlink(path);
        free(bytes);
    }
}

/* Lines of growing length, about half a megabyte. */
static size_t make_text(char **ret_bytes)
{
    enum { SIZE = 500000 };
    char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t i = 0, line = 1; i < SIZE; i++) {
        bool ends = i % (line * 7) == line * 7 - 1;
        bytes[i] = ends ? '\n' : (char)('a' + i % 26);
        line += ends;
    }
    *ret_bytes = bytes;
    return SIZE;
}

static void goes_on_behind_any_line_after_the_same_beginning(void **state)
{
    (void)state;
    char *bytes, path[32];
    size_t size = make_text(&bytes);
    write_file(path, bytes, size);
    struct lines *lines = open_lines(path);
    struct slice line;
    while (next(lines, &line) == STATUS_OK) {
        struct upload_prefix taken = lines_taken(lines);
        struct detail detail;
        struct lines *again = open_lines(path);
        assert_int_equal(lines_skip(again, &taken, &detail), STATUS_OK);
        struct upload_prefix skipped = lines_taken(again);
        assert_memory_equal(&skipped, &taken, sizeof taken);
        struct slice first;
        enum status status = next(again, &first);
        if (status == STATUS_OK)
            assert_memory_equal(first.data, bytes + taken.bytes, first.size);
        lines_close(&again);
    }
    lines_close(&lines);
    unlink(path);
    free(bytes);
}

static void notices_a_beginning_that_changed_or_is_gone(void **state)
{
    (void)state;
    char *bytes, path[32];
    size_t size = make_text(&bytes);
    write_file(path, bytes, size);
    struct lines *lines = open_lines(path);
    struct slice line;
    while (next(lines, &line) == STATUS_OK)
        continue;
    struct upload_prefix taken = lines_taken(lines);
    lines_close(&lines);
    unlink(path);

    for (size_t at = 0; at < size; at += 9973) {
        struct detail detail;
        bytes[at] ^= 1;
        write_file(path, bytes, size);
        lines = open_lines(path);
        assert_int_equal(lines_skip(lines, &taken, &detail), STATUS_BAD_INPUT);
        lines_close(&lines);
        unlink(path);
        bytes[at] ^= 1;

        write_file(path, bytes, at);
        lines = open_lines(path);
        assert_int_equal(lines_skip(lines, &taken, &detail), STATUS_BAD_INPUT);
        lines_close(&lines);
        unlink(path);
    }
    free(bytes);
}

static void says_why_a_file_cannot_be_read(void **state)
{
    (void)state;
    struct lines *lines = NULL;
    struct detail detail;
    assert_int_equal(lines_open("/tmp/weir-no-such-file", &lines, &detail), STATUS_BAD_INPUT);
    assert_non_null(strstr(detail.text, "No such file"));
    assert_int_equal(lines_open("/tmp", &lines, &detail), STATUS_BAD_INPUT);
    assert_non_null(strstr(detail.text, "folder"));
    assert_null(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_lines_without_their_ends_and_the_last_one_without_one),
        cmocka_unit_test(throws_away_a_line_that_is_too_long_and_goes_on),
        cmocka_unit_test(goes_on_behind_any_line_after_the_same_beginning),
        cmocka_unit_test(notices_a_beginning_that_changed_or_is_gone),
        cmocka_unit_test(says_why_a_file_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
