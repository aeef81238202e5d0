#include "processor/run.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/duration.h"
#include "common/base/logger.h"
#include "common/wire/feed.h"
#include "common/wire/socket.h"
#include "common/wire/submission.h"
#include "processor/commit.h"
#include "processor/control.h"
#include "processor/filler.h"
#include "processor/held_store.h"
#include "processor/ingest.h"
#include "processor/policy_options.h"
#include "processor/recorder.h"
#include "processor/report.h"
#include "processor/snapshots.h"

#define PROGRAM "weir-processor"

enum {
    IO_THREADS = 2,
    IO_THREAD_INGEST = 1,      /* one receives while the other sends, */
    IO_THREAD_EVENTS = 2,      /* and a batch for several subscribers wakes only one of them */
    INGEST_MESSAGES_MAX = 256, /* high-water mark: frames waiting per producer */
    EVENTS_MESSAGES_MAX = 512, /* high-water mark: messages waiting per subscriber */
    CONTROL_MESSAGES_MAX = 1000,
    LINGER_MS = 1000, /* what was published may still leave */
    SUMMARY_EVERY_MS = 5000,
};
#define WALL_STEP_WARN_NS (1 * (int64_t)NS_PER_S)

struct run_options {
    const char *store;
    struct policy_options policy;
    struct endpoint_options endpoints;
    uint64_t records_per_s;
    const char *retain_for; /* NULL: no limit */
    uint64_t segment_bytes;
    uint64_t snapshot_bytes;
    struct retention_options retention;
};

/* Everything that `run` holds, in the order in which it is taken. */
struct run {
    struct run_options options;
    struct policy_set wanted; /* by --policy or --limit */
    int run_lock_fd, control_stop_fd;
    struct held_store held; /* its state until ingest takes it over */
    struct service service;
    struct socket *ingest_socket, *events_socket, *control_socket;
    struct ingest *ingest;
    struct commit *commit;
    struct control *control;
    struct snapshots *snapshots;
    struct filler *filler;
    int64_t wall_step_ns; /* the last one warned of */
};

/* ---- options and policies ---- */

static enum status options_read(struct run *run, int argc, char **argv)
{
    struct run_options *o = &run->options;
    const struct option_spec specs[] = {
        {"store", "DIR", "folder of the log (made if it is missing)", OPTION_TEXT, &o->store, 0},
        OPTIONS_POLICY(o->policy),
        {"refusal-records", "PER_S", "refusals recorded one by one per second; beyond: summaries",
         OPTION_UINT, &o->records_per_s, UINT32_MAX},
        {"retain-bytes", "BYTES",
         "drop old segments of the log beyond so many bytes (default: never)", OPTION_UINT,
         &o->retention.bytes, 0},
        {"retain-for", "DURATION", "drop segments older than 30d, 12h, 90m … (default: never)",
         OPTION_TEXT, &o->retain_for, 0},
        {"segment-bytes", "BYTES", "size of new segments (default 64 MiB; a multiple of 1 MiB)",
         OPTION_UINT, &o->segment_bytes, SEGMENT_BYTES_LARGEST},
        {"snapshot-bytes", "BYTES",
         "a snapshot of the state after so much log (default 16 MiB; 0: none)", OPTION_UINT,
         &o->snapshot_bytes, 0},
        OPTIONS_ENDPOINTS(o->endpoints),
    };
    const struct command command = {.name = "run",
                                    .help = "take events in, limit, log and publish them",
                                    .options = specs,
                                    .option_count = sizeof specs / sizeof specs[0]};
    o->records_per_s = RECORDS_PER_S_DEFAULT;
    o->segment_bytes = SEGMENT_BYTES;
    o->snapshot_bytes = SNAPSHOT_EVERY_BYTES;
    enum status status = options_parse(PROGRAM, &command, argc, argv, NULL, NULL);
    if (status != STATUS_OK)
        return status;
    if (status == STATUS_OK && o->retain_for != NULL &&
        !duration_parse(o->retain_for, UINT64_MAX / 2, &o->retention.for_ns))
        return options_usage(PROGRAM, &command, "--retain-for: not a duration: %s", o->retain_for);
    if (retention_is_on(&o->retention) && o->snapshot_bytes == 0)
        return options_usage(PROGRAM, &command,
                             "--retain-bytes and --retain-for need snapshots: --snapshot-bytes 0 "
                             "would keep everything");
    if (o->segment_bytes < SEGMENT_BYTES_MIN || o->segment_bytes % (1024 * 1024) != 0)
        return options_usage(PROGRAM, &command, "--segment-bytes: at least %d, a multiple of 1 MiB",
                             (int)SEGMENT_BYTES_MIN);
    if (o->store != NULL && !policy_options_clash(&o->policy))
        return STATUS_OK;
    return options_usage(PROGRAM, &command,
                         o->store == NULL ? "--store DIR is missing"
                                          : "--policy and --limit exclude each other");
}

/* ---- the store ---- */

static enum status locks_take(struct run *run, struct detail *ret_detail)
{
    const char *run_dir = run->service.endpoints.run_dir;
    enum status status = run_dir_prepare(run_dir, ret_detail);
    if (status == STATUS_OK)
        status = lock_file_take(run_dir, "processor", &run->run_lock_fd, ret_detail);
    return status == STATUS_OK ? held_store_lock(&run->held, ret_detail) : status;
}

/* A log that was written by the times of a file, or under a clock that stood in the future. */
static void future_warn(uint64_t last_time_ns, uint64_t wall_ns)
{
    if (last_time_ns > wall_ns + WALL_STEP_WARN_NS)
        log_warn("the log's last time lies in the future: log time goes on from there",
                 "ahead_s=%.3f", (double)(last_time_ns - wall_ns) / (double)NS_PER_S);
}

/* Afterwards the state, the policies, the log id and the clock stand. */
static enum status store_open(struct run *run, struct detail *ret_detail)
{
    struct service *service = &run->service;
    struct held_store *held = &run->held;
    enum status status = held_store_open(held, &run->wanted, clock_wall_ns(), ret_detail);
    if (status != STATUS_OK)
        return status;
    uint64_t last_time_ns = log_durable(held->log).last_time_ns, wall_ns = clock_wall_ns();
    log_clock_init(&service->clock, wall_ns, clock_boot_ns(), last_time_ns);
    future_warn(last_time_ns, wall_ns);
    service->started_at_ns = service->clock.anchor_ns;
    status =
        held_store_settle(held, policy_options_given(&run->options.policy) ? &run->wanted : NULL,
                          log_clock_stamp(&service->clock, clock_boot_ns()), ret_detail);
    service->log = held->log;
    service->log_id = held->log_id;
    service->genesis_policy = held->genesis_policy;
    counter_set(&service->counters.window_ns, state_longest_window_ns(held->state));
    return status;
}

/* ---- sockets and threads ---- */

static enum status sockets_open(struct run *run, struct detail *ret_detail)
{
    const struct endpoints *endpoints = &run->service.endpoints;
    const struct socket_options control = {.kind = SOCKET_ROUTER,
                                           .bind = true,
                                           .endpoint = endpoints->control,
                                           .high_water_mark = CONTROL_MESSAGES_MAX,
                                           .message_bytes_max = CONTROL_MESSAGE_BYTES_MAX,
                                           .linger_ms = LINGER_MS};
    const struct socket_options events = {.kind = SOCKET_PUB,
                                          .bind = true,
                                          .endpoint = endpoints->events,
                                          .high_water_mark = EVENTS_MESSAGES_MAX,
                                          .message_bytes_max = FEED_MESSAGE_BYTES_MAX,
                                          .linger_ms = LINGER_MS,
                                          .io_thread = IO_THREAD_EVENTS};
    const struct socket_options ingest = {.kind = SOCKET_PULL,
                                          .bind = true,
                                          .endpoint = endpoints->ingest,
                                          .high_water_mark = INGEST_MESSAGES_MAX,
                                          .message_bytes_max = INGEST_MESSAGE_BYTES_MAX,
                                          .linger_ms = 0,
                                          .io_thread = IO_THREAD_INGEST};
    enum status status = socket_setup(IO_THREADS, ret_detail);
    if (status == STATUS_OK)
        status = socket_open(&control, &run->control_socket, ret_detail);
    if (status == STATUS_OK)
        status = socket_open(&events, &run->events_socket, ret_detail);
    if (status == STATUS_OK)
        status = socket_open(&ingest, &run->ingest_socket, ret_detail);
    if (status == STATUS_OK)
        lock_file_note(run->held.lock_fd, socket_endpoint(run->control_socket));
    return status;
}

static enum status parts_make(struct run *run, struct detail *ret_detail)
{
    struct service *service = &run->service;
    struct reader *reader = NULL;
    enum status status = reader_new(run->options.store, &reader, ret_detail);
    if (status != STATUS_OK)
        return status;
    service->pool = batch_pool_new();
    service->to_commit = queue_new(BATCHES_IN_FLIGHT_MAX, false);
    service->to_core = queue_new(CALLS_WAITING_MAX, true);
    service->to_control = queue_new(2 * CALLS_WAITING_MAX, true);
    service->to_filler = queue_new(CHANGES_WAITING_MAX, false);
    run->control_stop_fd = eventfd(0, EFD_CLOEXEC);
    run->control =
        control_new(service, run->control_socket, reader, state_policies(run->held.state));
    if (run->control == NULL)
        reader_destroy(&reader);
    run->filler = filler_new(service);
    run->commit = commit_new(service, run->events_socket);
    run->snapshots = snapshots_new(service, run->options.retention, run->options.snapshot_bytes);
    if (service->pool == NULL || service->to_commit == NULL || service->to_core == NULL ||
        service->to_control == NULL || service->to_filler == NULL || run->control_stop_fd < 0 ||
        run->control == NULL || run->filler == NULL || run->commit == NULL ||
        run->snapshots == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory or descriptors");
    run->ingest = ingest_new(service, run->held.state, run->ingest_socket);
    if (run->ingest == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    run->held.state = NULL;
    return STATUS_OK;
}

static void *core_thread(void *run)
{
    ingest_run(((struct run *)run)->ingest, lifecycle_fd());
    return NULL;
}

static void *commit_thread(void *run)
{
    commit_run(((struct run *)run)->commit);
    return NULL;
}

static void *snapshots_thread(void *run)
{
    snapshots_run(((struct run *)run)->snapshots);
    return NULL;
}

static void *control_thread(void *run)
{
    control_run(((struct run *)run)->control, ((struct run *)run)->control_stop_fd);
    return NULL;
}

static void *filler_thread(void *run)
{
    filler_run(((struct run *)run)->filler);
    return NULL;
}

/* The wall clock is read at the start only; who sets it meanwhile should know that log time does
 * not follow. */
static void wall_step_warn(struct run *run)
{
    int64_t step_ns = log_clock_wall_step(&run->service.clock, clock_wall_ns(), clock_boot_ns());
    int64_t change_ns = step_ns - run->wall_step_ns;
    if (change_ns < WALL_STEP_WARN_NS && change_ns > -WALL_STEP_WARN_NS)
        return;
    run->wall_step_ns = step_ns;
    log_warn("the wall clock and log time are apart: log time goes on until the next start",
             "wall_ahead_s=%.3f", (double)step_ns / (double)NS_PER_S);
}

static void supervise(struct run *run)
{
    struct report_line line = {.at_ns = clock_boot_ns()};
    struct socket_wait stop = {.fd = lifecycle_fd()};
    while (!stop.ready) {
        if (socket_wait(&stop, 1, SUMMARY_EVERY_MS) == STATUS_TIMED_OUT) {
            report_summary(&run->service, &line);
            wall_step_warn(run);
        }
    }
    (void)lifecycle_stopping(); /* takes the signal: a second one ends the process at once */
}

/* Whoever called and was not heard is told so; the core and the filler have ended. */
static void calls_return(struct service *service)
{
    void *item;
    while (queue_pop(service->to_core, &item, 1, 0) == 1) {
        struct call *call = item;
        call->status = detail_set(&call->detail, STATUS_UNAVAILABLE, "the processor is stopping");
        queue_push(service->to_control, call);
    }
}

/* Starts the threads, waits for the stop, and ends them in the order in which batches flow. */
static enum status threads_run(struct run *run, struct detail *ret_detail)
{
    pthread_t core, commit, control, filler, snapshots;
    if (pthread_create(&control, NULL, control_thread, run) != 0)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "cannot start a thread");
    bool filler_runs = pthread_create(&filler, NULL, filler_thread, run) == 0;
    bool commit_runs = filler_runs && pthread_create(&commit, NULL, commit_thread, run) == 0;
    bool core_runs = commit_runs && pthread_create(&core, NULL, core_thread, run) == 0;
    if (core_runs) {
        log_info("ready",
                 "store=%s ingest=%s events=%s control=%s last_event_id=%" PRIu64
                 " state_digest=%016" PRIx64,
                 run->options.store, run->service.endpoints.ingest, run->service.endpoints.events,
                 run->service.endpoints.control, log_durable(run->service.log).last_event_id,
                 log_durable(run->service.log).state_digest);
        bool snapshots_run = run->options.snapshot_bytes > 0 &&
                             pthread_create(&snapshots, NULL, snapshots_thread, run) == 0;
        supervise(run);
        pthread_join(core, NULL);
        if (snapshots_run) {
            snapshots_stop(run->snapshots);
            pthread_join(snapshots, NULL);
        }
    } else if (commit_runs) {
        queue_close(run->service.to_commit);
    }
    queue_close(run->service.to_filler);
    if (filler_runs)
        pthread_join(filler, NULL);
    if (commit_runs)
        pthread_join(commit, NULL);
    calls_return(&run->service);
    (void)eventfd_write(run->control_stop_fd, 1);
    pthread_join(control, NULL);
    if (!core_runs)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "cannot start a thread");
    enum status status = (enum status)atomic_load(&run->service.failure);
    if (status != STATUS_OK)
        *ret_detail = run->service.failure_detail;
    return status;
}

/* ---- start and end ---- */

static enum status run_start(struct run *run, struct detail *ret_detail)
{
    enum status status = policy_options_read(&run->options.policy, &run->wanted, ret_detail);
    if (status == STATUS_OK)
        status = endpoints_resolve(&run->options.endpoints, &run->service.endpoints, ret_detail);
    if (status == STATUS_OK)
        status = locks_take(run, ret_detail);
    if (status == STATUS_OK)
        status = lifecycle_start(ret_detail);
    if (status == STATUS_OK)
        status = store_open(run, ret_detail);
    if (status == STATUS_OK)
        status = sockets_open(run, ret_detail);
    if (status == STATUS_OK)
        status = parts_make(run, ret_detail);
    return status;
}

static void calls_free(struct queue *queue)
{
    void *item;
    while (queue != NULL && queue_pop(queue, &item, 1, 0) == 1) {
        struct call *call = item;
        call_destroy(&call);
    }
}

static void run_end(struct run *run)
{
    struct service *service = &run->service;
    control_destroy(&run->control);
    snapshots_destroy(&run->snapshots);
    commit_destroy(&run->commit);
    filler_destroy(&run->filler);
    ingest_destroy(&run->ingest);
    socket_close(&run->ingest_socket);
    socket_close(&run->events_socket);
    socket_close(&run->control_socket);
    socket_teardown(); /* libzmq gives back the batches it borrowed */
    calls_free(service->to_core);
    calls_free(service->to_control);
    calls_free(service->to_filler);
    queue_destroy(&service->to_commit);
    queue_destroy(&service->to_core);
    queue_destroy(&service->to_control);
    queue_destroy(&service->to_filler);
    batch_pool_destroy(&service->pool);
    held_store_fini(&run->held);
    if (run->control_stop_fd >= 0)
        close(run->control_stop_fd);
    if (run->run_lock_fd >= 0)
        close(run->run_lock_fd);
}

int run_main(int argc, char **argv)
{
    struct run *run = calloc(1, sizeof *run);
    struct detail detail = {0};
    if (run == NULL)
        return EXIT_CODE_FAILED;
    run->run_lock_fd = run->control_stop_fd = -1;
    enum status status = options_read(run, argc, argv);
    if (status != STATUS_OK) {
        free(run);
        return status_exit_code(status == STATUS_END ? STATUS_OK : status);
    }
    pin_init(&run->service.pin);
    run->service.records_per_s = (uint32_t)run->options.records_per_s;
    run->service.store_directory = run->options.store;
    held_store_init(&run->held, run->options.store);
    run->held.segment_bytes = run->options.segment_bytes;
    status = run_start(run, &detail);
    if (status == STATUS_OK)
        status = threads_run(run, &detail);
    if (status == STATUS_OK)
        log_info("stopped", "last_event_id=%" PRIu64 " state_digest=%016" PRIx64,
                 log_durable(run->service.log).last_event_id,
                 log_durable(run->service.log).state_digest);
    run_end(run);
    pin_fini(&run->service.pin);
    free(run);
    return status == STATUS_OK ? EXIT_CODE_DONE : lifecycle_fail(PROGRAM, status, &detail);
}
