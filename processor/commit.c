#include "processor/commit.h"

#include <stdlib.h>

#include "common/wire/feed.h"
#include "processor/report.h"

enum {
    GROUP_BATCHES_MAX = BATCHES_IN_FLIGHT_MAX,
    STATS_BYTES_MAX = 64 * 1024,
};
#define HEARTBEAT_EVERY_NS (1 * NS_PER_S)
#define HEARTBEAT_AFTER_NS (100 * NS_PER_MS) /* after the last batch */
#define STATS_EVERY_NS     (1 * NS_PER_S)

struct commit {
    struct service *service;
    struct socket *socket;
    uint64_t heartbeat_due_ns; /* CLOCK_BOOTTIME; the regular one */
    uint64_t quiet_due_ns;     /* CLOCK_BOOTTIME; the one after the last batch; UINT64_MAX: sent */
    uint64_t stats_due_ns;     /* CLOCK_BOOTTIME */
    struct buffer header;      /* scratch for one header */
    void *group[GROUP_BATCHES_MAX]; /* struct batch */
};

struct commit *commit_new(struct service *service, struct socket *socket)
{
    struct commit *commit = calloc(1, sizeof *commit);
    if (commit == NULL)
        return NULL;
    commit->service = service;
    commit->socket = socket;
    commit->quiet_due_ns = UINT64_MAX;
    buffer_init(&commit->header, STATS_BYTES_MAX);
    return commit;
}

void commit_destroy(struct commit **commit)
{
    if (*commit == NULL)
        return;
    buffer_fini(&(*commit)->header);
    free(*commit);
    *commit = NULL;
}

static uint64_t log_time_now(const struct commit *commit)
{
    return log_clock_at(&commit->service->clock, clock_boot_ns());
}

/* ---- publish ---- */

static void count_failure(struct commit *commit, enum status status)
{
    if (status != STATUS_OK)
        counter_add(&commit->service->counters.publish_failures, 1);
}

/* A message whose frames cannot all be sent ends here, so that the next one is not taken for its
 * rest; readers see that it lacks something. */
static void publish_break(struct commit *commit)
{
    static const uint8_t nothing;
    (void)!socket_send(commit->socket, (struct slice){&nothing, 0}, false);
}

/* The first two frames of a message; false when it was not sent that far. */
static bool publish_start(struct commit *commit, struct slice topic, struct slice header,
                          bool body_follows)
{
    enum status status = socket_send(commit->socket, topic, true);
    if (status == STATUS_OK) {
        status = socket_send(commit->socket, header, body_follows);
        if (status != STATUS_OK)
            publish_break(commit);
    }
    count_failure(commit, status);
    return status == STATUS_OK;
}

static void release_batch(void *bytes, void *hint)
{
    (void)bytes;
    batch_release(hint);
}

/* The records go out from where they are; the batch stays alive until libzmq is done with them. */
static void publish_records(struct commit *commit, const char *topic, struct feed_header *header,
                            struct batch *batch, const struct buffer *records)
{
    if (header->count == 0)
        return;
    header->log_id = commit->service->log_id;
    header->published_at_ns = log_time_now(commit);
    buffer_clear(&commit->header);
    feed_header_write(&commit->header, header);
    if (!publish_start(commit, slice_of_text(topic), buffer_slice(&commit->header), true))
        return;
    batch_reference(batch);
    enum status status =
        socket_send_borrowed(commit->socket, buffer_slice(records), false, release_batch, batch);
    count_failure(commit, status);
    if (status != STATUS_OK) {
        publish_break(commit);
        batch_release(batch);
    }
}

static void publish_acks(struct commit *commit, const struct batch *batch)
{
    char topic[FEED_TOPIC_BYTES_MAX];
    struct slice source, frame;
    size_t offset = 0;
    while (batch_ack_next(batch, &offset, &source, &frame))
        (void)publish_start(commit, ack_topic(source, topic), frame, false);
}

static void publish(struct commit *commit, struct batch *batch)
{
    struct feed_header accepted = {.first_id = batch->header.first_event_id,
                                   .count = batch->header.event_count};
    struct feed_header rejected = {.first_id = batch->header.first_rejection_id,
                                   .count = batch->header.rejection_count};
    /* Refusals first: who has event N has then also heard of every refusal before it. */
    publish_records(commit, FEED_TOPIC_REJECTED, &rejected, batch, &batch->rejected);
    publish_records(commit, FEED_TOPIC_ACCEPTED, &accepted, batch, &batch->accepted);
    publish_acks(commit, batch);
    for (uint32_t i = 0; i < batch->answer_count; i++)
        queue_push(commit->service->to_control, batch->answers[i]);
    batch->answer_count = 0;
}

/* A message that is all header. */
static void publish_header(struct commit *commit, const char *topic)
{
    if (commit->header.status == STATUS_OK)
        (void)publish_start(commit, slice_of_text(topic), buffer_slice(&commit->header), false);
}

static void heartbeat(struct commit *commit)
{
    struct durable durable = log_durable(commit->service->log);
    struct heartbeat beat = {.log_id = commit->service->log_id,
                             .last_event_id = durable.last_event_id,
                             .last_rejection_id = durable.last_rejection_id,
                             .now_ns = log_time_now(commit)};
    buffer_clear(&commit->header);
    heartbeat_write(&commit->header, &beat);
    publish_header(commit, FEED_TOPIC_HEARTBEAT);
}

static void stats(struct commit *commit)
{
    buffer_clear(&commit->header);
    report_stats(commit->service, &commit->header);
    publish_header(commit, FEED_TOPIC_STATS);
}

/* ---- sync ---- */

bool commit_make_durable(struct service *service, void *const *batches, uint32_t count)
{
    struct batch_view views[GROUP_BATCHES_MAX];
    uint32_t written = 0;
    for (uint32_t i = 0; i < count; i++)
        if (batch_is_durable_matter(batches[i]))
            views[written++] = batch_view_of(batches[i]);
    if (written == 0)
        return true;
    struct detail detail;
    enum status status = log_append(service->log, views, written, &detail);
    if (status != STATUS_OK) {
        service_fail(service, status, &detail);
        return false;
    }
    atomic_fetch_sub(&service->counters.in_flight, written);
    counter_add(&service->counters.batches, written);
    counter_add(&service->counters.groups, 1);
    return true;
}

static void commit_group(struct commit *commit, uint32_t count)
{
    bool durable = atomic_load(&commit->service->failure) == STATUS_OK &&
                   commit_make_durable(commit->service, commit->group, count);
    for (uint32_t i = 0; i < count; i++) {
        if (durable) /* else nobody hears of it */
            publish(commit, commit->group[i]);
        batch_release(commit->group[i]);
    }
}

/* ---- the loop ---- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static int wait_ms(const struct commit *commit, uint64_t now_ns)
{
    uint64_t due_ns = earlier(commit->heartbeat_due_ns, commit->stats_due_ns);
    due_ns = earlier(due_ns, commit->quiet_due_ns);
    return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void send_what_is_due(struct commit *commit, uint64_t now_ns)
{
    if (now_ns >= earlier(commit->heartbeat_due_ns, commit->quiet_due_ns)) {
        heartbeat(commit);
        commit->heartbeat_due_ns = now_ns + HEARTBEAT_EVERY_NS;
        commit->quiet_due_ns = UINT64_MAX;
    }
    if (now_ns >= commit->stats_due_ns) {
        stats(commit);
        commit->stats_due_ns = now_ns + STATS_EVERY_NS;
    }
}

void commit_run(struct commit *commit)
{
    struct queue *queue = commit->service->to_commit;
    while (!queue_finished(queue)) {
        uint64_t now_ns = clock_boot_ns();
        send_what_is_due(commit, now_ns);
        uint32_t count =
            queue_pop(queue, commit->group, GROUP_BATCHES_MAX, wait_ms(commit, now_ns));
        if (count == 0)
            continue;
        commit_group(commit, count);
        commit->quiet_due_ns = clock_boot_ns() + HEARTBEAT_AFTER_NS;
    }
    heartbeat(commit);
}
