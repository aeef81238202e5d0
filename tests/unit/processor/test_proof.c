/* The proof against a naive model: a list of everything that was spent, added up anew for every
 * question. Accepted events that fit pass, those that do not are told; refusals with the right
 * policy, key and wait pass, all others are told. */
#include "tests/lib/seed.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "processor/tools/proof.h"

enum { EVENTS = 3000, SUBJECTS = 7, EVENT_ROOM_BYTES = 256 };

static const char policy_text[] =
    "[policy \"by-subject\"]\nkey = subject\nquota = 7\nwindow = 40ns\n"
    "cost = data.n\n"
    "[policy \"by-number\"]\nkey = data.k\nquota = 3\nwindow = 25ns\n"
    "[policy \"all\"]\nkey = global\nquota = 30\nwindow = 100ns\n"
    "[policy \"watch\"]\nkey = global\nquota = 1\nwindow = 1h\n"
    "mode = shadow\n";

struct model_event {
    uint64_t time_ns;
    unsigned subject;
    int64_t number; /* its data.k */
    uint64_t cost;  /* its data.n */
};

static struct model_event spent[EVENTS];
static uint32_t spent_count;
static struct proof *proof;
static struct policy_set policies;
static uint8_t event_bytes[EVENT_ROOM_BYTES];

static int set_up(void **state)
{
    (void)state;
    struct detail detail;
    spent_count = 0;
    proof = proof_new();
    return proof == NULL ||
           policy_set_parse(policy_text, "policies", &policies, &detail) != STATUS_OK ||
           proof_set_policies(proof, &policies) != STATUS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    proof_destroy(&proof);
    return 0;
}

static struct event event_of(const struct model_event *model)
{
    struct buffer buffer;
    struct event event;
    char subject[2] = {(char)('a' + model->subject), '\0'};
    buffer_init(&buffer, EVENT_ROOM_BYTES);
    codec_array(&buffer, 5);
    codec_uint(&buffer, 1);
    codec_text(&buffer, "t");
    codec_text(&buffer, subject);
    codec_uint(&buffer, 1);
    codec_map(&buffer, 2);
    codec_text(&buffer, "k");
    codec_int(&buffer, model->number);
    codec_text(&buffer, "n");
    codec_uint(&buffer, model->cost);
    memcpy(event_bytes, buffer.data, buffer.size);
    struct mp_reader reader = mp_reader_of((struct slice){event_bytes, buffer.size});
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    buffer_fini(&buffer);
    return event;
}

/* ---- the model ---- */

static uint64_t cost_under(unsigned policy, const struct model_event *event)
{
    return policy == 0 ? event->cost : 1;
}

static bool same_key(unsigned policy, const struct model_event *a, const struct model_event *b)
{
    return policy == 0 ? a->subject == b->subject : policy == 1 ? a->number == b->number : true;
}

/* What counts for the event's key at `now_ns`. */
static uint64_t sum_at(unsigned policy, const struct model_event *event, uint64_t now_ns)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < spent_count; i++)
        if (same_key(policy, &spent[i], event) &&
            spent[i].time_ns + policies.items[policy].window_ns > now_ns)
            sum += cost_under(policy, &spent[i]);
    return sum;
}

/* Looks at every moment until it fits. */
static uint64_t wait_of(unsigned policy, const struct model_event *event)
{
    uint64_t cost = cost_under(policy, event), quota = policies.items[policy].quota;
    if (cost == 0)
        return 0;
    if (cost > quota)
        return RECORD_NEVER;
    uint64_t wait_ns = 0;
    while (sum_at(policy, event, event->time_ns + wait_ns) + cost > quota)
        wait_ns++;
    return wait_ns;
}

/* The longest wait, and whose; 0: it fits. */
static uint64_t longest_wait(const struct model_event *event, unsigned *ret_policy)
{
    uint64_t longest_ns = 0;
    for (unsigned policy = 0; policy < 3; policy++) {
        uint64_t wait_ns = wait_of(policy, event);
        if (wait_ns > longest_ns) {
            longest_ns = wait_ns;
            *ret_policy = policy;
        }
    }
    return longest_ns;
}

static struct model_event random_event(struct rng *rng, uint64_t now_ns)
{
    return (struct model_event){.time_ns = now_ns,
                                .subject = (unsigned)rng_below(rng, SUBJECTS),
                                .number = (int64_t)rng_below(rng, 5) - 2,
                                .cost = rng_below(rng, 30) == 0 ? 8 : rng_below(rng, 4)};
}

/* ---- acceptances ---- */

static enum status accept(const struct model_event *model)
{
    struct detail what;
    struct event event = event_of(model);
    proof_prepare(proof, 0, slice_of_text("s"), &event);
    proof_prefetch(proof, 0);
    spent[spent_count++] = *model;
    return proof_accept(proof, 0, model->time_ns, &what);
}

/* ---- refusals ---- */

static struct rejection rejection_of(const struct model_event *model, unsigned policy,
                                     uint64_t wait_ns, struct buffer *key)
{
    char subject[2] = {(char)('a' + model->subject), '\0'};
    buffer_clear(key);
    if (policy == 1)
        codec_int(key, model->number);
    else
        codec_text(key, policy == 0 ? subject : "global");
    return (struct rejection){.rejected_at_ns = model->time_ns,
                              .count = 1,
                              .retry_after_ns = wait_ns,
                              .source = slice_of_text("s"),
                              .policy = slice_of_text(policies.items[policy].name),
                              .key = buffer_slice(key),
                              .reason = REASON_RATE_LIMITED};
}

/* The right record passes; one with another wait, policy or key does not. */
static void refuse(const struct model_event *model, unsigned policy, uint64_t wait_ns)
{
    struct detail what;
    struct buffer key, other_key;
    struct event event = event_of(model);
    buffer_init(&key, 64);
    buffer_init(&other_key, 64);
    struct rejection right = rejection_of(model, policy, wait_ns, &key), wrong = right;
    assert_int_equal(proof_refuse(proof, &right, &event, &what), STATUS_OK);
    wrong.retry_after_ns = wait_ns == RECORD_NEVER ? 1 : wait_ns + 1;
    assert_int_equal(proof_refuse(proof, &wrong, &event, &what), STATUS_INVALID);
    wrong = rejection_of(model, (policy + 1) % 3, wait_ns, &other_key);
    assert_int_equal(proof_refuse(proof, &wrong, &event, &what), STATUS_INVALID);
    wrong = right;
    wrong.key = slice_of_text("\xa1z");
    assert_int_equal(proof_refuse(proof, &wrong, &event, &what), STATUS_INVALID);
    buffer_fini(&key);
    buffer_fini(&other_key);
}

static void refuse_what_fits(const struct model_event *model)
{
    struct detail what;
    struct buffer key;
    struct event event = event_of(model);
    buffer_init(&key, 64);
    struct rejection rejection = rejection_of(model, 0, 1, &key);
    assert_int_equal(proof_refuse(proof, &rejection, &event, &what), STATUS_INVALID);
    assert_string_equal(what.text, "refused as rate_limited, but it fits");
    buffer_fini(&key);
}

static void agrees_with_the_naive_model(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t now_ns = 5;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        now_ns += rng_below(&rng, 4) == 0 ? rng_below(&rng, 12) : 0;
        struct model_event event = random_event(&rng, now_ns);
        unsigned policy = 0;
        uint64_t wait_ns = longest_wait(&event, &policy);
        if (wait_ns > 0) {
            refuse(&event, policy, wait_ns);
            refused++;
        } else {
            if (rng_below(&rng, 8) == 0)
                refuse_what_fits(&event);
            assert_int_equal(accept(&event), STATUS_OK);
        }
    }
    assert_true(refused > EVENTS / 10);
    assert_true(spent_count > EVENTS / 10);
}

static void an_accepted_event_over_a_quota_is_told(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t now_ns = 5;
    unsigned policy;
    struct model_event event = random_event(&rng, now_ns);
    while (longest_wait(&event, &policy) == 0) {
        assert_int_equal(accept(&event), STATUS_OK);
        event = random_event(&rng, now_ns);
    }
    assert_int_equal(accept(&event), STATUS_INVALID);
}

static void an_accepted_event_without_a_field_is_told(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "\x95\x01\xa1t\xa1s\x01\x80";
    struct mp_reader reader = mp_reader_of((struct slice){bytes, sizeof bytes - 1});
    struct event event;
    struct detail what;
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    proof_prepare(proof, 0, slice_of_text("s"), &event);
    assert_int_equal(proof_accept(proof, 0, 1, &what), STATUS_INVALID);
    assert_non_null(strstr(what.text, "data.n"));
}

static void fill(const struct model_event *model)
{
    struct accepted_record record = {.event_id = 1,
                                     .accepted_at_ns = model->time_ns,
                                     .source = slice_of_text("s"),
                                     .event = event_of(model)};
    assert_int_equal(proof_fill(proof, &record), STATUS_OK);
}

static void windows_are_filled_with_what_came_before(void **state)
{
    (void)state;
    struct model_event event = {.time_ns = 49, .subject = 1, .number = 1, .cost = 3};
    struct detail what;
    assert_int_equal(proof_set_policies(proof, &policies), STATUS_OK);
    assert_int_equal(proof_longest_window_ns(proof), 100);
    fill(&(struct model_event){.time_ns = 10, .subject = 1, .number = 1, .cost = 5});
    struct event made = event_of(&event);
    proof_prepare(proof, 0, slice_of_text("s"), &made);
    assert_int_equal(proof_accept(proof, 0, 49, &what), STATUS_INVALID);
    assert_string_equal(what.text, "accepted, but with it policy by-subject has 8 units in one "
                                   "window for its key, 7 at most");
}

/* What has left a window may still be in the sum that is kept of it: that must not hide an excess,
 * even where the two together pass 64 bits. */
static void large_costs_that_have_left_do_not_hide_an_excess(void **state)
{
    (void)state;
    static const char text[] = "[policy \"large\"]\nkey = subject\nquota = 9223372036854775807\n"
                               "window = 40ns\ncost = data.n\n";
    struct detail detail;
    assert_int_equal(policy_set_parse(text, "policies", &policies, &detail), STATUS_OK);
    assert_int_equal(proof_set_policies(proof, &policies), STATUS_OK);
    fill(&(struct model_event){.time_ns = 5, .cost = INT64_MAX});
    fill(&(struct model_event){.time_ns = 30, .cost = INT64_MAX});
    fill(&(struct model_event){.time_ns = 46, .cost = 2}); /* all three together: 2^64 */
    struct model_event event = {.time_ns = 47, .cost = 1};
    assert_int_equal(accept(&event), STATUS_INVALID);
}

/* Keys that have left their windows make room: the table stays as large as what counts. */
static void very_many_keys_pass_through(void **state)
{
    (void)state;
    struct detail what;
    uint64_t now_ns = 1;
    for (int64_t i = 0; i < 300000; i++) {
        struct model_event event = {.time_ns = now_ns, .number = i, .cost = 0};
        struct event made = event_of(&event);
        proof_prepare(proof, 0, slice_of_text("s"), &made);
        assert_int_equal(proof_accept(proof, 0, now_ns, &what), STATUS_OK);
        now_ns += 4;
    }
}

int main(void)
{
#define with_proof(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        with_proof(agrees_with_the_naive_model),
        with_proof(an_accepted_event_over_a_quota_is_told),
        with_proof(an_accepted_event_without_a_field_is_told),
        with_proof(windows_are_filled_with_what_came_before),
        with_proof(large_costs_that_have_left_do_not_hide_an_excess),
        with_proof(very_many_keys_pass_through),
    };
    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
