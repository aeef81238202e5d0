/* core_support: what the tests of the core share: policies from text, events from words, and one
 * call per step. Everything is simulated; a failure inside ends the test. */
#ifndef WEIR_TESTS_UNIT_PROCESSOR_CORE_SUPPORT_H
#define WEIR_TESTS_UNIT_PROCESSOR_CORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "processor/core/admission.h"

static const struct hash_seed support_seed = {.bytes = {1, 2, 3, 4, 5, 6, 7, 8}};

static inline struct policy_set *support_policies(const char *ini)
{
    struct policy_set *set = calloc(1, sizeof *set);
    struct detail detail;
    assert_non_null(set);
    if (policy_set_parse(ini, "test.ini", set, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return set;
}

static inline struct state *support_state(const char *ini)
{
    struct policy_set *set = support_policies(ini);
    struct state *state = state_new(set, &support_seed);
    assert_non_null(state);
    free(set);
    return state;
}

/* One event being made and decided; `data` is an empty map unless it is filled before. */
struct support_event {
    struct candidate candidate;
    struct decision decision;
    uint8_t data[256];
    size_t data_size;
};

static inline struct support_event *support_event_new(void)
{
    struct support_event *event = calloc(1, sizeof *event);
    assert_non_null(event);
    event->data[0] = 0x80;
    event->data_size = 1;
    return event;
}

/* data = {"n": n} */
static inline void support_data_n(struct support_event *event, uint64_t n)
{
    uint8_t *at = event->data;
    *at++ = 0x81;
    at = codec_put_text(at, slice_of_text("n"));
    at = codec_put_uint(at, n);
    event->data_size = (size_t)(at - event->data);
}

static inline void support_set(struct support_event *event, const char *type, const char *subject)
{
    event->candidate.event = (struct event){
        .type = slice_of_text(type),
        .subject = slice_of_text(subject),
        .data = {.data = event->data, .size = event->data_size},
        .schema_version = 1,
    };
    event->candidate.source_name = slice_of_text("tester");
    event->candidate.source = SOURCE_NONE;
    event->candidate.sequence = 0;
}

static inline void support_tick(struct state *state, uint64_t now_ns)
{
    struct decision *tick = calloc(1, sizeof *tick);
    assert_non_null(tick);
    admission_tick(now_ns, tick);
    assert_int_equal(state_apply(state, tick), STATUS_OK);
    free(tick);
}

/* Decides the event at `now_ns` (ticks first) and changes nothing else. */
static inline const struct decision *support_decide(struct state *state,
                                                    struct support_event *event, uint64_t now_ns)
{
    support_tick(state, now_ns);
    admission_prepare(state, &event->candidate);
    admission_decide(state, &event->candidate, now_ns, &event->decision);
    return &event->decision;
}

/* Decides and applies an unsequenced event of type "t". True: accepted. */
static inline bool support_submit(struct state *state, struct support_event *event,
                                  const char *subject, uint64_t now_ns)
{
    support_set(event, "t", subject);
    const struct decision *decision = support_decide(state, event, now_ns);
    assert_int_equal(state_apply(state, decision), STATUS_OK);
    return decision->kind == DECISION_ACCEPT;
}

/* The slot of a source after hello. */
static inline uint32_t support_hello(struct state *state, const char *name, uint64_t now_ns)
{
    struct decision *hello = calloc(1, sizeof *hello);
    assert_non_null(hello);
    assert_int_equal(admission_hello(state, slice_of_text(name), now_ns, hello), STATUS_OK);
    assert_int_equal(state_apply(state, hello), STATUS_OK);
    free(hello);
    return state_find_source(state, slice_of_text(name));
}

#endif
