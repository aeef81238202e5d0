/* What section "Recovery" of docs/log-format.md promises: a torn last write is set aside, any other
 * damage stops the start, and nothing wrong is ever given out. */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_fixture.h"
#include "tests/lib/seed.h"

enum { SECTOR = 512, IMAGE_BYTES = 256 * 1024 };

static char store[FIXTURE_PATH_BYTES];
static char first_segment[256];
static struct history history;
static struct rng rng;
static uint64_t ends[LOG_APPEND_BATCHES_MAX * 8]; /* [i]: offset behind batch i, first segment */
static uint8_t image[IMAGE_BYTES];                /* the first segment before the damage */

static int set_up(void **state)
{
    (void)state;
    fixture_folder(store, false);
    segment_path(store, 0, first_segment, sizeof first_segment);
    history_init(&history);
    rng_init(&rng, test_seed(20260101));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    history_fini(&history);
    fixture_remove(store);
    return 0;
}

static uint64_t batch_size(size_t number)
{
    const struct batch_view *view = &history.batches[number].view;
    const uint64_t size =
        BATCH_HEADER_BYTES + view->sources.size + view->accepted.size + view->rejected.size;
    return (size + 7) / 8 * 8;
}

static uint64_t start_of(size_t number)
{
    return number == 0 ? 0 : ends[number - 1];
}

static void take_image(void)
{
    uint64_t end = 0;
    for (size_t i = 0; i < history.count; i++)
        ends[i] = end += batch_size(i);
    assert_true(end < IMAGE_BYTES);
    peek(first_segment, 0, image, sizeof image);
}

static void restore_image(void)
{
    poke(first_segment, 0, image, sizeof image);
}

/* A store with `count` batches of some hundred bytes, written in groups of `group`. */
static void make_store(size_t count, uint32_t group)
{
    struct log *log = fixture_open(store, &history, 1, NULL);
    for (size_t i = 0; i < count; i++)
        history_add(&history, &(struct batch_recipe){1, 1, 60, 1}, &rng);
    history_append(&history, log, 1, count, group);
    log_close(&log);
    take_image();
}

/* The opening fails, names the file and an offset, and changes nothing. */
static void assert_damaged(const char *name, uint64_t offset)
{
    struct log *log = NULL;
    struct detail warning;
    struct detail detail = {""};
    size_t visited = 0;
    char place[128];
    const enum status status = fixture_try_open(store, &history, &log, &visited, &warning, &detail);
    if (status != STATUS_DAMAGED)
        print_error("%s: %s %s\n", status_text(status), detail.text, warning.text);
    assert_int_equal(status, STATUS_DAMAGED);
    assert_null(log);
    (void)snprintf(place, sizeof place, "%s: offset %" PRIu64 ": ", name, offset);
    if (strstr(detail.text, place) == NULL)
        print_error("expected '%s' in: %s\n", place, detail.text);
    assert_non_null(strstr(detail.text, place));
}

/* The opening sets something aside, gives back exactly `kept` batches, and the log goes on. */
static void assert_set_aside(size_t kept)
{
    struct detail warning;
    struct log *log = fixture_open(store, &history, kept, &warning);
    assert_non_null(strstr(warning.text, "set"));
    assert_non_null(strstr(warning.text, "aside"));
    assert_int_equal(log_durable(log).last_batch, kept - 1);
    history_append(&history, log, kept, history.count - kept, 1);
    log_close(&log);
    log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void zero_out(uint64_t from, uint64_t to)
{
    static const uint8_t zeros[64 * 1024];
    assert_true(to - from <= sizeof zeros);
    poke(first_segment, from, zeros, (size_t)(to - from));
}

/* ---- torn tails ---- */

static void a_tail_torn_at_any_byte_is_set_aside(void **state)
{
    (void)state;
    make_store(3, 1);
    const uint64_t start = start_of(3);
    for (uint64_t torn = start; torn < ends[3]; torn++) {
        restore_image();
        zero_out(torn, ends[3]);
        static uint8_t left[IMAGE_BYTES];
        peek(first_segment, 0, left, sizeof left);
        struct detail warning;
        const bool whole = memcmp(left, image, sizeof left) == 0; /* only padding was lost */
        struct log *log = fixture_open(store, &history, whole ? 4 : 3, &warning);
        assert_int_equal(warning.text[0] == '\0', whole || torn == start);
        if (!whole)
            history_append(&history, log, 3, 1, 1);
        log_close(&log);
        log = fixture_open(store, &history, 4, NULL);
        log_close(&log);
    }
}

static void what_is_set_aside_is_kept_whole_and_zeroed_in_place(void **state)
{
    (void)state;
    make_store(3, 1);
    for (int round = 0; round < 3; round++) { /* torn at the same place again and again */
        char path[300];
        char again[8] = "";
        uint8_t bytes[1024];
        const uint64_t start = start_of(3);
        const uint64_t torn = ends[3] - 20;
        restore_image();
        zero_out(torn, ends[3]);
        struct detail warning;
        struct log *log = fixture_open(store, &history, 3, &warning);
        if (round > 0)
            (void)snprintf(again, sizeof again, "-%d", round);
        (void)snprintf(path, sizeof path, "%s/set-aside/%020d-%" PRIu64 "%s.bin", store, 0, start,
                       again);
        assert_non_null(strstr(warning.text, strrchr(path, '/') + 1));
        assert_in_range(file_bytes_of(path), torn - start - 2, torn - start);
        peek(path, 0, bytes, (size_t)file_bytes_of(path));
        assert_memory_equal(bytes, image + start, (size_t)file_bytes_of(path));
        peek(first_segment, start, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], 0);
        log_close(&log);
    }
}

/* Power fails in the middle of a write of several batches: any of its sectors may be missing. */
static void a_group_torn_anywhere_opens_with_what_is_whole(void **state)
{
    (void)state;
    make_store(4, 1);
    struct log *log = fixture_open(store, &history, 5, NULL);
    for (size_t i = 0; i < 12; i++)
        history_add(&history,
                    &(struct batch_recipe){.events = 1 + (uint32_t)rng_below(&rng, 3),
                                           .data_bytes = (uint32_t)rng_below(&rng, 900)},
                    &rng);
    history_append(&history, log, 5, 12, 12);
    log_close(&log);
    take_image();
    const uint64_t begin = start_of(5);
    const uint64_t end = ends[16];
    for (int round = 0; round < 100; round++) {
        restore_image();
        const uint64_t chance = 1 + rng_below(&rng, 8);
        for (uint64_t at = begin; at < end; at = (at / SECTOR + 1) * SECTOR) {
            const uint64_t next = (at / SECTOR + 1) * SECTOR;
            if (rng_below(&rng, 8) < chance)
                zero_out(at, next < end ? next : end);
        }
        size_t whole = 5;
        static uint8_t now[IMAGE_BYTES];
        peek(first_segment, 0, now, sizeof now);
        while (whole < 17 && memcmp(now + start_of(whole), image + start_of(whole),
                                    (size_t)batch_size(whole)) == 0)
            whole++;
        struct detail warning;
        log = fixture_open(store, &history, whole, &warning);
        history_append(&history, log, whole, 17 - whole, 3);
        log_close(&log);
        log = fixture_open(store, &history, 17, NULL);
        log_close(&log);
    }
}

static void a_torn_first_write_of_a_segment_is_set_aside(void **state)
{
    (void)state;
    char path[256];
    const struct batch_recipe large = {.events = 30, .data_bytes = 65000, .step_ns = 1};
    struct log *log = fixture_open(store, &history, 1, NULL);
    for (int i = 0; i < 3; i++)
        history_add(&history, &large, &rng);
    history_append(&history, log, 1, 3, 1);
    assert_int_equal(log_durable(log).segment, 3);
    log_close(&log);
    segment_path(store, 3, path, sizeof path);
    flip_bit(path, 70000, 3);
    assert_set_aside(3);
}

static void bytes_behind_the_end_are_set_aside(void **state)
{
    (void)state;
    make_store(3, 1);
    const uint8_t stray = 0x40;
    poke(first_segment, ends[3] + 100000, &stray, 1);
    struct detail warning;
    struct log *log = fixture_open(store, &history, 4, &warning);
    assert_non_null(strstr(warning.text, "aside"));
    log_close(&log);
    poke(first_segment, FIXTURE_SEGMENT_BYTES - 1, &stray, 1);
    log = fixture_open(store, &history, 4, &warning);
    assert_non_null(strstr(warning.text, "aside"));
    log_close(&log);
    log = fixture_open(store, &history, 4, NULL);
    log_close(&log);
}

/* ---- flipped bits ---- */

static void a_flipped_bit_in_the_last_batch_sets_it_aside(void **state)
{
    (void)state;
    make_store(3, 1);
    for (uint64_t at = start_of(3); at < ends[3]; at++) {
        restore_image();
        flip_bit(first_segment, at, (unsigned)rng_below(&rng, 8));
        struct detail warning;
        struct log *log = fixture_open(store, &history, 3, &warning);
        assert_non_null(strstr(warning.text, "aside"));
        log_close(&log);
    }
}

static void a_flipped_bit_in_an_earlier_batch_stops_the_start(void **state)
{
    (void)state;
    make_store(3, 1);
    for (uint64_t at = 0; at < ends[2]; at++) {
        size_t number = 0;
        while (at >= ends[number])
            number++;
        restore_image();
        flip_bit(first_segment, at, (unsigned)rng_below(&rng, 8));
        assert_damaged("00000000000000000000.seg", start_of(number));
    }
    restore_image();
    struct log *log = fixture_open(store, &history, 4, NULL); /* nothing was changed meanwhile */
    log_close(&log);
}

static void a_flipped_bit_in_an_earlier_batch_of_the_last_write_stops_the_start(void **state)
{
    (void)state;
    make_store(4, 4); /* all in one write, yet no sector is missing */
    for (size_t number = 1; number < 4; number++) {
        for (uint64_t at = start_of(number); at < ends[number]; at += 1 + rng_below(&rng, 4)) {
            restore_image();
            flip_bit(first_segment, at, (unsigned)rng_below(&rng, 8));
            assert_damaged("00000000000000000000.seg", start_of(number));
        }
    }
}

static void a_sector_lost_from_an_earlier_write_stops_the_start(void **state)
{
    (void)state;
    make_store(8, 2);
    const uint64_t sector = start_of(3) / SECTOR * SECTOR + SECTOR;
    assert_true(sector + SECTOR < ends[6]);
    zero_out(sector, sector + SECTOR);
    size_t number = 0;
    while (sector >= ends[number])
        number++;
    assert_damaged("00000000000000000000.seg", start_of(number));
}

static void a_damaged_genesis_stops_the_start_even_with_nothing_behind_it(void **state)
{
    (void)state;
    make_store(0, 1);
    for (uint64_t at = 0; at < ends[0]; at += 3) {
        restore_image();
        flip_bit(first_segment, at, (unsigned)rng_below(&rng, 8));
        assert_damaged("00000000000000000000.seg", 0);
    }
    restore_image();
    zero_out(0, ends[0]);
    assert_damaged("00000000000000000000.seg", 0);
}

/* ---- files ---- */

/* Five segments or so; numbers[] are their names. */
static size_t make_segments(uint64_t *numbers, size_t max)
{
    const struct batch_recipe large = {.events = 16, .data_bytes = 65000, .step_ns = 1};
    struct log *log = fixture_open(store, &history, 1, NULL);
    size_t count = 0;
    numbers[count++] = 0;
    while (count < max) {
        history_add(&history, &large, &rng);
        history_append(&history, log, history.count - 1, 1, 1);
        const uint64_t segment = log_durable(log).segment;
        if (segment != numbers[count - 1])
            numbers[count++] = segment;
    }
    log_close(&log);
    return count;
}

static void a_missing_segment_stops_the_start(void **state)
{
    (void)state;
    uint64_t numbers[4];
    char path[256];
    char aside[256];
    const size_t count = make_segments(numbers, 4);
    (void)snprintf(aside, sizeof aside, "%s/elsewhere", store);
    for (size_t i = 0; i + 1 < count; i++) {
        struct log *log = NULL;
        struct detail warning;
        struct detail detail = {""};
        size_t visited = 0;
        segment_path(store, numbers[i], path, sizeof path);
        assert_int_equal(rename(path, aside), 0);
        assert_int_equal(fixture_try_open(store, &history, &log, &visited, &warning, &detail),
                         STATUS_DAMAGED);
        assert_non_null(strstr(detail.text, "segment"));
        assert_int_equal(rename(aside, path), 0);
    }
    struct log *log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void a_segment_of_the_wrong_size_stops_the_start(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0,
                                     100,
                                     4096,
                                     FIXTURE_SEGMENT_BYTES - 4096,
                                     FIXTURE_SEGMENT_BYTES - 1,
                                     FIXTURE_SEGMENT_BYTES + 4096};
    uint64_t numbers[3];
    char path[256];
    const size_t count = make_segments(numbers, 3);
    for (size_t i = 0; i < count * 6; i++) {
        segment_path(store, numbers[i / 6], path, sizeof path);
        uint8_t *bytes = malloc(FIXTURE_SEGMENT_BYTES);
        assert_non_null(bytes);
        peek(path, 0, bytes, FIXTURE_SEGMENT_BYTES);
        assert_int_equal(truncate(path, (off_t)sizes[i % 6]), 0);
        struct log *log = NULL;
        struct detail warning;
        struct detail detail = {""};
        size_t visited = 0;
        assert_int_equal(fixture_try_open(store, &history, &log, &visited, &warning, &detail),
                         STATUS_DAMAGED);
        assert_non_null(strstr(detail.text, strrchr(path, '/') + 1));
        assert_int_equal(truncate(path, FIXTURE_SEGMENT_BYTES), 0);
        poke(path, 0, bytes, FIXTURE_SEGMENT_BYTES);
        free(bytes);
    }
    struct log *log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void bytes_behind_the_end_of_an_earlier_segment_stop_the_start(void **state)
{
    (void)state;
    uint64_t numbers[3];
    (void)make_segments(numbers, 3);
    flip_bit(first_segment, FIXTURE_SEGMENT_BYTES - 9, 0);
    uint64_t end = 0;
    for (size_t i = 0; i < numbers[1]; i++)
        end += batch_size(i);
    assert_damaged("00000000000000000000.seg", end);
}

static void a_damaged_last_batch_of_an_earlier_segment_stops_the_start(void **state)
{
    (void)state;
    uint64_t numbers[2];
    char name[64];
    char path[256];
    (void)make_segments(numbers, 2);
    uint64_t start = 0;
    for (size_t i = 0; i + 1 < numbers[1]; i++)
        start += batch_size(i);
    flip_bit(first_segment, start + 1000, 5);
    assert_damaged("00000000000000000000.seg", start);
    /* … even where the later segment is prepared but empty: it proves that all before was durable
     */
    segment_path(store, numbers[1], path, sizeof path);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(truncate(path, FIXTURE_SEGMENT_BYTES), 0);
    (void)snprintf(name, sizeof name, "%020d.seg", 0);
    assert_damaged(name, start);
}

/* ---- hostile records ---- */

/* A producer sends an event that holds the bytes of a batch header, in the hope that it passes for
 * one after a crash. It does not know the salt. */
static void a_header_planted_in_a_record_proves_nothing(void **state)
{
    (void)state;
    make_store(3, 1);
    uint8_t planted[BATCH_HEADER_BYTES];
    struct history other;
    char folder[FIXTURE_PATH_BYTES];
    char path[256];
    fixture_folder(folder, false); /* a valid header, of another log */
    history_init(&other);
    struct log *log = fixture_open(folder, &other, 1, NULL);
    for (int i = 0; i < 9; i++)
        history_add(&other, &(struct batch_recipe){1, 1, 60, 1}, &rng);
    history_append(&other, log, 1, 9, 1);
    log_close(&log);
    segment_path(folder, 0, path, sizeof path);
    uint64_t offset = 0;
    for (size_t i = 0; i < 9; i++) {
        const struct batch_view *view = &other.batches[i].view;
        offset += (BATCH_HEADER_BYTES + view->sources.size + view->accepted.size +
                   view->rejected.size + 7) /
                  8 * 8;
    }
    peek(path, offset, planted, sizeof planted);
    poke(first_segment, start_of(3) + BATCH_HEADER_BYTES, planted, sizeof planted);
    assert_set_aside(3);
    restore_image();
    peek(first_segment, start_of(3), planted, sizeof planted); /* with the salt it would be proof */
    poke(first_segment, start_of(2) + BATCH_HEADER_BYTES, planted, sizeof planted);
    assert_damaged("00000000000000000000.seg", start_of(2));
    history_fini(&other);
    fixture_remove(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_tail_torn_at_any_byte_is_set_aside),
        TEST(what_is_set_aside_is_kept_whole_and_zeroed_in_place),
        TEST(a_group_torn_anywhere_opens_with_what_is_whole),
        TEST(a_torn_first_write_of_a_segment_is_set_aside),
        TEST(bytes_behind_the_end_are_set_aside),
        TEST(a_flipped_bit_in_the_last_batch_sets_it_aside),
        TEST(a_flipped_bit_in_an_earlier_batch_stops_the_start),
        TEST(a_flipped_bit_in_an_earlier_batch_of_the_last_write_stops_the_start),
        TEST(a_sector_lost_from_an_earlier_write_stops_the_start),
        TEST(a_damaged_genesis_stops_the_start_even_with_nothing_behind_it),
        TEST(a_missing_segment_stops_the_start),
        TEST(a_segment_of_the_wrong_size_stops_the_start),
        TEST(bytes_behind_the_end_of_an_earlier_segment_stop_the_start),
        TEST(a_damaged_last_batch_of_an_earlier_segment_stops_the_start),
        TEST(a_header_planted_in_a_record_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
