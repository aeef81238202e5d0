#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/wire/control.h"
#include "projector/http/processor_seen.h"

enum { REPLY_BYTES_MAX = 4096 };

/* What a processor says: its log time, its CLOCK_BOOTTIME, and its counters. */
struct said {
    uint64_t now_ns, boot_ns, accepted, rate_limited;
};

static struct buffer reply_of(struct said said)
{
    struct buffer reply;
    buffer_init(&reply, REPLY_BYTES_MAX);
    control_ok_write(&reply, 1);
    codec_map(&reply, 5);
    codec_text(&reply, "now");
    codec_uint(&reply, said.now_ns);
    codec_text(&reply, "boottime");
    codec_uint(&reply, said.boot_ns);
    codec_text(&reply, "accepted");
    codec_uint(&reply, said.accepted);
    codec_text(&reply, "refused");
    codec_map(&reply, 1);
    codec_text(&reply, reason_text(REASON_RATE_LIMITED));
    codec_uint(&reply, said.rate_limited);
    codec_text(&reply, "last_rejection_id");
    codec_uint(&reply, said.rate_limited);
    assert_int_equal(reply.status, STATUS_OK);
    return reply;
}

/* It was asked at `asked_ns`, and this was heard at `heard_ns`. */
static void hear(struct processor_seen *seen, struct said said, uint64_t asked_ns,
                 uint64_t heard_ns)
{
    struct buffer reply = reply_of(said);
    seen->asked_at_ns = asked_ns;
    processor_seen_take(seen, buffer_slice(&reply), heard_ns);
    buffer_fini(&reply);
}

static void it_is_away_until_it_has_answered_and_again_after_three_seconds(void **state)
{
    (void)state;
    struct processor_seen seen;
    processor_seen_init(&seen);
    assert_false(processor_seen_is_up(&seen, 0));
    assert_int_equal(processor_seen_last_rejection_id(&seen), 0);
    hear(&seen, (struct said){50, 101, 0, 8}, 100, 102);
    assert_true(processor_seen_is_up(&seen, 102 + PROCESSOR_UP_NS - 1));
    assert_false(processor_seen_is_up(&seen, 102 + PROCESSOR_UP_NS));
    assert_int_equal(processor_seen_last_rejection_id(&seen), 8);
    processor_seen_fini(&seen);
}

static void rates_are_those_between_two_answers_by_its_own_clock(void **state)
{
    (void)state;
    struct processor_seen seen;
    processor_seen_init(&seen);
    hear(&seen, (struct said){1, 10 * NS_PER_S, 1000, 5}, 0, 1);
    assert_true(seen.accepted_per_s == 0 && seen.refused_per_s[REASON_RATE_LIMITED] == 0);
    hear(&seen, (struct said){2, 12 * NS_PER_S, 1500, 6}, 0, 1);
    assert_true(seen.accepted_per_s == 250 && seen.refused_per_s[REASON_RATE_LIMITED] == 0.5);
    assert_true(seen.refused_per_s[REASON_INVALID] == 0);
    hear(&seen, (struct said){3, 13 * NS_PER_S, 1500, 6}, 0, 1);
    assert_true(seen.accepted_per_s == 0 && seen.refused_per_s[REASON_RATE_LIMITED] == 0);
    processor_seen_fini(&seen);
}

static void a_processor_that_began_anew_has_no_rate_yet(void **state)
{
    (void)state;
    struct processor_seen seen;
    processor_seen_init(&seen);
    hear(&seen, (struct said){1, 10 * NS_PER_S, 1000, 5}, 0, 1);
    hear(&seen, (struct said){2, 11 * NS_PER_S, 10, 90}, 0, 1);
    assert_true(seen.accepted_per_s == 0 && seen.refused_per_s[REASON_RATE_LIMITED] == 0);
    hear(&seen, (struct said){3, 5 * NS_PER_S, 100, 99}, 0, 1); /* another host */
    assert_true(seen.accepted_per_s == 0 && seen.refused_per_s[REASON_RATE_LIMITED] == 0);
    hear(&seen, (struct said){4, 6 * NS_PER_S, 130, 99}, 0, 1);
    assert_true(seen.accepted_per_s == 30);
    processor_seen_fini(&seen);
}

static void log_time_stands_to_the_clock_of_one_host_or_to_the_middle_of_two(void **state)
{
    (void)state;
    struct processor_seen seen;
    processor_seen_init(&seen);
    hear(&seen, (struct said){.now_ns = 5000, .boot_ns = 1010}, 1000, 1100);
    assert_int_equal(seen.log_offset_ns, 5000 - 1010);
    hear(&seen, (struct said){.now_ns = 5000, .boot_ns = 999}, 1000, 1100);
    assert_int_equal(seen.log_offset_ns, 5000 - 1050);
    hear(&seen, (struct said){.now_ns = 5000, .boot_ns = 1101}, 1000, 1100);
    assert_int_equal(seen.log_offset_ns, 5000 - 1050);
    hear(&seen, (struct said){.now_ns = 10, .boot_ns = 1010}, 1000, 1100);
    assert_int_equal(seen.log_offset_ns, 10 - 1010);
    processor_seen_fini(&seen);
}

static void a_reply_that_cannot_be_read_changes_nothing(void **state)
{
    (void)state;
    struct processor_seen seen;
    struct buffer reply = reply_of((struct said){9, 9, 9, 9}), error;
    processor_seen_init(&seen);
    hear(&seen, (struct said){50, 101, 7, 8}, 100, 102);
    size_t known = seen.status.size;
    for (size_t size = 0; size < reply.size; size++)
        processor_seen_take(&seen, (struct slice){reply.data, size}, 999);
    buffer_init(&error, REPLY_BYTES_MAX);
    control_error_write(&error, CONTROL_CODE_UNAVAILABLE, "later");
    processor_seen_take(&seen, buffer_slice(&error), 999);
    assert_int_equal(seen.at_ns, 102);
    assert_int_equal(seen.accepted, 7);
    assert_int_equal(seen.status.size, known);
    buffer_fini(&error);
    buffer_fini(&reply);
    processor_seen_fini(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_away_until_it_has_answered_and_again_after_three_seconds),
        cmocka_unit_test(rates_are_those_between_two_answers_by_its_own_clock),
        cmocka_unit_test(a_processor_that_began_anew_has_no_rate_yet),
        cmocka_unit_test(log_time_stands_to_the_clock_of_one_host_or_to_the_middle_of_two),
        cmocka_unit_test(a_reply_that_cannot_be_read_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
