/* generate: an open-loop source of plausible events. At a rate, each event has a time at which it
 * is due, whatever the processor does; what is due at a tick leaves in as few submissions as can
 * be. At rate 0, as fast as verdicts come.
 */
#include <stdio.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/base/rng.h"
#include "producer/alarm.h"
#include "producer/commands.h"
#include "producer/core/pace.h"
#include "producer/core/workload.h"
#include "producer/producer.h"
#include "producer/progress.h"

#define TICK_NS 500000ULL

enum {
    BATCH_MAX = 4096, /* events; about 450 KB */
    BATCH_AT_RATE_ZERO = 256,
    BATCHES_PER_TURN = 64,  /* between two looks at the sockets, … */
    EVENTS_PER_TURN = 4096, /* … or so many events, so that the processor need not wait */
    CHUNK_EVENTS = 64,      /* written with one look at the outbox */
};

struct generate_options {
    struct endpoint_options endpoints;
    uint64_t rate, count, sources, subjects, seed, batch; /* count, batch 0: not given */
    const char *source;
    bool bursts;
};

struct generator {
    struct generate_options options;
    struct producer *producer;
    struct workload *workload;
    struct progress progress;
    struct pace pace;       /* CLOCK_BOOTTIME */
    int alarm_fd;           /* −1 at rate 0 */
    uint64_t wall_ahead_ns; /* CLOCK_REALTIME − CLOCK_BOOTTIME at the start */
    uint32_t next_source;
};

static enum status add_sources(struct generator *g, struct detail *ret_detail)
{
    char random_prefix[EVENT_SOURCE_BYTES_MAX];
    const char *prefix = g->options.source;
    if (prefix == NULL) {
        snprintf(random_prefix, sizeof random_prefix, "gen-%08x",
                 (unsigned)(rng_seed_random() & UINT32_MAX));
        prefix = random_prefix;
    }
    for (uint64_t i = 0; i < g->options.sources; i++) {
        char name[2 * EVENT_SOURCE_BYTES_MAX];
        if (g->options.sources == 1)
            snprintf(name, sizeof name, "%s", prefix);
        else
            snprintf(name, sizeof name, "%s-%llu", prefix, (unsigned long long)i);
        enum status status = event_source_check(slice_of_text(name), ret_detail);
        if (status != STATUS_OK)
            return STATUS_USAGE;
        uint32_t index;
        struct hello_reply hello;
        status = producer_add_source(g->producer, slice_of_text(name), &index, &hello, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status generator_open(struct generator *g, struct detail *ret_detail)
{
    struct workload_options workload = {
        .seed = g->options.seed,
        .subjects = (uint32_t)g->options.subjects,
        .bursts = g->options.bursts,
    };
    enum status status = workload_new(&workload, &g->workload);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "no memory for the workload");
    status = producer_open(&g->options.endpoints, &g->producer, ret_detail);
    if (status == STATUS_OK)
        status = add_sources(g, ret_detail);
    if (status == STATUS_OK && g->options.rate > 0)
        status = alarm_open(&g->alarm_fd, ret_detail);
    uint64_t now_ns = clock_boot_ns();
    g->wall_ahead_ns = clock_wall_ns() - now_ns;
    pace_init(&g->pace, g->options.rate, g->options.count, TICK_NS, now_ns);
    progress_start(&g->progress, now_ns);
    return status;
}

static void generator_close(struct generator *g)
{
    alarm_close(&g->alarm_fd);
    producer_close(&g->producer);
    workload_destroy(&g->workload);
}

/* The next source in turn that has room for `events`; false: none. */
static bool pick_source(struct generator *g, uint32_t events, uint32_t *ret_index)
{
    uint32_t count = producer_source_count(g->producer);
    for (uint32_t n = 0; n < count; n++) {
        uint32_t index = (g->next_source + n) % count;
        if (outbox_room(producer_outbox(g->producer, index)) < events)
            continue;
        g->next_source = (index + 1) % count;
        *ret_index = index;
        return true;
    }
    return false;
}

/* Writes up to `events` into the open submission of one source; fewer when memory is full. */
static enum status make_events(struct generator *g, uint32_t index, uint32_t events,
                               uint64_t now_ns)
{
    uint64_t rate = g->options.rate;
    while (events > 0) {
        uint32_t chunk = events < CHUNK_EVENTS ? events : CHUNK_EVENTS;
        uint8_t *at;
        enum status status =
            producer_reserve(g->producer, index, (size_t)chunk * WORKLOAD_EVENT_BYTES_MAX, &at);
        if (status != STATUS_OK)
            return status;
        uint64_t time_ns = g->wall_ahead_ns;
        time_ns += rate > 0 ? pace_due_ns(&g->pace, g->pace.made) : now_ns;
        uint64_t step_ns = rate > 0 ? NS_PER_S / rate : 0;
        for (uint32_t i = 0; i < chunk; i++, time_ns += step_ns)
            at = workload_put(g->workload, at, time_ns);
        producer_added(g->producer, index, at, chunk);
        pace_made(&g->pace, chunk);
        events -= chunk;
    }
    return STATUS_OK;
}

/* Makes what is due. STATUS_FULL: verdicts must come first. */
static enum status make_due(struct generator *g, uint64_t now_ns)
{
    uint64_t due = pace_events_due(&g->pace, now_ns);
    if (due == 0)
        return STATUS_OK;
    uint64_t until = g->pace.made + EVENTS_PER_TURN;
    for (unsigned i = 0; i < BATCHES_PER_TURN && due > 0 && g->pace.made < until; i++) {
        uint32_t batch = (uint32_t)(due < g->options.batch ? due : g->options.batch);
        uint32_t index;
        if (!pick_source(g, batch, &index))
            return STATUS_FULL;
        enum status status = make_events(g, index, batch, now_ns);
        producer_seal(g->producer, index);
        if (status != STATUS_OK)
            return status;
        due -= batch;
    }
    if (g->alarm_fd >= 0)
        alarm_set(g->alarm_fd, pace_next_wake_ns(&g->pace));
    return STATUS_OK;
}

static enum status run(struct generator *g, struct detail *ret_detail)
{
    while (!pace_finished(&g->pace) && !lifecycle_stopping()) {
        uint64_t now_ns = clock_boot_ns();
        enum status status = make_due(g, now_ns);
        if (status != STATUS_OK && status != STATUS_FULL)
            return detail_set(ret_detail, status, "cannot hold more events");
        bool waits = g->options.rate > 0 || status == STATUS_FULL;
        struct turn turn = {.fd = g->alarm_fd, .timeout_ms = waits ? -1 : 0};
        if (status == STATUS_FULL)
            turn.fd = -1; /* what is due waits for verdicts */
        status = producer_turn(g->producer, &turn, ret_detail);
        if (status != STATUS_OK)
            return status;
        progress_tick(&g->progress, g->producer, now_ns);
    }
    return producer_drain(g->producer, ret_detail);
}

static enum status parse(struct generate_options *o, int argc, char **argv)
{
    const struct option_spec options[] = {
        {"rate", "PER_S", "events per second; 0: as fast as it goes (default 1000)", OPTION_UINT,
         &o->rate, PACE_RATE_MAX},
        {"count", "N", "stop after so many events (default: at Ctrl-C)", OPTION_UINT, &o->count, 0},
        {"sources", "N", "how many sources take turns (default 1)", OPTION_UINT, &o->sources,
         PRODUCER_SOURCES_MAX},
        {"source", "NAME", "the source's name, or what the names begin with (default random)",
         OPTION_TEXT, &o->source, 0},
        {"subjects", "N", "orders, users, products and payments in all (default 1000)", OPTION_UINT,
         &o->subjects, WORKLOAD_SUBJECTS_MAX},
        {"seed", "N", "the same seed makes the same events (default random)", OPTION_UINT, &o->seed,
         0},
        {"bursts", NULL, "now and then most events go to one subject", OPTION_FLAG, &o->bursts, 0},
        {"batch", "N", "events per submission at most (default 256 at rate 0, else what is due)",
         OPTION_UINT, &o->batch, BATCH_MAX},
        OPTIONS_ENDPOINTS(o->endpoints),
    };
    const struct command command = {
        .name = "generate",
        .help = "submit made-up events of a small shop",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    enum status status = options_parse(PRODUCER_PROGRAM, &command, argc, argv, NULL, NULL);
    if (status != STATUS_OK)
        return status;
    if (o->sources == 0 || o->subjects == 0)
        return options_usage(PRODUCER_PROGRAM, &command, "--sources and --subjects are at least 1");
    if (o->batch == 0)
        o->batch = o->rate == 0 ? BATCH_AT_RATE_ZERO : BATCH_MAX;
    return STATUS_OK;
}

int generate_main(int argc, char **argv)
{
    struct generator g = {.options = {.rate = 1000, .sources = 1, .subjects = 1000},
                          .alarm_fd = -1};
    g.options.seed = rng_seed_random();
    enum status status = parse(&g.options, argc, argv);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);

    struct detail detail = {{0}};
    status = lifecycle_start(&detail);
    if (status == STATUS_OK)
        status = generator_open(&g, &detail);
    bool opened = status == STATUS_OK;
    if (opened) {
        log_info("ready", "rate=%llu seed=%llu", (unsigned long long)g.options.rate,
                 (unsigned long long)g.options.seed);
        status = run(&g, &detail);
        progress_finish(&g.progress, g.producer, "", clock_boot_ns());
    }
    int code = opened ? producer_exit_code(g.producer) : EXIT_CODE_DONE;
    if (status != STATUS_OK && status != STATUS_INTERRUPTED)
        code = lifecycle_fail(PRODUCER_PROGRAM, status, &detail);
    generator_close(&g);
    return code;
}
