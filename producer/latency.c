/* latency: measures how long events take through the pipeline, at a fixed rate, open loop: an event
 * is due at its time whatever the processor does, and its latency counts from then on. It hands in
 * events of its own source and watches for them on the topic `accepted`, like any projector.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/base/rng.h"
#include "producer/alarm.h"
#include "producer/commands.h"
#include "producer/core/latency.h"
#include "producer/core/pace.h"
#include "producer/core/workload.h"
#include "producer/latency_report.h"
#include "producer/producer.h"

#define TICK_NS 250000ULL

enum {
    SUBMISSION_EVENTS = 1024, /* at most */
    WAITING_TURN_MS = 50,     /* at the end, between two looks at the clock */
    SOURCE_BYTES_MAX = 32,
};

struct latency_options {
    struct endpoint_options endpoints;
    uint64_t rate, count, subjects, seed;
    const char *source, *hgrm;
    bool json;
};

struct meter {
    struct latency_options options;
    struct producer *producer;
    struct workload *workload;
    struct latency *latency;
    struct pace pace; /* CLOCK_BOOTTIME */
    int alarm_fd;
    uint64_t wall_ahead_ns; /* CLOCK_REALTIME − CLOCK_BOOTTIME at the start */
    uint64_t log_ahead_ns;  /* log time − CLOCK_BOOTTIME, where the two can be compared */
    const char *left_out;   /* why they cannot; NULL: they can */
    char random_source[SOURCE_BYTES_MAX];
};

/* ---- clocks ---- */

/* The processor's reading of CLOCK_BOOTTIME lies between two of ours only on the same machine. */
static enum status compare_clocks(struct meter *m, uint64_t *ret_log_ahead_ns,
                                  const char **ret_left_out, struct detail *ret_detail)
{
    struct processor_status processor;
    uint64_t before_ns = clock_boot_ns();
    enum status status = producer_status(m->producer, &processor, ret_detail);
    uint64_t after_ns = clock_boot_ns();
    if (status != STATUS_OK)
        return status;
    bool same = before_ns <= processor.boottime_ns && processor.boottime_ns <= after_ns;
    *ret_left_out = same ? NULL : "the processor runs on another host";
    *ret_log_ahead_ns = processor.now_ns - processor.boottime_ns;
    return STATUS_OK;
}

/* A processor that was restarted reads its clock from another anchor. */
static enum status compare_clocks_again(struct meter *m, struct detail *ret_detail)
{
    uint64_t log_ahead_ns;
    const char *left_out;
    if (m->left_out != NULL)
        return STATUS_OK;
    enum status status = compare_clocks(m, &log_ahead_ns, &left_out, ret_detail);
    if (status == STATUS_OK && log_ahead_ns != m->log_ahead_ns)
        m->left_out = "the processor was started anew meanwhile";
    return status;
}

/* ---- seeing ---- */

/* Takes one message of the feed. */
static void see(void *context, const struct link_message *message)
{
    struct meter *m = context;
    uint64_t seen_ns = clock_boot_ns();
    struct feed_header header;
    if (!slice_equal_text(message->topic, FEED_TOPIC_ACCEPTED) ||
        feed_header_read(message->header, &header) != STATUS_OK)
        return;
    struct latency_batch batch = {.durable_ns = header.published_at_ns - m->log_ahead_ns,
                                  .seen_ns = seen_ns,
                                  .has_log_times = m->left_out == NULL};
    struct slice source = slice_of_text(m->options.source);
    struct mp_reader reader = mp_reader_of(message->body);
    struct accepted_record record;
    while (!mp_at_end(&reader) && accepted_record_read(&reader, &record) == STATUS_OK) {
        batch.decided_ns = record.accepted_at_ns - m->log_ahead_ns;
        if (slice_equal(record.source, source))
            latency_seen(m->latency, record.sequence, &batch);
    }
}

/* ---- start and end ---- */

static enum status add_source(struct meter *m, struct detail *ret_detail)
{
    if (m->options.source == NULL) {
        snprintf(m->random_source, sizeof m->random_source, "latency-%08x",
                 (unsigned)(rng_seed_random() & UINT32_MAX));
        m->options.source = m->random_source;
    }
    struct slice source = slice_of_text(m->options.source);
    if (event_source_check(source, ret_detail) != STATUS_OK)
        return STATUS_USAGE;
    uint32_t index;
    struct hello_reply hello;
    enum status status = producer_add_source(m->producer, source, &index, &hello, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = latency_new(hello.last_sequence, &m->latency);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "no memory for the histograms");
    return STATUS_OK;
}

static enum status meter_open(struct meter *m, struct detail *ret_detail)
{
    struct workload_options workload = {.seed = m->options.seed,
                                        .subjects = (uint32_t)m->options.subjects};
    enum status status = workload_new(&workload, &m->workload);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "no memory for the workload");
    status = producer_open(&m->options.endpoints, &m->producer, ret_detail);
    if (status == STATUS_OK)
        status = add_source(m, ret_detail);
    if (status == STATUS_OK)
        status = compare_clocks(m, &m->log_ahead_ns, &m->left_out, ret_detail);
    if (status == STATUS_OK)
        status = producer_listen(m->producer, FEED_TOPIC_ACCEPTED, see, m, ret_detail);
    if (status == STATUS_OK)
        status = alarm_open(&m->alarm_fd, ret_detail);
    uint64_t now_ns = clock_boot_ns();
    m->wall_ahead_ns = clock_wall_ns() - now_ns;
    pace_init(&m->pace, m->options.rate, m->options.count, TICK_NS, now_ns);
    return status;
}

static void meter_close(struct meter *m)
{
    alarm_close(&m->alarm_fd);
    producer_close(&m->producer);
    latency_destroy(&m->latency);
    workload_destroy(&m->workload);
}

/* ---- running ---- */

/* Hands one submission in. */
static enum status submit(struct meter *m, uint32_t events)
{
    uint8_t *at;
    enum status status =
        producer_reserve(m->producer, 0, (size_t)events * WORKLOAD_EVENT_BYTES_MAX, &at);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < events; i++) {
        uint64_t due_ns = pace_due_ns(&m->pace, m->pace.made + i);
        at = workload_put(m->workload, at, m->wall_ahead_ns + due_ns);
    }
    producer_added(m->producer, 0, at, events);
    producer_seal(m->producer, 0);
    uint64_t now_ns = clock_boot_ns();
    for (uint32_t i = 0; i < events; i++)
        latency_handed_in(m->latency, pace_due_ns(&m->pace, m->pace.made + i), now_ns);
    pace_made(&m->pace, events);
    return STATUS_OK;
}

/* Hands in what is due. FULL: verdicts must come first; what is due waits, and its time counts. */
static enum status submit_due(struct meter *m)
{
    uint64_t due = pace_events_due(&m->pace, clock_boot_ns());
    if (due == 0)
        return STATUS_OK;
    while (due > 0) {
        uint32_t room = outbox_room(producer_outbox(m->producer, 0));
        uint32_t events = (uint32_t)(due < SUBMISSION_EVENTS ? due : SUBMISSION_EVENTS);
        if (room < events)
            return STATUS_FULL;
        enum status status = submit(m, events);
        if (status != STATUS_OK)
            return status;
        due -= events;
    }
    alarm_set(m->alarm_fd, pace_next_wake_ns(&m->pace));
    return STATUS_OK;
}

/* Waits, and takes what came. */
static enum status take_turn(struct meter *m, int alarm_fd, int timeout_ms,
                             struct detail *ret_detail)
{
    struct turn turn = {.fd = alarm_fd, .timeout_ms = timeout_ms};
    enum status status = producer_turn(m->producer, &turn, ret_detail);
    uint64_t acknowledged = outbox_acknowledged(producer_outbox(m->producer, 0));
    latency_acknowledged(m->latency, acknowledged, clock_boot_ns());
    return status;
}

/* Until all that was accepted was seen, too; what the events socket lost never comes. */
static enum status wait_for_the_rest(struct meter *m, struct detail *ret_detail)
{
    uint64_t limit_ns = UINT64_MAX;
    while (producer_pending(m->producer) > 0 ||
           latency_seen_count(m->latency) < producer_counts(m->producer).accepted) {
        uint64_t now_ns = clock_boot_ns();
        bool limited = lifecycle_stopping() || producer_pending(m->producer) == 0;
        if (limited && limit_ns == UINT64_MAX)
            limit_ns = now_ns + PRODUCER_DRAIN_NS;
        if (now_ns >= limit_ns)
            break;
        enum status status = take_turn(m, -1, WAITING_TURN_MS, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status run(struct meter *m, struct detail *ret_detail)
{
    while (!pace_finished(&m->pace) && !lifecycle_stopping()) {
        enum status status = submit_due(m);
        if (status != STATUS_OK && status != STATUS_FULL)
            return detail_set(ret_detail, status, "cannot hold more events");
        status = take_turn(m, status == STATUS_FULL ? -1 : m->alarm_fd, -1, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    enum status status = wait_for_the_rest(m, ret_detail);
    if (status == STATUS_OK && !lifecycle_stopping())
        status = compare_clocks_again(m, ret_detail);
    return status;
}

/* ---- the command ---- */

static enum status report(const struct meter *m, struct detail *ret_detail)
{
    struct outbox_counts counts = producer_counts(m->producer);
    const struct latency_report report = {.rate = m->options.rate,
                                          .events = m->pace.made,
                                          .accepted = counts.accepted,
                                          .refused = counts.refused,
                                          .left_out = m->left_out};
    if (m->options.json)
        latency_print_json(m->latency, &report, stdout);
    else
        latency_print_table(m->latency, &report, stdout);
    if (fflush(stdout) != 0)
        return detail_set(ret_detail, STATUS_IO, "cannot write the report");
    enum status status = STATUS_OK;
    if (m->options.hgrm != NULL)
        status = latency_write_hgrm(m->latency, m->options.hgrm, ret_detail);
    uint64_t unseen = counts.accepted - latency_seen_count(m->latency);
    if (status == STATUS_OK && unseen > 0)
        status =
            detail_set(ret_detail, STATUS_TIMED_OUT,
                       "%" PRIu64 " accepted events were not seen on the events socket", unseen);
    return status;
}

static enum status parse(struct latency_options *o, int argc, char **argv)
{
    const struct option_spec options[] = {
        {"rate", "PER_S", "events per second (default 1000)", OPTION_UINT, &o->rate, PACE_RATE_MAX},
        {"count", "N", "events in all (default: ten seconds of them)", OPTION_UINT, &o->count, 0},
        {"json", NULL, "print one JSON object, times in ns", OPTION_FLAG, &o->json, 0},
        {"hgrm", "FILE", "also write the end-to-end percentiles as HdrHistogram text, in µs",
         OPTION_TEXT, &o->hgrm, 0},
        {"source", "NAME", "the source's name (default random)", OPTION_TEXT, &o->source, 0},
        {"subjects", "N", "orders, users, products and payments in all (default 1000)", OPTION_UINT,
         &o->subjects, WORKLOAD_SUBJECTS_MAX},
        {"seed", "N", "the same seed makes the same events (default random)", OPTION_UINT, &o->seed,
         0},
        OPTIONS_ENDPOINTS(o->endpoints),
    };
    const struct command command = {
        .name = "latency",
        .help = "measure how long events take, from when they are due until they are seen",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    enum status status = options_parse(PRODUCER_PROGRAM, &command, argc, argv, NULL, NULL);
    if (status != STATUS_OK)
        return status;
    if (o->rate == 0 || o->subjects == 0)
        return options_usage(PRODUCER_PROGRAM, &command, "--rate and --subjects are at least 1");
    if (o->count == 0)
        o->count = 10 * o->rate;
    return STATUS_OK;
}

int latency_main(int argc, char **argv)
{
    struct meter m = {.options = {.rate = 1000, .subjects = 1000}, .alarm_fd = -1};
    m.options.seed = rng_seed_random();
    enum status status = parse(&m.options, argc, argv);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);

    struct detail detail = {{0}};
    status = lifecycle_start(&detail);
    if (status == STATUS_OK)
        status = meter_open(&m, &detail);
    int code = EXIT_CODE_DONE;
    if (status == STATUS_OK) {
        log_info("ready", "rate=%" PRIu64 " events=%" PRIu64 " source=%s", m.options.rate,
                 m.options.count, m.options.source);
        status = run(&m, &detail);
        if (status == STATUS_OK)
            status = report(&m, &detail);
        code = producer_exit_code(m.producer);
    }
    if (status != STATUS_OK && status != STATUS_INTERRUPTED)
        code = lifecycle_fail(PRODUCER_PROGRAM, status, &detail);
    meter_close(&m);
    return code;
}
