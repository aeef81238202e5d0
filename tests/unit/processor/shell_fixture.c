#include "tests/unit/processor/shell_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/wire/submission.h"
#include "processor/core/admission.h"

enum {
    SHELL_SEGMENT_BYTES = 16 * 1024 * 1024,
    MESSAGES_MAX = 1000,
    WAIT_MS = 1,
    FRAME_BYTES_MAX = 2 * SUBMISSION_BYTES_MAX,
};

int shell_group_set_up(void **test_state)
{
    (void)test_state;
    struct detail detail;
    return socket_setup(1, &detail) == STATUS_OK ? 0 : 1;
}

int shell_group_tear_down(void **test_state)
{
    (void)test_state;
    socket_teardown();
    return 0;
}

/* ---- the store ------------------------------------------------------------------------------ */

static void expect_ok(enum status status, const struct detail *detail)
{
    if (status != STATUS_OK)
        fail_msg("%s: %s", status_text(status), detail->text);
}

/* The genesis of every shell: the same log id. */
static void genesis_make(const char *policies, struct buffer *buffer)
{
    struct policy_set *set = calloc(1, sizeof *set);
    struct detail detail;
    assert_non_null(set);
    expect_ok(policy_set_parse(policies, "policies", set, &detail), &detail);
    struct genesis genesis = {.log_id.bytes = "0123456789abcdef",
                              .created_at_ns = FIXTURE_START_NS,
                              .policy_text = slice_of_text(set->text)};
    genesis_write(buffer, &genesis);
    free(set);
}

/* A log_visit_fn: both folds begin with the genesis, whose salt gives their seed. */
static enum status fold_twice(void *context, const struct batch_view *batch,
                              struct detail *ret_detail)
{
    struct shell *shell = context;
    enum status status = recovery_visit(shell->mirror, batch, ret_detail);
    return status == STATUS_OK ? recovery_visit(shell->recovery, batch, ret_detail) : status;
}

static void log_start(struct shell *shell, const char *policies)
{
    struct detail detail;
    struct buffer genesis;
    buffer_init(&genesis, BATCH_BYTES_MAX);
    genesis_make(policies, &genesis);
    struct log_options options = {.directory = shell->folder,
                                  .segment_bytes = SHELL_SEGMENT_BYTES,
                                  .genesis = buffer_slice(&genesis),
                                  .created_at_ns = FIXTURE_START_NS};
    shell->recovery = recovery_new(shell->folder);
    shell->mirror = recovery_new(shell->folder);
    expect_ok(log_open(&options, fold_twice, shell, &shell->service.log, NULL, &detail), &detail);
    buffer_fini(&genesis);
    shell->state = recovery_take_state(shell->recovery);
}

struct recovery *shell_reopen(struct shell *shell)
{
    struct detail detail;
    log_close(&shell->service.log);
    struct log_options options = {.directory = shell->folder, .segment_bytes = SHELL_SEGMENT_BYTES};
    struct recovery *recovery = recovery_new(shell->folder);
    expect_ok(log_open(&options, recovery_visit, recovery, &shell->service.log, NULL, &detail),
              &detail);
    return recovery;
}

/* ---- the core thread ------------------------------------------------------------------------ */

static struct socket *socket_of(const struct shell *shell, enum socket_kind kind)
{
    char endpoint[FIXTURE_PATH_BYTES + 16];
    snprintf(endpoint, sizeof endpoint, "ipc://%s/ingest", shell->folder);
    struct socket_options options = {.kind = kind,
                                     .bind = kind == SOCKET_PULL,
                                     .endpoint = endpoint,
                                     .high_water_mark = MESSAGES_MAX,
                                     .message_bytes_max = INGEST_MESSAGE_BYTES_MAX,
                                     .linger_ms = 0};
    struct socket *socket;
    struct detail detail;
    expect_ok(socket_open(&options, &socket, &detail), &detail);
    return socket;
}

void shell_open(struct shell *shell, const char *policies, uint32_t records_per_s)
{
    struct service *service = &shell->service;
    *shell = (struct shell){.stop_fd = eventfd(0, EFD_CLOEXEC)};
    fixture_folder(shell->folder, false);
    log_start(shell, policies);
    service->store_directory = shell->folder;
    service->log_id = recovery_genesis(shell->recovery)->log_id;
    service->records_per_s = records_per_s;
    log_clock_init(&service->clock, clock_wall_ns(), clock_boot_ns(), FIXTURE_START_NS);
    service->pool = batch_pool_new();
    service->to_commit = queue_new(BATCHES_IN_FLIGHT_MAX, false);
    service->to_core = queue_new(CALLS_WAITING_MAX, true);
    service->to_control = queue_new(2 * CALLS_WAITING_MAX, true);
    service->to_filler = queue_new(CHANGES_WAITING_MAX, false);
    pin_init(&service->pin);
    shell->pull = socket_of(shell, SOCKET_PULL);
    shell->push = socket_of(shell, SOCKET_PUSH);
    shell->ingest = ingest_new(service, shell->state, shell->pull);
    assert_non_null(shell->ingest);
}

static void *core_thread(void *context)
{
    struct shell *shell = context;
    ingest_run(shell->ingest, shell->stop_fd);
    return NULL;
}

void shell_run(struct shell *shell)
{
    assert_int_equal(pthread_create(&shell->thread, NULL, core_thread, shell), 0);
}

/* What the commit thread does, without publishing. */
static void batch_commit(struct shell *shell, struct batch *batch)
{
    struct detail detail;
    struct batch_view view = batch_view_of(batch);
    assert_true(batch->acks.size <= BATCH_ACKS_BYTES_MAX);
    if (batch_is_durable_matter(batch)) {
        expect_ok(log_append(shell->service.log, &view, 1, &detail), &detail);
        atomic_fetch_sub(&shell->service.counters.in_flight, 1);
        if (shell->mirror != NULL)
            expect_ok(recovery_visit(shell->mirror, &view, &detail), &detail);
    }
    if (shell->on_batch != NULL)
        shell->on_batch(shell->context, batch);
    for (uint32_t i = 0; i < batch->answer_count; i++) {
        assert_null(shell->answer);
        shell->answer = batch->answers[i];
    }
    batch->answer_count = 0;
    batch_release(batch);
}

void shell_pump(struct shell *shell)
{
    void *batch;
    while (queue_pop(shell->service.to_commit, &batch, 1, WAIT_MS) == 1)
        batch_commit(shell, batch);
    assert_int_equal(atomic_load(&shell->service.failure), STATUS_OK);
}

static void frame_push(struct shell *shell, struct slice frame, bool more)
{
    enum status status;
    while ((status = socket_send(shell->push, frame, more)) == STATUS_FULL)
        if (shell->thread != 0)
            shell_pump(shell);
    assert_int_equal(status, STATUS_OK);
}

void shell_push(struct shell *shell, struct slice frame, const char *second)
{
    frame_push(shell, frame, second != NULL);
    if (second != NULL)
        frame_push(shell, slice_of_text(second), false);
    shell->pushed++;
}

void shell_settle(struct shell *shell)
{
    do
        shell_pump(shell);
    while (counter_get(&shell->service.counters.submissions) < shell->pushed);
}

struct source_info shell_hello(struct shell *shell, const char *name)
{
    struct envelope nobody = {0};
    struct call *call = call_new(CALL_HELLO, &nobody);
    assert_non_null(call);
    shell_settle(shell);
    call->hello.source_size = (uint32_t)strlen(name);
    memcpy(call->hello.source, name, call->hello.source_size);
    queue_push(shell->service.to_core, call);
    while (shell->answer == NULL)
        shell_pump(shell);
    assert_ptr_equal(shell->answer, call);
    assert_int_equal(call->status, STATUS_OK);
    struct source_info info = {.epoch = call->hello.epoch,
                               .last_sequence = call->hello.last_sequence};
    shell->answer = NULL;
    call_destroy(&call);
    return info;
}

void shell_stop(struct shell *shell)
{
    shell_settle(shell);
    assert_int_equal(eventfd_write(shell->stop_fd, 1), 0);
    shell_join(shell);
}

void shell_join(struct shell *shell)
{
    while (!queue_finished(shell->service.to_commit))
        shell_pump(shell);
    assert_int_equal(pthread_join(shell->thread, NULL), 0);
    assert_int_equal(counter_get(&shell->service.counters.in_flight), 0);
}

void shell_close(struct shell *shell)
{
    struct service *service = &shell->service;
    ingest_destroy(&shell->ingest);
    socket_close(&shell->push);
    socket_close(&shell->pull);
    queue_destroy(&service->to_commit);
    queue_destroy(&service->to_core);
    queue_destroy(&service->to_control);
    queue_destroy(&service->to_filler);
    pin_fini(&service->pin);
    batch_pool_destroy(&service->pool);
    log_close(&service->log);
    recovery_destroy(&shell->recovery);
    recovery_destroy(&shell->mirror);
    close(shell->stop_fd);
    fixture_remove(shell->folder);
}

/* ---- traffic: events ------------------------------------------------------------------------ */

const char traffic_policies[] = "[policy \"burst\"]\n"
                                "match = order.*\n"
                                "key = source\n"
                                "quota = 200\n"
                                "window = 20ms\n"
                                "[policy \"cost\"]\n"
                                "match = order.*\n"
                                "key = data.k\n"
                                "cost = data.n\n"
                                "quota = 900\n"
                                "window = 1h\n"
                                "max_keys = 20\n"
                                "[policy \"units\"]\n"
                                "match = user.*\n"
                                "key = subject\n"
                                "quota = 40\n"
                                "window = 50ms\n"
                                "max_units = 300\n"
                                "[policy \"all\"]\n"
                                "key = global\n"
                                "quota = 3000\n"
                                "window = 10ms\n"
                                "[policy \"watch\"]\n"
                                "key = subject\n"
                                "quota = 50\n"
                                "window = 1s\n"
                                "mode = shadow\n";

/* Half of the keys are texts, half integers of both signs. */
static void key_write(struct rng *rng, struct buffer *buffer)
{
    char text[8];
    uint64_t key = rng_below(rng, 30);
    snprintf(text, sizeof text, "k-%d", (int)key);
    if (key % 2 == 0)
        codec_text(buffer, text);
    else
        codec_int(buffer, (int64_t)key - 15);
}

static void bad_event_write(struct rng *rng, struct buffer *buffer)
{
    switch (rng_below(rng, 4)) {
    case 0: /* too few items */
        codec_array(buffer, 1);
        codec_uint(buffer, 1);
        break;
    case 1: /* ours */
        codec_array(buffer, 5);
        codec_uint(buffer, 1);
        codec_text(buffer, "weir.x");
        codec_text(buffer, "s");
        codec_uint(buffer, 1);
        codec_map(buffer, 0);
        break;
    case 2: /* no event at all */
        codec_text(buffer, "\xff\xfe");
        break;
    default: /* a policy's field is missing */
        codec_array(buffer, 5);
        codec_uint(buffer, 1);
        codec_text(buffer, "order.created");
        codec_text(buffer, "s");
        codec_uint(buffer, 1);
        codec_map(buffer, 0);
    }
}

void traffic_event_write(struct rng *rng, bool may_be_bad, struct buffer *buffer)
{
    static const char *const types[] = {"order.created", "order.paid", "user.seen", "stock.moved"};
    char subject[16];
    if (may_be_bad && rng_below(rng, 12) == 0) {
        bad_event_write(rng, buffer);
        return;
    }
    snprintf(subject, sizeof subject, "s-%d", (int)rng_below(rng, 25));
    codec_array(buffer, 5);
    codec_uint(buffer, rng_next(rng) >> 1);
    codec_text(buffer, types[rng_below(rng, 4)]);
    codec_text(buffer, subject);
    codec_uint(buffer, 1);
    codec_map(buffer, 2);
    codec_text(buffer, "k");
    key_write(rng, buffer);
    codec_text(buffer, "n");
    codec_uint(buffer, rng_below(rng, 10));
}

/* ---- traffic: submissions ------------------------------------------------------------------- */

static void header_write(struct buffer *buffer, const struct submission_header *header)
{
    codec_array(buffer, 5);
    codec_uint(buffer, WIRE_VERSION);
    codec_text_slice(buffer, header->source);
    codec_uint(buffer, header->epoch);
    codec_uint(buffer, header->first_sequence);
    codec_uint(buffer, header->count);
}

static void submission_write(struct traffic *traffic, const struct submission_header *header,
                             uint32_t events)
{
    buffer_clear(&traffic->frame);
    header_write(&traffic->frame, header);
    for (uint32_t i = 0; i < events; i++)
        traffic_event_write(&traffic->rng, true, &traffic->frame);
    assert_int_equal(traffic->frame.status, STATUS_OK);
}

static void push(struct traffic *traffic)
{
    shell_push(traffic->shell, buffer_slice(&traffic->frame), NULL);
}

static struct submission_header header_of(const struct traffic_source *source,
                                          uint64_t first_sequence, uint32_t count)
{
    return (struct submission_header){.source = slice_of_text(source->name),
                                      .epoch = source->epoch,
                                      .first_sequence = first_sequence,
                                      .count = count};
}

static uint32_t some(struct traffic *traffic)
{
    return 1 + (uint32_t)rng_below(&traffic->rng, 120);
}

static void push_next(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    submission_write(traffic, &header, header.count);
    push(traffic);
    source->last += header.count;
}

/* Begins with sequences that were decided, and may go on behind them. */
static void push_overlap(struct traffic *traffic, struct traffic_source *source)
{
    if (source->last == 0)
        return;
    uint64_t reach = source->last < 200 ? source->last : 200;
    uint64_t back = 1 + rng_below(&traffic->rng, reach);
    struct submission_header header = header_of(source, source->last + 1 - back, some(traffic));
    submission_write(traffic, &header, header.count);
    push(traffic);
    traffic->counted[REASON_DUPLICATE] += back < header.count ? back : header.count;
    source->last += header.count > back ? header.count - back : 0;
}

static void push_gap(struct traffic *traffic, struct traffic_source *source)
{
    uint64_t first = source->last + 2 + rng_below(&traffic->rng, 100);
    struct submission_header header = header_of(source, first, some(traffic));
    submission_write(traffic, &header, header.count);
    push(traffic);
    traffic->counted[REASON_OUT_OF_ORDER] += header.count;
}

static void push_fenced(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    header.epoch = rng_below(&traffic->rng, 2) == 0 ? source->epoch - 1 : source->epoch + 1;
    if (rng_below(&traffic->rng, 4) == 0)
        header.source = slice_of_text("stranger");
    submission_write(traffic, &header, header.count);
    push(traffic);
    traffic->counted[REASON_FENCED] += header.count;
}

static void push_unsequenced(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, 0, some(traffic));
    header.epoch = 0;
    submission_write(traffic, &header, header.count);
    push(traffic);
}

/* Says more events than it has, or loses bytes of the last one: the rest is refused. */
static void push_truncated(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    uint32_t whole = (uint32_t)rng_below(&traffic->rng, header.count);
    submission_write(traffic, &header, whole);
    if (rng_below(&traffic->rng, 2) == 0)
        buffer_append(&traffic->frame, "\x95\x01\xa5", 3);
    push(traffic);
    source->last += header.count;
}

static void push_with_bytes_behind(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    submission_write(traffic, &header, header.count);
    buffer_append(&traffic->frame, "\xc0", 1);
    push(traffic);
    source->last += header.count;
    traffic->refused_whole++;
}

static void push_refused_whole(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, 1);
    traffic->refused_whole++;
    switch (rng_below(&traffic->rng, 5)) {
    case 0:
        shell_push(traffic->shell, (struct slice){(const uint8_t *)"", 0}, NULL);
        return;
    case 1:
        submission_write(traffic, &header, 1);
        shell_push(traffic->shell, buffer_slice(&traffic->frame), "a second frame");
        return;
    case 2:
        header.count = 0;
        break;
    case 3:
        header.count = SUBMISSION_EVENTS_MAX + 1;
        break;
    default:
        header.source = slice_of_text("weir-not");
    }
    submission_write(traffic, &header, 1);
    push(traffic);
}

static void say_hello(struct traffic *traffic, struct traffic_source *source)
{
    struct source_info info = shell_hello(traffic->shell, source->name);
    assert_int_equal(info.epoch, source->epoch + 1);
    assert_int_equal(info.last_sequence, source->last);
    source->epoch = info.epoch;
}

void traffic_step(struct traffic *traffic)
{
    struct traffic_source *source = &traffic->sources[rng_below(&traffic->rng, TRAFFIC_SOURCES)];
    uint64_t dice = rng_below(&traffic->rng, 100);
    if (dice < 55)
        push_next(traffic, source);
    else if (dice < 65)
        push_overlap(traffic, source);
    else if (dice < 70)
        push_gap(traffic, source);
    else if (dice < 75)
        push_fenced(traffic, source);
    else if (dice < 82)
        push_unsequenced(traffic, source);
    else if (dice < 87)
        push_truncated(traffic, source);
    else if (dice < 91)
        push_with_bytes_behind(traffic, source);
    else if (dice < 97)
        push_refused_whole(traffic, source);
    else
        say_hello(traffic, source);
}

void traffic_init(struct traffic *traffic, struct shell *shell, uint64_t seed)
{
    *traffic = (struct traffic){.shell = shell};
    rng_init(&traffic->rng, seed);
    buffer_init(&traffic->frame, FRAME_BYTES_MAX);
    for (int i = 0; i < TRAFFIC_SOURCES; i++) {
        snprintf(traffic->sources[i].name, TRAFFIC_NAME_BYTES, "source-%d", i);
        say_hello(traffic, &traffic->sources[i]);
    }
}

void traffic_fini(struct traffic *traffic)
{
    buffer_fini(&traffic->frame);
}

/* ---- comparing states ----------------------------------------------------------------------- */

static void sources_compare(const struct state *a, const struct state *b)
{
    assert_int_equal(state_source_count(a), state_source_count(b));
    for (uint32_t i = 0; i < state_source_count(a); i++) {
        struct source_info one = state_source(a, i);
        uint32_t slot = state_find_source(b, one.name);
        assert_int_not_equal(slot, SOURCE_NONE);
        struct source_info other = state_source(b, slot);
        assert_int_equal(one.epoch, other.epoch);
        assert_int_equal(one.last_sequence, other.last_sequence);
        for (uint64_t sequence = 1; sequence <= one.last_sequence; sequence++)
            assert_int_equal(state_verdict(a, i, sequence), state_verdict(b, slot, sequence));
    }
}

static void limits_compare(const struct state *a, const struct state *b)
{
    const struct policy_set *policies = state_policies(a);
    assert_string_equal(policies->text, state_policies(b)->text);
    for (uint32_t i = 0; i < policies->count; i++) {
        assert_int_equal(state_policy_keys(a, i), state_policy_keys(b, i));
        assert_int_equal(state_policy_units(a, i), state_policy_units(b, i));
    }
}

static void tick(struct state *state, uint64_t now_ns, struct decision *decision)
{
    admission_tick(now_ns, decision);
    assert_int_equal(state_apply(state, decision), STATUS_OK);
}

/* What a state makes of one event; it goes on as if it had decided it. */
struct verdict_seen {
    enum decision_kind kind;
    enum reason reason;
    uint32_t policy;
    uint64_t retry_after_ns;
    uint32_t shadow_count;
    uint64_t spends;
};

static struct verdict_seen decide(struct state *state, struct slice bytes, uint64_t now_ns,
                                  struct decision *decision)
{
    static struct candidate candidate;
    struct mp_reader reader = mp_reader_of(bytes);
    assert_int_equal(event_read(&reader, &candidate.event, NULL, NULL), STATUS_OK);
    candidate.source_name = slice_of_text("source-1");
    candidate.source = SOURCE_NONE;
    candidate.sequence = 0;
    admission_prepare(state, &candidate);
    admission_decide(state, &candidate, now_ns, decision);
    struct verdict_seen seen = {.kind = decision->kind,
                                .policy = decision->policy,
                                .retry_after_ns = decision->retry_after_ns,
                                .shadow_count = decision->shadow_count,
                                .spends = decision->spends};
    if (decision->kind == DECISION_REFUSE)
        seen.reason = decision->reason;
    assert_int_equal(state_apply(state, decision), STATUS_OK);
    return seen;
}

static void futures_compare(struct state *a, struct state *b, uint64_t now_ns, uint64_t seed)
{
    struct decision *decision = calloc(1, sizeof *decision);
    struct buffer event;
    struct rng rng;
    rng_init(&rng, seed);
    buffer_init(&event, EVENT_BYTES_MAX);
    for (int i = 0; i < 2000; i++) {
        now_ns += rng_below(&rng, 4) == 0 ? rng_below(&rng, 5 * NS_PER_MS) : 0;
        tick(a, now_ns, decision);
        tick(b, now_ns, decision);
        limits_compare(a, b);
        buffer_clear(&event);
        traffic_event_write(&rng, false, &event);
        struct verdict_seen one = decide(a, buffer_slice(&event), now_ns, decision);
        struct verdict_seen other = decide(b, buffer_slice(&event), now_ns, decision);
        assert_int_equal(one.kind, other.kind);
        assert_int_equal(one.reason, other.reason);
        assert_int_equal(one.policy, other.policy);
        assert_int_equal(one.retry_after_ns, other.retry_after_ns);
        assert_int_equal(one.shadow_count, other.shadow_count);
        assert_int_equal(one.spends, other.spends);
    }
    buffer_fini(&event);
    free(decision);
}

void states_compare(struct state *a, struct state *b, uint64_t now_ns, uint64_t seed)
{
    struct position one = state_position(a), other = state_position(b);
    assert_int_equal(one.last_event_id, other.last_event_id);
    assert_int_equal(one.last_rejection_id, other.last_rejection_id);
    assert_int_equal(one.last_time_ns, other.last_time_ns);
    sources_compare(a, b);
    futures_compare(a, b, now_ns, seed);
}
