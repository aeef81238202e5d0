/* Offline equals online: recorded events leave the state that the core gives when it is driven with
 * their times, one batch to each time, as it is online; and folding the log gives it once more. */
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/lifecycle.h"
#include "processor/commit.h"
#include "processor/held_store.h"
#include "processor/tools/offline.h"
#include "tests/lib/seed.h"
#include "tests/unit/processor/shell_fixture.h"
#include "tests/unit/processor/state_compare.h"
#include "tests/unit/processor/traffic.h"

enum { EVENTS = 20000, BLOCK_LINES = 100, SOURCES = 3 };
#define START_NS (1000 * NS_PER_S)

struct fixture {
    char folder[FIXTURE_PATH_BYTES];
    struct held_store held;
    struct service service;
    pthread_t commit;
    struct offline *offline;
    struct state *twin; /* driven by hand */
    uint64_t twin_now_ns;
    bool twin_met[SOURCES];
    struct line_block block;
    uint64_t late;
};

static void expect_ok(enum status status, const struct detail *detail)
{
    if (status != STATUS_OK)
        fail_msg("%s: %s", status_text(status), detail->text);
}

static void *commit_thread(void *context)
{
    struct service *service = context;
    void *batch;
    while (!queue_finished(service->to_commit)) {
        if (queue_pop(service->to_commit, &batch, 1, 100) == 0)
            continue;
        (void)commit_make_durable(service, &batch, 1);
        batch_release(batch);
    }
    return NULL;
}

static void open_store(struct fixture *f)
{
    struct detail detail = {{0}};
    struct policy_set *policies = calloc(1, sizeof *policies);
    assert_non_null(policies);
    expect_ok(policy_set_parse(traffic_policies, "policies", policies, &detail), &detail);
    held_store_init(&f->held, f->folder);
    expect_ok(held_store_lock(&f->held, &detail), &detail);
    expect_ok(held_store_open(&f->held, policies, 0, &detail), &detail);
    free(policies);
}

static void start(struct fixture *f)
{
    struct upload upload;
    const struct offline_options options = {.path = "events.jsonl"};
    fixture_folder(f->folder, false);
    open_store(f);
    f->service.store_directory = f->folder;
    f->service.log = f->held.log;
    f->service.log_id = f->held.log_id;
    f->service.records_per_s = UINT32_MAX;
    f->service.pool = batch_pool_new();
    f->service.to_commit = queue_new(BATCHES_IN_FLIGHT_MAX, false);
    struct hash_seed seed = {{7}};
    f->twin = state_new(state_policies(f->held.state), &seed);
    upload_init(&upload);
    f->offline = offline_new(&f->service, f->held.state, &options, &upload);
    assert_non_null(f->offline);
    f->held.state = NULL;
    assert_int_equal(pthread_create(&f->commit, NULL, commit_thread, &f->service), 0);
    buffer_init(&f->block.bytes, BLOCK_BYTES_MAX);
}

/* Makes all durable and closes the store. */
static void stop(struct fixture *f)
{
    struct detail detail;
    offline_seal(f->offline);
    pthread_join(f->commit, NULL);
    assert_int_equal(atomic_load(&f->service.failure), STATUS_OK);
    expect_ok(offline_finish(f->offline, true, &detail), &detail);
    offline_destroy(&f->offline);
    queue_destroy(&f->service.to_commit);
    batch_pool_destroy(&f->service.pool);
    held_store_fini(&f->held);
}

/* ---- the twin ---------------------------------------------------------------------------------
 */

static void twin_apply(struct fixture *f, const struct decision *decision)
{
    assert_int_equal(state_apply(f->twin, decision), STATUS_OK);
}

static void twin_records(struct fixture *f, struct decision *decision, uint64_t count)
{
    *decision =
        (struct decision){.kind = DECISION_RECORDED, .time_ns = f->twin_now_ns, .count = count};
    if (count > 0)
        twin_apply(f, decision);
}

static void twin_take(struct fixture *f, const struct event *event, unsigned source)
{
    static struct decision decision;
    static struct candidate candidate;
    char name[TRAFFIC_NAME_BYTES];
    snprintf(name, sizeof name, "source-%u", source);
    if (event->occurred_at_ns < f->twin_now_ns)
        f->late++;
    else
        f->twin_now_ns = event->occurred_at_ns;
    admission_tick(f->twin_now_ns, &decision);
    twin_apply(f, &decision);
    if (!f->twin_met[source]) {
        assert_int_equal(admission_hello(f->twin, slice_of_text(name), f->twin_now_ns, &decision),
                         STATUS_OK);
        twin_apply(f, &decision);
        f->twin_met[source] = true;
    }
    candidate.event = *event;
    candidate.source_name = slice_of_text(name);
    candidate.source = state_find_source(f->twin, candidate.source_name);
    candidate.sequence = state_source(f->twin, candidate.source).last_sequence + 1;
    admission_prepare(f->twin, &candidate);
    admission_decide(f->twin, &candidate, f->twin_now_ns, &decision);
    uint64_t records = decision.kind == DECISION_REFUSE ? 1 : decision.shadow_count;
    twin_apply(f, &decision);
    twin_records(f, &decision, records);
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* A random event whose time is mostly a little later than the last one's, sometimes before it. */
static void add_line(struct fixture *f, struct rng *rng, uint64_t *now_ns)
{
    struct line_block *block = &f->block;
    struct block_line *line = &block->lines[block->count];
    struct buffer made;
    unsigned source = (unsigned)rng_below(rng, SOURCES);
    char name[TRAFFIC_NAME_BYTES];
    snprintf(name, sizeof name, "source-%u", source);
    *now_ns += rng_below(rng, 3) == 0 ? rng_below(rng, NS_PER_MS / 4) : 0;
    uint64_t own_ns = rng_below(rng, 20) == 0 ? *now_ns - rng_below(rng, NS_PER_S) : *now_ns;
    buffer_init(&made, EVENT_BYTES_MAX);
    traffic_event_write(rng, false, &made);
    line->event_at = (uint32_t)block->bytes.size;
    buffer_append(&block->bytes, (uint8_t[]){made.data[0], 0xcf}, 2); /* with this time instead */
    for (int shift = 56; shift >= 0; shift -= 8)
        buffer_append(&block->bytes, &(uint8_t){(uint8_t)(own_ns >> shift)}, 1);
    struct mp_reader reader = {made.data + 1, made.data + made.size};
    assert_int_equal(mp_skip(&reader), STATUS_OK);
    buffer_append(&block->bytes, reader.at, (size_t)(reader.end - reader.at));
    buffer_fini(&made);
    line->event_bytes = (uint32_t)block->bytes.size - line->event_at;
    line->source_bytes = (uint32_t)strlen(name);
    line->source_at = (uint32_t)block->bytes.size;
    buffer_append_text(&block->bytes, name);
    block->count++;
    struct event event;
    reader = mp_reader_of(block_slice(block, line->event_at, line->event_bytes));
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    twin_take(f, &event, source);
}

static void take_block(struct fixture *f, struct rng *rng, uint64_t *now_ns)
{
    struct detail detail;
    buffer_clear(&f->block.bytes);
    f->block.count = 0;
    for (int i = 0; i < BLOCK_LINES; i++)
        add_line(f, rng, now_ns);
    expect_ok(offline_take(f->offline, &f->block, &detail), &detail);
}

static void recorded_events_leave_the_state_of_the_online_path(void **test_state)
{
    (void)test_state;
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct rng rng = test_rng();
    uint64_t now_ns = START_NS, comparing = rng_next(&rng);
    memset(f, 0, sizeof *f);
    start(f);
    for (int i = 0; i < EVENTS / BLOCK_LINES; i++)
        take_block(f, &rng, &now_ns);
    struct offline_counts counts = offline_counts(f->offline);
    assert_true(counts.refused[REASON_RATE_LIMITED] > 0);
    assert_true(f->late > 0);
    assert_int_equal(counts.late, f->late);
    stop(f);

    open_store(f);
    states_compare(f->twin, f->held.state, f->twin_now_ns, comparing);
    held_store_fini(&f->held);
    state_destroy(&f->twin);
    buffer_fini(&f->block.bytes);
    fixture_remove(f->folder);
}

static int group_set_up(void **test_state)
{
    (void)test_state;
    struct detail detail;
    return lifecycle_start(&detail) == STATUS_OK ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_events_leave_the_state_of_the_online_path),
    };
    return cmocka_run_group_tests_name("offline", tests, group_set_up, NULL);
}
