/* A change of the policies while events flow, with the real core and log; the test stands in for
 * the commit thread and the filler's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/wire/submission.h"
#include "processor/draft.h"
#include "processor/filler.h"
#include "tests/unit/processor/shell_fixture.h"

enum {
    FRAMES = 40,
    FRAME_EVENTS = 1000,
    FRAME_BYTES_MAX = 64 * 1024,
    LOOKS = 20, /* at the core that must not take more */
    /* The core stops behind the submission with which it is more than this ahead. */
    FRAMES_AHEAD = PACE_EVENTS_AHEAD / FRAME_EVENTS + 1,
};

static const char short_policy[] = "[policy \"p\"]\nkey = subject\nquota = 1000000\nwindow = 1ms\n";
static const char long_policy[] = "[policy \"p\"]\nkey = subject\nquota = 1000000\nwindow = 1h\n";

static struct shell shell;
static struct filler *filler;

static int set_up(void **state)
{
    (void)state;
    shell_open(&shell, short_policy, UINT32_MAX);
    recovery_destroy(&shell.mirror); /* it would come upon the change before it is on disk */
    filler = filler_new(&shell.service);
    assert_non_null(filler);
    shell_run(&shell);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    filler_destroy(&filler);
    shell_close(&shell);
    return 0;
}

/* Unsequenced orders. */
static void frames_push(uint32_t count)
{
    struct buffer frame;
    buffer_init(&frame, FRAME_BYTES_MAX);
    const struct submission_header header = {.source = slice_of_text("cli"), .count = FRAME_EVENTS};
    uint8_t bytes[SUBMISSION_HEADER_BYTES_MAX];
    const uint8_t *end = submission_put_header(bytes, &header);
    buffer_append(&frame, bytes, (size_t)(end - bytes));
    for (uint32_t i = 0; i < FRAME_EVENTS; i++) {
        codec_array(&frame, 5);
        codec_uint(&frame, 1);
        codec_text(&frame, "order.created");
        codec_text(&frame, "s");
        codec_uint(&frame, 1);
        codec_map(&frame, 0);
    }
    assert_int_equal(frame.status, STATUS_OK);
    for (uint32_t i = 0; i < count; i++)
        shell_push(&shell, buffer_slice(&frame), NULL);
    buffer_fini(&frame);
}

static uint64_t frames_taken(void)
{
    return counter_get(&shell.service.counters.submissions);
}

static void frames_taken_wait(uint64_t count)
{
    while (frames_taken() < count)
        shell_pump(&shell);
}

static void expect_no_more_than(uint64_t count)
{
    for (int i = 0; i < LOOKS; i++)
        shell_pump(&shell);
    assert_int_equal(frames_taken(), count);
}

/* Asks for other policies; the call is as the core hands it to the filler. */
static struct call *change_begin(const char *policies)
{
    const struct envelope nobody = {0};
    struct call *call = call_new(CALL_POLICY_SET, &nobody);
    struct detail detail;
    void *handed = NULL;
    assert_non_null(call);
    call->change.policies = calloc(1, sizeof *call->change.policies);
    assert_int_equal(policy_set_parse(policies, "test", call->change.policies, &detail), STATUS_OK);
    queue_push(shell.service.to_core, call);
    while (queue_pop(shell.service.to_filler, &handed, 1, 0) == 0)
        shell_pump(&shell);
    assert_ptr_equal(handed, call);
    return call;
}

/* Laps, until the change is made. */
static void change_end(struct call *call)
{
    void *handed;
    while (shell.answer == NULL) {
        while (log_durable(shell.service.log).last_event_id < call->change.durable_id)
            shell_pump(&shell);
        filler_lap(filler, call);
        assert_int_equal(call->status, STATUS_OK);
        queue_push(shell.service.to_core, call);
        while (shell.answer == NULL && queue_pop(shell.service.to_filler, &handed, 1, 0) == 0)
            shell_pump(&shell);
    }
    assert_ptr_equal(shell.answer, call);
    assert_int_equal(call->status, STATUS_OK);
    shell.answer = NULL;
    call_destroy(&call);
}

static void half_as_many_are_taken_in_as_are_read(void **state)
{
    (void)state;
    struct call *call = change_begin(long_policy);
    frames_push(FRAMES);
    frames_taken_wait(FRAMES_AHEAD);
    expect_no_more_than(FRAMES_AHEAD);
    counter_add(&shell.service.counters.filled, (uint64_t)2 * FRAME_EVENTS);
    frames_taken_wait(FRAMES_AHEAD + 1);
    expect_no_more_than(FRAMES_AHEAD + 1);
    change_end(call);
    frames_taken_wait(FRAMES); /* at full pace again */
    shell_stop(&shell);
    assert_string_equal(state_policies(shell.state)->items[0].name, "p");
    assert_int_equal(state_longest_window_ns(shell.state), 3600 * NS_PER_S);
    assert_int_equal(state_policy_units(shell.state, 0), FRAMES * FRAME_EVENTS);
    struct recovery *recovery = shell_reopen(&shell); /* compares the digests */
    assert_int_equal(state_digest(recovery_state(recovery)), state_digest(shell.state));
    recovery_destroy(&recovery);
}

static void a_change_that_fails_gives_the_full_pace_back(void **state)
{
    (void)state;
    struct call *call = change_begin(long_policy);
    void *answered = NULL;
    frames_push(FRAMES);
    frames_taken_wait(FRAMES_AHEAD);
    call->status = STATUS_GONE;
    queue_push(shell.service.to_core, call);
    frames_taken_wait(FRAMES);
    assert_int_equal(queue_pop(shell.service.to_control, &answered, 1, 0), 1);
    assert_ptr_equal(answered, call);
    call_destroy(&call);
    shell_stop(&shell);
    assert_int_equal(state_longest_window_ns(shell.state), NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(half_as_many_are_taken_in_as_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_that_fails_gives_the_full_pace_back, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, shell_group_set_up, shell_group_tear_down);
}
