#include "processor/run.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/logger.h"
#include "common/wire/feed.h"
#include "common/wire/socket.h"
#include "common/wire/submission.h"
#include "processor/commit.h"
#include "processor/control.h"
#include "processor/ingest.h"
#include "processor/policy_change.h"
#include "processor/recorder.h"
#include "processor/recover.h"
#include "processor/report.h"

#define PROGRAM "weir-processor"

enum {
    IO_THREADS = 2,
    INGEST_MESSAGES_MAX = 256, /* high-water mark: frames waiting per producer */
    EVENTS_MESSAGES_MAX = 512, /* high-water mark: messages waiting per subscriber */
    CONTROL_MESSAGES_MAX = 1000,
    LINGER_MS = 1000, /* what was published may still leave */
    SUMMARY_EVERY_MS = 5000,
};
#define WALL_STEP_WARN_NS (1 * (int64_t)NS_PER_S)

struct run_options {
    const char *store;
    const char *policy_file;
    struct option_list limits;
    struct endpoint_options endpoints;
    uint64_t records_per_s;
};

/* Everything that `run` holds, in the order in which it is taken. */
struct run {
    struct run_options options;
    struct policy_set wanted; /* by --policy or --limit */
    bool policy_given;
    int run_lock_fd, store_lock_fd, control_stop_fd;
    struct recovery *recovery;
    struct state *state; /* until ingest takes it over */
    struct service service;
    struct socket *ingest_socket, *events_socket, *control_socket;
    struct ingest *ingest;
    struct commit *commit;
    struct control *control;
    int64_t wall_step_ns; /* the last one warned of */
};

/* ---- options and policies ---- */

static enum status options_read(struct run *run, int argc, char **argv)
{
    struct run_options *o = &run->options;
    const struct option_spec specs[] = {
        {"store", "DIR", "folder of the log (made if it is missing)", OPTION_TEXT, &o->store, 0},
        {"policy", "FILE", "rate limits, INI (default: those in the log)", OPTION_TEXT,
         &o->policy_file, 0},
        {"limit", "SPEC", "one rate limit: '\"name\";q=100;w=60;pk=source' (repeatable)",
         OPTION_LIST, &o->limits, 0},
        {"refusal-records", "PER_S", "refusals recorded one by one per second; beyond: summaries",
         OPTION_UINT, &o->records_per_s, UINT32_MAX},
        OPTIONS_ENDPOINTS(o->endpoints),
    };
    const struct command command = {.name = "run",
                                    .help = "take events in, limit, log and publish them",
                                    .options = specs,
                                    .option_count = sizeof specs / sizeof specs[0]};
    char **operands;
    int operand_count;
    o->records_per_s = RECORDS_PER_S_DEFAULT;
    enum status status = options_parse(PROGRAM, &command, argc, argv, &operands, &operand_count);
    if (status != STATUS_OK)
        return status;
    if (o->store != NULL && (o->policy_file == NULL || o->limits.count == 0))
        return STATUS_OK;
    return options_usage(PROGRAM, &command,
                         o->store == NULL ? "--store DIR is missing"
                                          : "--policy and --limit exclude each other");
}

static enum status file_read(const char *path, char *ret_text, size_t size,
                             struct detail *ret_detail)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return detail_set(ret_detail, STATUS_CONFIG, "%s: cannot be read: %s", path,
                          strerror(errno));
    size_t length = fread(ret_text, 1, size, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || memchr(ret_text, '\0', length) != NULL)
        return detail_set(ret_detail, STATUS_CONFIG, "%s: is not a text file", path);
    if (length == size)
        return detail_set(ret_detail, STATUS_CONFIG, "%s: longer than %zu bytes", path, size - 1);
    ret_text[length] = '\0';
    return STATUS_OK;
}

static enum status policies_read(struct run *run, struct detail *ret_detail)
{
    static char text[POLICY_TEXT_BYTES_MAX];
    const struct run_options *o = &run->options;
    run->policy_given = o->policy_file != NULL || o->limits.count > 0;
    if (o->policy_file != NULL) {
        enum status status = file_read(o->policy_file, text, sizeof text, ret_detail);
        return status != STATUS_OK
                   ? status
                   : policy_set_parse(text, o->policy_file, &run->wanted, ret_detail);
    }
    for (uint32_t i = 0; i < o->limits.count; i++) {
        enum status status = policy_set_add_limit(&run->wanted, o->limits.items[i], ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- the store ---- */

static enum status store_lock(struct run *run, struct detail *ret_detail)
{
    const char *store = run->options.store;
    enum status status = run_dir_prepare(run->service.endpoints.run_dir, ret_detail);
    if (status == STATUS_OK)
        status = lock_file_take(run->service.endpoints.run_dir, "processor", &run->run_lock_fd,
                                ret_detail);
    if (status != STATUS_OK)
        return status;
    if (mkdir(store, 0700) != 0 && errno != EEXIST)
        return detail_set(ret_detail, STATUS_IO, "cannot make the store folder %s: %s", store,
                          strerror(errno));
    return lock_file_take(store, "store", &run->store_lock_fd, ret_detail);
}

static void genesis_make(const struct run *run, uint64_t now_ns, struct buffer *buffer)
{
    struct genesis genesis = {.created_at_ns = now_ns,
                              .policy_text = slice_of_text(run->wanted.text)};
    struct hash_seed random;
    hash_seed_random(&random);
    memcpy(genesis.log_id.bytes, random.bytes, LOG_ID_BYTES);
    genesis_write(buffer, &genesis);
}

/* A log_visit_fn: folds, unless a stop was asked for. */
static enum status fold_visit(void *recovery, const struct batch_view *batch,
                              struct detail *ret_detail)
{
    if (lifecycle_stopping())
        return detail_set(ret_detail, STATUS_INTERRUPTED, "stopped while the log was read");
    return recovery_visit(recovery, batch, ret_detail);
}

/* Opens the log and folds it: afterwards the state, the log id and the clock stand. */
static enum status store_open(struct run *run, struct detail *ret_detail)
{
    struct service *service = &run->service;
    struct buffer genesis;
    struct detail warning;
    uint64_t wall_ns = clock_wall_ns();
    buffer_init(&genesis, POLICY_TEXT_BYTES_MAX + 64);
    genesis_make(run, wall_ns, &genesis);
    struct log_options options = {.directory = run->options.store,
                                  .genesis = buffer_slice(&genesis),
                                  .created_at_ns = wall_ns};
    run->recovery = recovery_new(run->options.store);
    enum status status = STATUS_NO_MEMORY;
    if (run->recovery != NULL && genesis.status == STATUS_OK)
        status = log_open(&options, fold_visit, run->recovery, &service->log, &warning, ret_detail);
    buffer_fini(&genesis);
    if (status != STATUS_OK)
        return status;
    if (warning.text[0] != '\0')
        log_warn("the log's end was repaired", "what=\"%s\"", warning.text);
    run->state = recovery_take_state(run->recovery);
    if (run->state == NULL)
        return detail_set(ret_detail, STATUS_DAMAGED, "%s: the log has no genesis",
                          run->options.store);
    service->log_id = recovery_genesis(run->recovery)->log_id;
    service->genesis_policy = (const char *)recovery_genesis(run->recovery)->policy_text.data;
    log_clock_init(&service->clock, clock_wall_ns(), clock_boot_ns(),
                   log_durable(service->log).last_time_ns);
    service->started_at_ns = service->clock.anchor_ns;
    return STATUS_OK;
}

/* A given policy that differs from the one in force enters the log as an event, before anything is
 * taken in. */
static enum status policies_settle(struct run *run, struct detail *ret_detail)
{
    struct service *service = &run->service;
    const struct policy_set *in_force = state_policies(run->state);
    enum status status = STATUS_OK;
    if (run->policy_given && strcmp(run->wanted.text, in_force->text) != 0) {
        uint64_t now_ns = log_clock_stamp(&service->clock, clock_boot_ns());
        status = policy_change_make(service->log, run->options.store, run->state, &run->wanted,
                                    now_ns, ret_detail);
        if (status == STATUS_OK)
            log_info("the policy was changed", "event_id=%" PRIu64,
                     log_durable(service->log).last_event_id);
    }
    service->policies = state_policies(run->state);
    if (status == STATUS_OK && service->policies->count == 0)
        log_warn("no policy is in force: nothing is limited", NULL);
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
                                          .linger_ms = LINGER_MS};
    const struct socket_options ingest = {.kind = SOCKET_PULL,
                                          .bind = true,
                                          .endpoint = endpoints->ingest,
                                          .high_water_mark = INGEST_MESSAGES_MAX,
                                          .message_bytes_max = INGEST_MESSAGE_BYTES_MAX,
                                          .linger_ms = 0};
    enum status status = socket_setup(IO_THREADS, ret_detail);
    if (status == STATUS_OK)
        status = socket_open(&control, &run->control_socket, ret_detail);
    if (status == STATUS_OK)
        status = socket_open(&events, &run->events_socket, ret_detail);
    if (status == STATUS_OK)
        status = socket_open(&ingest, &run->ingest_socket, ret_detail);
    return status;
}

static enum status parts_make(struct run *run, struct detail *ret_detail)
{
    struct service *service = &run->service;
    struct reader *reader;
    enum status status = reader_new(run->options.store, &reader, ret_detail);
    if (status != STATUS_OK)
        return status;
    service->pool = batch_pool_new();
    service->to_commit = queue_new(BATCHES_IN_FLIGHT_MAX, false);
    service->to_core = queue_new(HELLOS_WAITING_MAX, true);
    service->to_control = queue_new(2 * HELLOS_WAITING_MAX, true);
    run->control_stop_fd = eventfd(0, EFD_CLOEXEC);
    run->control = control_new(service, run->control_socket, reader);
    if (run->control == NULL)
        reader_destroy(&reader);
    run->commit = commit_new(service, run->events_socket);
    if (service->pool == NULL || service->to_commit == NULL || service->to_core == NULL ||
        service->to_control == NULL || run->control_stop_fd < 0 || run->control == NULL ||
        run->commit == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory or descriptors");
    run->ingest = ingest_new(service, run->state, run->ingest_socket);
    if (run->ingest == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    run->state = NULL;
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

static void *control_thread(void *run)
{
    control_run(((struct run *)run)->control, ((struct run *)run)->control_stop_fd);
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

/* Starts the threads, waits for the stop, and ends them in the order in which batches flow. */
static enum status threads_run(struct run *run, struct detail *ret_detail)
{
    pthread_t core, commit, control;
    if (pthread_create(&control, NULL, control_thread, run) != 0)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "cannot start a thread");
    bool commit_runs = pthread_create(&commit, NULL, commit_thread, run) == 0;
    bool core_runs = commit_runs && pthread_create(&core, NULL, core_thread, run) == 0;
    if (core_runs) {
        log_info("ready", "store=%s ingest=%s events=%s control=%s last_event_id=%" PRIu64,
                 run->options.store, run->service.endpoints.ingest, run->service.endpoints.events,
                 run->service.endpoints.control, log_durable(run->service.log).last_event_id);
        supervise(run);
        pthread_join(core, NULL);
    } else if (commit_runs) {
        queue_close(run->service.to_commit);
    }
    if (commit_runs)
        pthread_join(commit, NULL);
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
    enum status status = policies_read(run, ret_detail);
    if (status == STATUS_OK)
        status = endpoints_resolve(&run->options.endpoints, &run->service.endpoints, ret_detail);
    if (status == STATUS_OK)
        status = store_lock(run, ret_detail);
    if (status == STATUS_OK)
        status = lifecycle_start(ret_detail);
    if (status == STATUS_OK)
        status = store_open(run, ret_detail);
    if (status == STATUS_OK)
        status = policies_settle(run, ret_detail);
    if (status == STATUS_OK)
        status = sockets_open(run, ret_detail);
    if (status == STATUS_OK)
        status = parts_make(run, ret_detail);
    return status;
}

static void hellos_free(struct queue *queue)
{
    void *call;
    while (queue != NULL && queue_pop(queue, &call, 1, 0) == 1)
        free(call);
}

static void run_end(struct run *run)
{
    struct service *service = &run->service;
    control_destroy(&run->control);
    commit_destroy(&run->commit);
    ingest_destroy(&run->ingest);
    state_destroy(&run->state);
    socket_close(&run->ingest_socket);
    socket_close(&run->events_socket);
    socket_close(&run->control_socket);
    socket_teardown(); /* libzmq gives back the batches it borrowed */
    hellos_free(service->to_core);
    hellos_free(service->to_control);
    queue_destroy(&service->to_commit);
    queue_destroy(&service->to_core);
    queue_destroy(&service->to_control);
    batch_pool_destroy(&service->pool);
    log_close(&service->log);
    recovery_destroy(&run->recovery);
    const int descriptors[] = {run->control_stop_fd, run->store_lock_fd, run->run_lock_fd};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

int run_main(int argc, char **argv)
{
    struct run *run = calloc(1, sizeof *run);
    struct detail detail = {0};
    if (run == NULL)
        return EXIT_CODE_FAILED;
    run->run_lock_fd = run->store_lock_fd = run->control_stop_fd = -1;
    enum status status = options_read(run, argc, argv);
    if (status != STATUS_OK) {
        free(run);
        return status_exit_code(status == STATUS_END ? STATUS_OK : status);
    }
    run->service.records_per_s = (uint32_t)run->options.records_per_s;
    run->service.store_directory = run->options.store;
    status = run_start(run, &detail);
    if (status == STATUS_OK)
        status = threads_run(run, &detail);
    if (status == STATUS_OK)
        log_info("stopped", "last_event_id=%" PRIu64, log_durable(run->service.log).last_event_id);
    run_end(run);
    free(run);
    return status == STATUS_OK ? EXIT_CODE_DONE : lifecycle_fail(PROGRAM, status, &detail);
}
