/* The floor: what the transport and the disk of this machine cost by themselves. The same sockets,
 * the same submissions, one fdatasync per group into a zero-filled file, then the same bytes out to
 * all subscribers; and no logic at all: nothing is checked, decided, limited or remembered. Weir is
 * compared with it in one run (scripts/bench.sh, latency.sh). With one thread it is quickest, with
 * two, where one pulls while the other syncs, it takes most; it is compared as whichever is better.
 *
 *     bench_floor serve --run-dir DIR --store DIR [--threads 2]     in the processor's place
 *     bench_floor drive --run-dir DIR [--rate PER_S] [--count N] [--batch N] [--json] [--hgrm FILE]
 *                                                     in the producer's; rate 0: throughput
 *     bench_floor sink  --run-dir DIR --count N       in the projector's: ends when it saw them all
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/wire/feed.h"
#include "common/wire/socket.h"
#include "common/wire/submission.h"
#include "processor/queue.h"
#include "producer/alarm.h"
#include "producer/core/latency.h"
#include "producer/core/pace.h"
#include "producer/core/workload.h"
#include "producer/latency_report.h"
#include "producer/link.h"

#define PROGRAM      "bench_floor"
#define TICK_NS      250000ULL
#define HEARTBEAT_NS (HEARTBEAT_MS * NS_PER_MS)

enum {
    FILE_BYTES = 64 * 1024 * 1024, /* used round and round */
    GROUP_BYTES_AIM = 1024 * 1024,
    GROUP_BYTES_MAX = GROUP_BYTES_AIM + SUBMISSION_BYTES_MAX,
    GROUPS = 16,     /* on their way to the disk or in libzmq's hands, at most */
    GROUPS_BUSY = 2, /* on their way to the disk: then the next one rather grows */
    INGEST_HIGH_WATER_MARK = 256,
    EVENTS_HIGH_WATER_MARK = 100000,
    BATCH_MAX = 4096,
    EVENTS_OUT_MAX = LATENCY_EVENTS_MAX, /* not yet seen */
    HEARTBEAT_MS = 250,
    ONE_MS = 1,
    MANY_MS = 1000,
};

struct floor_options {
    struct endpoint_options endpoints;
    uint64_t rate, count, batch, threads;
    const char *store, *hgrm;
    bool json;
};

/* What a group's message says, as it lies in memory: both ends are this program. */
struct group_header {
    uint64_t events_through; /* events received, this group's included */
    uint64_t pulled_ns;      /* CLOCK_BOOTTIME; when the group's first frame came */
    uint64_t durable_ns;
};

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, PROGRAM ": %s failed\n", what);
    exit(EXIT_CODE_FAILED);
}

static struct socket *open_socket(enum socket_kind kind, bool bind, const char *endpoint)
{
    const struct socket_options options = {
        .kind = kind,
        .bind = bind,
        .endpoint = endpoint,
        .high_water_mark = kind == SOCKET_PUB ? EVENTS_HIGH_WATER_MARK : INGEST_HIGH_WATER_MARK,
        .message_bytes_max = INGEST_MESSAGE_BYTES_MAX};
    struct socket *socket;
    struct detail detail;
    if (socket_open(&options, &socket, &detail) != STATUS_OK)
        fail(detail.text);
    return socket;
}

/* ---- serve ---- */

struct group {
    struct group_header header;
    uint8_t *bytes;
    size_t size;
    atomic_bool lent; /* handed over; libzmq gives it back */
};

struct server {
    struct socket *ingest, *events, *control; /* control: nobody asks, but links connect to it */
    struct frame frame;
    struct group groups[GROUPS];
    unsigned next_group;
    uint64_t event_count;

    struct queue *to_sync; /* NULL: one thread does everything */
    atomic_uint in_flight; /* groups handed over and not yet durable */
    int file;
    off_t offset;
    uint64_t heartbeat_due_ns;
};

static int open_file(const char *folder)
{
    static const uint8_t zeros[GROUP_BYTES_AIM];
    char path[ENDPOINT_BYTES_MAX + 16];
    if (snprintf(path, sizeof path, "%s/floor.log", folder) >= (int)sizeof path)
        fail(folder);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        fail(path);
    for (off_t at = 0; at < FILE_BYTES; at += GROUP_BYTES_AIM)
        if (pwrite(file, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros)
            fail("filling the file");
    if (fsync(file) != 0)
        fail("fsync");
    return file;
}

static void give_back(void *bytes, void *hint)
{
    (void)bytes;
    atomic_store(&((struct group *)hint)->lent, false);
}

/* How many events a frame says it has: the one number of its header that is needed to answer. */
static uint32_t events_of(struct slice frame)
{
    struct mp_reader reader = mp_reader_of(frame);
    struct submission_header header;
    struct detail detail;
    return submission_read_header(&reader, &header, &detail) == STATUS_OK ? header.count : 0;
}

/* Takes what is there, up to a group; true if there was any. */
static bool pull(struct server *s, struct group *group)
{
    size_t before = group->size;
    while (group->size < GROUP_BYTES_AIM && socket_receive(s->ingest, &s->frame) == STATUS_OK) {
        struct slice frame = frame_slice(&s->frame);
        if (group->size == 0)
            group->header.pulled_ns = clock_boot_ns();
        memcpy(group->bytes + group->size, frame.data, frame.size);
        group->size += frame.size;
        s->event_count += events_of(frame);
    }
    group->header.events_through = s->event_count;
    return group->size > before;
}

static void write_group(struct server *s, const struct group *group)
{
    if (s->offset + (off_t)group->size > FILE_BYTES)
        s->offset = 0;
    if (pwrite(s->file, group->bytes, group->size, s->offset) != (ssize_t)group->size)
        fail("pwrite");
    s->offset += (off_t)group->size;
}

static void publish(struct server *s, struct group *group)
{
    struct slice bytes = {group->bytes, group->size};
    struct group_header header = group->header;
    header.durable_ns = clock_boot_ns();
    struct slice head = {(const uint8_t *)&header, sizeof header};
    if (socket_send(s->events, slice_of_text(FEED_TOPIC_ACCEPTED), true) != STATUS_OK ||
        socket_send(s->events, head, true) != STATUS_OK ||
        socket_send_borrowed(s->events, bytes, false, give_back, group) != STATUS_OK ||
        socket_send(s->events, slice_of_text("ack/floor/"), true) != STATUS_OK ||
        socket_send(s->events, head, false) != STATUS_OK)
        fail("publishing");
}

static void sync_groups(struct server *s, void **groups, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        write_group(s, groups[i]);
    if (fdatasync(s->file) != 0)
        fail("fdatasync");
    atomic_fetch_sub(&s->in_flight, count);
    for (uint32_t i = 0; i < count; i++)
        publish(s, groups[i]);
}

static void heartbeat(struct server *s)
{
    uint64_t now_ns = clock_boot_ns();
    if (now_ns < s->heartbeat_due_ns)
        return;
    s->heartbeat_due_ns = now_ns + HEARTBEAT_NS;
    if (socket_send(s->events, slice_of_text(FEED_TOPIC_HEARTBEAT), true) != STATUS_OK ||
        socket_send(s->events, slice_of_text("now"), false) != STATUS_OK)
        fail("publishing");
}

static void *sync_run(void *argument)
{
    struct server *s = argument;
    void *groups[GROUPS];
    while (!queue_finished(s->to_sync)) {
        uint32_t count = queue_pop(s->to_sync, groups, GROUPS, HEARTBEAT_MS);
        heartbeat(s);
        if (count > 0)
            sync_groups(s, groups, count);
    }
    return NULL;
}

static void hand_over(struct server *s, struct group *group)
{
    void *groups[] = {group};
    atomic_store(&group->lent, true);
    atomic_fetch_add(&s->in_flight, 1);
    s->next_group++;
    if (s->to_sync != NULL)
        queue_push(s->to_sync, group);
    else
        sync_groups(s, groups, 1);
}

/* The next group, empty; waits while libzmq has them all. */
static struct group *take_group(struct server *s)
{
    struct group *group = &s->groups[s->next_group % GROUPS];
    struct socket_wait stop = {.fd = lifecycle_fd()};
    while (atomic_load(&group->lent))
        (void)!socket_wait(&stop, 1, ONE_MS);
    group->size = 0;
    return group;
}

static void serve(struct server *s)
{
    struct group *group = take_group(s);
    while (!lifecycle_stopping()) {
        struct socket_wait items[] = {{.socket = s->ingest, .fd = -1}, {.fd = lifecycle_fd()}};
        (void)!socket_wait(items, 2, group->size > 0 ? 0 : HEARTBEAT_MS);
        if (s->to_sync == NULL)
            heartbeat(s);
        bool more = pull(s, group);
        bool grows = more && group->size < GROUP_BYTES_AIM && s->to_sync != NULL &&
                     atomic_load(&s->in_flight) >= GROUPS_BUSY;
        if (group->size == 0 || grows)
            continue;
        hand_over(s, group);
        group = take_group(s);
    }
}

/* With a thread of its own for the disk. */
static void serve_in_two(struct server *s)
{
    pthread_t thread;
    s->to_sync = queue_new(GROUPS, false);
    if (s->to_sync == NULL || pthread_create(&thread, NULL, sync_run, s) != 0)
        fail("a second thread");
    serve(s);
    queue_close(s->to_sync);
    pthread_join(thread, NULL);
    queue_destroy(&s->to_sync);
}

static void serve_all(const struct floor_options *o)
{
    static struct server s;
    struct endpoints endpoints;
    struct detail detail;
    if (endpoints_resolve(&o->endpoints, &endpoints, &detail) != STATUS_OK ||
        run_dir_prepare(endpoints.run_dir, &detail) != STATUS_OK ||
        socket_setup(1, &detail) != STATUS_OK)
        fail(detail.text);
    s.file = open_file(o->store != NULL ? o->store : endpoints.run_dir);
    s.ingest = open_socket(SOCKET_PULL, true, endpoints.ingest);
    s.events = open_socket(SOCKET_PUB, true, endpoints.events);
    s.control = open_socket(SOCKET_ROUTER, true, endpoints.control);
    frame_init(&s.frame);
    for (unsigned i = 0; i < GROUPS; i++)
        if ((s.groups[i].bytes = malloc(GROUP_BYTES_MAX)) == NULL)
            fail("memory");
    log_info("ready", NULL);
    if (o->threads > 1)
        serve_in_two(&s);
    else
        serve(&s);
    frame_fini(&s.frame);
    socket_close(&s.ingest);
    socket_close(&s.events);
    socket_close(&s.control);
    socket_teardown(); /* all groups are given back */
    for (unsigned i = 0; i < GROUPS; i++)
        free(s.groups[i].bytes);
    close(s.file);
}

/* ---- a link that hears a topic from here on ---- */

static struct link *join(const struct floor_options *o, const char *topic)
{
    struct link *link;
    struct detail detail;
    if (link_open(&o->endpoints, &link, &detail) != STATUS_OK)
        fail(detail.text);
    if (link_subscribe(link, topic) != STATUS_OK ||
        link_subscribe(link, FEED_TOPIC_HEARTBEAT) != STATUS_OK)
        fail("subscribing");
    bool heard = false;
    while (!heard && !lifecycle_stopping()) {
        struct link_wait wait = {.fd = -1, .timeout_ms = MANY_MS};
        (void)!link_wait(link, &wait);
        struct link_message message;
        while (!heard && link_receive(link, &message) == STATUS_OK)
            heard = slice_equal_text(message.topic, FEED_TOPIC_HEARTBEAT);
    }
    return link;
}

/* ---- drive ---- */

struct driver {
    const struct floor_options *options;
    struct link *link;
    struct workload *workload;
    struct latency *latency;
    struct pace pace;
    int alarm_fd;
    uint64_t seen; /* events */
    uint8_t *submission;
};

static void see(struct driver *d, const struct link_message *message)
{
    struct group_header header;
    if (message->header.size != sizeof header)
        return;
    memcpy(&header, message->header.data, sizeof header);
    const struct latency_batch batch = {.decided_ns = header.pulled_ns,
                                        .durable_ns = header.durable_ns,
                                        .seen_ns = clock_boot_ns(),
                                        .has_log_times = true};
    if (d->options->rate > 0)
        for (uint64_t sequence = d->seen + 1; sequence <= header.events_through; sequence++)
            latency_seen(d->latency, sequence, &batch);
    d->seen = header.events_through;
}

static void see_all(struct driver *d)
{
    struct link_message message;
    while (link_receive(d->link, &message) == STATUS_OK)
        see(d, &message);
}

static void submit(struct driver *d, uint32_t events)
{
    struct submission_header header = {.source = slice_of_text("floor"),
                                       .epoch = 1,
                                       .first_sequence = d->pace.made + 1,
                                       .count = events};
    uint8_t *at = submission_put_header(d->submission, &header);
    for (uint32_t i = 0; i < events; i++)
        at = workload_put(d->workload, at, pace_due_ns(&d->pace, d->pace.made + i));
    struct slice submission = {d->submission, (size_t)(at - d->submission)};
    uint64_t now_ns = clock_boot_ns();
    for (uint32_t i = 0; d->options->rate > 0 && i < events; i++)
        latency_handed_in(d->latency, pace_due_ns(&d->pace, d->pace.made + i), now_ns);
    pace_made(&d->pace, events);
    struct link_wait room = {.fd = -1, .timeout_ms = MANY_MS, .want_push = true};
    while (link_push(d->link, submission) == STATUS_FULL) {
        (void)!link_wait(d->link, &room);
        see_all(d);
    }
}

/* False: those on the way must be seen first. */
static bool submit_due(struct driver *d)
{
    uint64_t due = pace_events_due(&d->pace, clock_boot_ns());
    bool any = due > 0;
    while (due > 0) {
        uint32_t events = (uint32_t)(due < d->options->batch ? due : d->options->batch);
        if (d->pace.made - d->seen + events > EVENTS_OUT_MAX)
            return false;
        submit(d, events);
        due -= events;
    }
    if (any && d->options->rate > 0)
        alarm_set(d->alarm_fd, pace_next_wake_ns(&d->pace));
    return true;
}

static void drive(struct driver *d)
{
    while (d->seen < d->options->count && !lifecycle_stopping()) {
        bool waits_for_alarm = submit_due(d) && d->options->rate > 0 && !pace_finished(&d->pace);
        struct link_wait wait = {.fd = waits_for_alarm ? d->alarm_fd : -1, .timeout_ms = MANY_MS};
        (void)!link_wait(d->link, &wait);
        see_all(d);
    }
}

static void print_driven(const struct driver *d)
{
    const struct floor_options *o = d->options;
    struct latency_report report = {.rate = o->rate, .events = d->pace.made, .accepted = d->seen};
    struct detail detail;
    if (o->rate == 0) {
        uint64_t elapsed_ns = clock_boot_ns() - d->pace.started_ns;
        printf("%" PRIu64 " events, %.0f/s\n", d->seen,
               (double)d->seen * (double)NS_PER_S / (double)elapsed_ns);
    } else if (o->json) {
        latency_print_json(d->latency, &report, stdout);
    } else {
        latency_print_table(d->latency, &report, stdout);
    }
    if (o->hgrm != NULL && latency_write_hgrm(d->latency, o->hgrm, &detail) != STATUS_OK)
        fail(detail.text);
}

static void drive_all(const struct floor_options *o)
{
    struct driver d = {.options = o, .alarm_fd = -1};
    struct workload_options workload = {.seed = 1, .subjects = 100000};
    struct detail detail;
    d.submission = malloc(SUBMISSION_HEADER_BYTES_MAX + BATCH_MAX * WORKLOAD_EVENT_BYTES_MAX);
    if (d.submission == NULL || workload_new(&workload, &d.workload) != STATUS_OK ||
        latency_new(0, &d.latency) != STATUS_OK)
        fail("memory");
    if (alarm_open(&d.alarm_fd, &detail) != STATUS_OK)
        fail(detail.text);
    d.link = join(o, o->rate > 0 ? FEED_TOPIC_ACCEPTED : "ack/floor/");
    pace_init(&d.pace, o->rate, o->count, TICK_NS, clock_boot_ns());
    drive(&d);
    print_driven(&d);
    alarm_close(&d.alarm_fd);
    link_close(&d.link);
    latency_destroy(&d.latency);
    workload_destroy(&d.workload);
    free(d.submission);
}

/* ---- sink ---- */

static void sink_all(const struct floor_options *o)
{
    struct link *link = join(o, FEED_TOPIC_ACCEPTED);
    log_info("ready", NULL);
    struct group_header header = {0};
    while (header.events_through < o->count && !lifecycle_stopping()) {
        struct link_wait wait = {.fd = -1, .timeout_ms = MANY_MS};
        (void)!link_wait(link, &wait);
        struct link_message message;
        while (link_receive(link, &message) == STATUS_OK)
            if (message.header.size == sizeof header)
                memcpy(&header, message.header.data, sizeof header);
    }
    link_close(&link);
}

/* ---- the program ---- */

typedef void role_fn(const struct floor_options *o);

static int run_role(int argc, char **argv, const char *help, role_fn *role)
{
    struct floor_options o = {.rate = 0, .count = 1000000, .batch = BATCH_MAX};
    const struct option_spec options[] = {
        {"rate", "PER_S", "drive: events per second; 0 (default): as fast as it goes", OPTION_UINT,
         &o.rate, PACE_RATE_MAX},
        {"count", "N", "drive, sink: events in all (default 1000000)", OPTION_UINT, &o.count, 0},
        {"batch", "N", "drive: events per submission at most", OPTION_UINT, &o.batch, BATCH_MAX},
        {"store", "DIR", "serve: where the file lies (default: the run folder)", OPTION_TEXT,
         &o.store, 0},
        {"threads", "N", "serve: 1 (default) or 2", OPTION_UINT, &o.threads, 2},
        {"hgrm", "FILE", "drive: also write HdrHistogram's percentile text", OPTION_TEXT, &o.hgrm,
         0},
        {"json", NULL, "drive: print one JSON object", OPTION_FLAG, &o.json, 0},
        OPTIONS_ENDPOINTS(o.endpoints),
    };
    const struct command command = {.name = argv[0],
                                    .help = help,
                                    .options = options,
                                    .option_count = sizeof options / sizeof *options};
    enum status status = options_parse(PROGRAM, &command, argc, argv, NULL, NULL);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);
    struct detail detail;
    if (lifecycle_start(&detail) != STATUS_OK)
        fail(detail.text);
    role(&o);
    return EXIT_CODE_DONE;
}

static int serve_main(int argc, char **argv)
{
    return run_role(argc, argv, "pull, write, fdatasync, publish", serve_all);
}

static int drive_main(int argc, char **argv)
{
    return run_role(argc, argv, "submit events and time them", drive_all);
}

static int sink_main(int argc, char **argv)
{
    return run_role(argc, argv, "receive what is published", sink_all);
}

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {
        {"serve", "in the processor's place", serve_main},
        {"drive", "in the producer's place", drive_main},
        {"sink", "in the projector's place", sink_main},
    };
    return program_main(PROGRAM, "what transport and disk cost by themselves", commands, 3, argc,
                        argv);
}
