/* generate: an open-loop source of plausible events. At a rate, each event has a time at which it
 * is due, whatever the processor does; what is due at a tick leaves in as few submissions as can
 * be. At rate 0, as fast as verdicts come.
 */
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/base/rng.h"
#include "producer/commands.h"
#include "producer/core/workload.h"
#include "producer/producer.h"
#include "producer/progress.h"

#define TICK_NS_MIN 500000ULL

enum {
    RATE_MAX = 1000 * 1000 * 1000,
    BATCH_MAX = 4096, /* events; about 450 KB */
    BATCH_AT_RATE_ZERO = 256,
    BATCHES_PER_TURN = 16,
    CHUNK_EVENTS = 256, /* written with one look at the outbox */
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
    int timer_fd;           /* −1 at rate 0 */
    uint64_t started_ns;    /* CLOCK_BOOTTIME */
    uint64_t wall_start_ns; /* CLOCK_REALTIME at the same moment */
    uint64_t made;          /* events */
    uint32_t next_source;
};

static enum status start_timer(struct generator *g, struct detail *ret_detail)
{
    uint64_t tick_ns = NS_PER_S / g->options.rate;
    if (tick_ns < TICK_NS_MIN)
        tick_ns = TICK_NS_MIN;
    struct timespec tick = {.tv_sec = (time_t)(tick_ns / NS_PER_S),
                            .tv_nsec = (long)(tick_ns % NS_PER_S)};
    struct itimerspec timer = {.it_interval = tick, .it_value = {.tv_nsec = 1}};
    g->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (g->timer_fd < 0 || timerfd_settime(g->timer_fd, 0, &timer, NULL) != 0)
        return detail_set(ret_detail, STATUS_IO, "no timer to be had");
    return STATUS_OK;
}

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
        status = start_timer(g, ret_detail);
    g->started_ns = clock_boot_ns();
    g->wall_start_ns = clock_wall_ns();
    progress_start(&g->progress, g->started_ns);
    return status;
}

static void generator_close(struct generator *g)
{
    if (g->timer_fd >= 0)
        close(g->timer_fd);
    producer_close(&g->producer);
    workload_destroy(&g->workload);
}

/* When the n-th event (from 0) is due, ns since the start. */
static uint64_t due_ns(uint64_t n, uint64_t rate)
{
    return n / rate * NS_PER_S + n % rate * NS_PER_S / rate;
}

/* How many events are due by now and not yet made, within --count. */
static uint64_t events_due(const struct generator *g, uint64_t now_ns)
{
    uint64_t left = g->options.count > 0 ? g->options.count - g->made : UINT64_MAX;
    uint64_t due = UINT64_MAX;
    uint64_t rate = g->options.rate;
    if (rate > 0) {
        uint64_t elapsed = now_ns - g->started_ns;
        due = elapsed / NS_PER_S * rate + elapsed % NS_PER_S * rate / NS_PER_S + 1 - g->made;
    }
    return due < left ? due : left;
}

static bool finished(const struct generator *g)
{
    return g->options.count > 0 && g->made == g->options.count;
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
        uint64_t since_start_ns = rate > 0 ? due_ns(g->made, rate) : now_ns - g->started_ns;
        uint64_t time_ns = g->wall_start_ns + since_start_ns;
        uint64_t step_ns = rate > 0 ? NS_PER_S / rate : 0;
        for (uint32_t i = 0; i < chunk; i++, time_ns += step_ns)
            at = workload_put(g->workload, at, time_ns);
        producer_added(g->producer, index, at, chunk);
        g->made += chunk;
        events -= chunk;
    }
    return STATUS_OK;
}

/* Makes what is due. STATUS_FULL: verdicts must come first. */
static enum status make_due(struct generator *g, uint64_t now_ns)
{
    uint64_t due = events_due(g, now_ns);
    for (unsigned i = 0; i < BATCHES_PER_TURN && due > 0; i++) {
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
    return STATUS_OK;
}

/* At a rate the timer alone decides when events are made, so that acks do not cut them up. */
static void clear_timer(const struct generator *g)
{
    uint64_t ticks;
    ssize_t size = read(g->timer_fd, &ticks, sizeof ticks);
    (void)size; /* nothing there: somebody else's wake-up */
}

static enum status run(struct generator *g, struct detail *ret_detail)
{
    bool paced = g->options.rate > 0;
    bool ticked = true;
    while (!finished(g) && !lifecycle_stopping()) {
        uint64_t now_ns = clock_boot_ns();
        enum status status = STATUS_OK;
        if (ticked)
            status = make_due(g, now_ns);
        if (status != STATUS_OK && status != STATUS_FULL)
            return detail_set(ret_detail, status, "cannot hold more events");
        bool waits = paced || status == STATUS_FULL;
        struct turn turn = {.fd = g->timer_fd, .timeout_ms = waits ? -1 : 0};
        status = producer_turn(g->producer, &turn, ret_detail);
        if (status != STATUS_OK)
            return status;
        ticked = !paced || turn.fd_ready;
        if (turn.fd_ready)
            clear_timer(g);
        progress_tick(&g->progress, g->producer, now_ns);
    }
    return producer_drain(g->producer, ret_detail);
}

static enum status parse(struct generate_options *o, int argc, char **argv)
{
    const struct option_spec options[] = {
        {"rate", "PER_S", "events per second; 0: as fast as it goes (default 1000)", OPTION_UINT,
         &o->rate, RATE_MAX},
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
    char **operands;
    int operand_count;
    enum status status =
        options_parse(PRODUCER_PROGRAM, &command, argc, argv, &operands, &operand_count);
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
                          .timer_fd = -1};
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
