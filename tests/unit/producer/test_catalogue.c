#include "producer/core/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/submission.h"

/* What the readers that the processor uses say about one kind's bytes. */
struct reading {
    bool header_good;
    struct submission_header header;
    uint32_t good;      /* events before the first that is not */
    bool event_bad;     /* there is one that is not */
    bool left_over;     /* bytes behind the last event */
    enum reason reason; /* of what is wrong, if anything is */
};

static struct injection_place place_of(const char *marker)
{
    return (struct injection_place){.source = slice_of_text("inject-0123"),
                                    .epoch = 7,
                                    .first_sequence = 1000,
                                    .marker = slice_of_text(marker),
                                    .time_ns = 1767323045000000006ULL};
}

static enum reason reason_of(enum status status)
{
    if (status == STATUS_MALFORMED)
        return REASON_MALFORMED;
    return status == STATUS_TOO_LARGE ? REASON_TOO_LARGE : REASON_INVALID;
}

static void read_events(struct mp_reader *reader, struct reading *reading)
{
    for (uint32_t i = 0; i < reading->header.count; i++) {
        struct event event;
        enum status status = event_read(reader, &event, NULL, NULL);
        if (status != STATUS_OK) {
            reading->event_bad = true;
            reading->reason = reason_of(status);
            return;
        }
        reading->good++;
    }
    reading->left_over = !mp_at_end(reader);
    if (reading->left_over)
        reading->reason = REASON_MALFORMED;
}

static struct reading read_kind(const struct kind *kind, struct slice bytes)
{
    struct reading reading = {.reason = REASON_COUNT};
    struct mp_reader reader = mp_reader_of(bytes);
    if (kind->two_frames || bytes.size > SUBMISSION_BYTES_MAX) {
        reading.reason = kind->two_frames ? REASON_MALFORMED : REASON_TOO_LARGE;
        return reading;
    }
    enum status status = submission_read_header(&reader, &reading.header, NULL);
    reading.header_good = status == STATUS_OK;
    if (reading.header_good)
        read_events(&reader, &reading);
    else
        reading.reason = reason_of(status);
    return reading;
}

static void every_kind_is_as_bad_as_the_table_says(void **state)
{
    (void)state;
    struct injection_place place = place_of("inject-0123.1");
    struct buffer bytes;
    buffer_init(&bytes, INJECTION_BYTES_MAX);
    for (uint32_t i = 0; i < catalogue_count(); i++) {
        const struct kind *kind = catalogue_kind(i);
        if (kind->answer != ANSWER_RECORD)
            continue;
        print_message("%s\n", kind->name);
        buffer_clear(&bytes);
        catalogue_build(kind, &place, &bytes);
        assert_int_equal(bytes.status, STATUS_OK);

        struct reading reading = read_kind(kind, buffer_slice(&bytes));

        assert_string_equal(reason_text(reading.reason), reason_text(kind->reason));
        assert_int_equal(reading.header_good, !kind->nameless);
        assert_int_equal(reading.good, kind->good);
        assert_int_equal(reading.event_bad, kind->refused > 0 || kind->unsequenced);
        if (reading.header_good) {
            assert_true(slice_equal(reading.header.source, place.source));
            assert_int_equal(reading.header.epoch, place.epoch);
            assert_int_equal(reading.header.first_sequence, kind->unsequenced ? 0 : 1000);
        }
    }
    buffer_fini(&bytes);
}

static void what_is_counted_only_is_good_but_for_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t epoch, first_sequence;
        uint32_t events;
    } expected[] = {
        {"gap", 7, 1000 + INJECTION_GAP, 1},
        {"stale-epoch", 6, 1000, 1},
        {"future-epoch", 8, 1000, 1},
        {"duplicates", 7, 1000, 2},
    };
    struct injection_place place = place_of("inject-0123.1");
    struct buffer bytes;
    buffer_init(&bytes, INJECTION_BYTES_MAX);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct kind *kind = catalogue_find(expected[i].name);
        assert_non_null(kind);
        buffer_clear(&bytes);
        catalogue_build(kind, &place, &bytes);

        struct reading reading = read_kind(kind, buffer_slice(&bytes));

        assert_int_equal(reading.reason, REASON_COUNT);
        assert_int_equal(reading.header.epoch, expected[i].epoch);
        assert_int_equal(reading.header.first_sequence, expected[i].first_sequence);
        assert_int_equal(reading.good, expected[i].events);
    }
    buffer_fini(&bytes);
}

static void each_name_stands_once_and_is_found(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < catalogue_count(); i++) {
        const struct kind *kind = catalogue_kind(i);
        assert_ptr_equal(catalogue_find(kind->name), kind);
        assert_true(strlen(kind->what) > 0);
    }
    assert_null(catalogue_find("no-such-kind"));
    assert_null(catalogue_find(""));
}

/* Where a record cannot name the source, its evidence must tell this run from all others. */
static void nameless_kinds_begin_with_something_of_their_own(void **state)
{
    (void)state;
    struct buffer mine, others;
    buffer_init(&mine, INJECTION_BYTES_MAX);
    buffer_init(&others, INJECTION_BYTES_MAX);
    struct injection_place my_place = place_of("inject-0123.1");
    struct injection_place other_place = my_place;
    other_place.source = slice_of_text("inject-4567");
    other_place.marker = slice_of_text("inject-4567.1");
    for (uint32_t i = 0; i < catalogue_count(); i++) {
        const struct kind *kind = catalogue_kind(i);
        if (!kind->nameless || strcmp(kind->name, "empty-frame") == 0)
            continue;
        buffer_clear(&mine);
        buffer_clear(&others);
        catalogue_build(kind, &my_place, &mine);
        catalogue_build(kind, &other_place, &others);
        size_t size = mine.size < 256 ? mine.size : 256;
        assert_true(others.size >= size);
        assert_memory_not_equal(mine.data, others.data, size);
    }
    buffer_fini(&mine);
    buffer_fini(&others);
}

/* Independent of the writers: the bytes of two kinds as literals. */
static void bytes_are_as_written_down(void **state)
{
    (void)state;
    static const uint8_t whole[] = "\xc1inject-0123";
    static const uint8_t nan[] = "\x95\x01\xabinject-0123\x07\xcd\x03\xe8\x01"
                                 "\x95\xcf\x18\x86\xca\xf2\x1c\x96\x32\x06\xac"
                                 "inject.probe\xadinject-0123.1\x01"
                                 "\x81\xa1x\xcb\x7f\xf8\0\0\0\0\0\0";
    struct injection_place place = place_of("inject-0123.1");
    struct buffer bytes;
    buffer_init(&bytes, INJECTION_BYTES_MAX);

    catalogue_build(catalogue_find("not-messagepack"), &place, &bytes);
    assert_int_equal(bytes.size, sizeof whole - 1);
    assert_memory_equal(bytes.data, whole, sizeof whole - 1);

    buffer_clear(&bytes);
    catalogue_build(catalogue_find("nan"), &place, &bytes);
    assert_int_equal(bytes.size, sizeof nan - 1);
    assert_memory_equal(bytes.data, nan, sizeof nan - 1);
    buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_as_bad_as_the_table_says),
        cmocka_unit_test(what_is_counted_only_is_good_but_for_its_place),
        cmocka_unit_test(each_name_stands_once_and_is_found),
        cmocka_unit_test(nameless_kinds_begin_with_something_of_their_own),
        cmocka_unit_test(bytes_are_as_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
