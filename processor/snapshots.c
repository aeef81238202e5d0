#include "processor/snapshots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "common/app/lifecycle.h"
#include "common/base/background.h"
#include "common/base/logger.h"
#include "processor/core/state_image.h"
#include "processor/recall.h"
#include "processor/store/reader.h"
#include "processor/store/snapshot.h"

enum {
    LOOK_EVERY_MS = 100,
};
#define RETRY_AFTER_NS  (30 * NS_PER_S)
#define LET_GO_AFTER_NS (60 * NS_PER_S)

struct snapshots {
    struct service *service;
    struct retention_options retention;
    uint64_t every_bytes;
    atomic_bool stopping;
    bool in_front; /* in the caller's thread */
    struct background background;
    struct reader *reader;
    struct recovery *recovery; /* what is folded; NULL: nothing in memory */
    struct log_start start;    /* the batch to fold next */
    uint64_t behind_bytes;     /* of log since the last snapshot */
    uint64_t snapshot_bytes;   /* of the last snapshot */
    uint64_t due_segment;      /* the snapshot that is due stands at this segment's beginning; 0:
                                  where the fold is */
    uint64_t retry_at_ns;      /* CLOCK_BOOTTIME; not before */
    uint64_t busy_at_ns;       /* CLOCK_BOOTTIME; something was folded then */
};

struct snapshots *snapshots_new(struct service *service, struct retention_options retention,
                                uint64_t every_bytes)
{
    struct snapshots *snapshots = calloc(1, sizeof *snapshots);
    if (snapshots == NULL)
        return NULL;
    snapshots->service = service;
    snapshots->retention = retention;
    snapshots->every_bytes = every_bytes;
    snapshots->background.statistics = -1;
    return snapshots;
}

static void let_go(struct snapshots *self)
{
    reader_destroy(&self->reader);
    recovery_destroy(&self->recovery);
}

void snapshots_destroy(struct snapshots **snapshots)
{
    if (*snapshots == NULL)
        return;
    let_go(*snapshots);
    free(*snapshots);
    *snapshots = NULL;
}

void snapshots_stop(struct snapshots *snapshots)
{
    atomic_store(&snapshots->stopping, true);
}

/* ---- folding ---- */

/* Is a snapshot due before the batch is folded? */
static bool is_due(struct snapshots *self, const struct batch_view *batch)
{
    uint64_t spacing = SNAPSHOT_SPACING * self->snapshot_bytes;
    if (spacing < self->every_bytes)
        spacing = self->every_bytes;
    bool next_segment = batch->segment == batch->header.number;
    self->due_segment = next_segment ? batch->segment : 0;
    return self->behind_bytes >= (next_segment ? spacing / 2 : spacing);
}

/* Between two batches: rests as long as a background thread should, in pieces that a stop ends. */
static void rest(struct snapshots *self)
{
    const uint64_t piece_ns = LOOK_EVERY_MS * NS_PER_MS;
    uint64_t left_ns = background_rest_ns(&self->background, clock_boot_ns());
    while (left_ns > 0 && !atomic_load(&self->stopping)) {
        const uint64_t part_ns = left_ns < piece_ns ? left_ns : piece_ns;
        const struct timespec pause = {.tv_nsec = (long)part_ns};
        (void)nanosleep(&pause, NULL);
        left_ns -= part_ns;
    }
}

/* A log_visit_fn: END where a snapshot is due. */
static enum status fold(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct snapshots *self = context;
    if (atomic_load_explicit(&self->stopping, memory_order_relaxed) ||
        (self->in_front && lifecycle_stopping()))
        return STATUS_INTERRUPTED;
    if (is_due(self, batch))
        return STATUS_END;
    rest(self);
    enum status status = recovery_visit(self->recovery, batch, ret_detail);
    if (status == STATUS_OK)
        self->behind_bytes +=
            batch->end_offset - (batch->segment == self->start.segment ? self->start.offset : 0);
    return status;
}

/* The part of the log that no longer changes: all segments but the last. */
static bool sealed_part(const struct snapshots *self, struct durable *ret_sealed)
{
    *ret_sealed = log_durable(self->service->log);
    if (ret_sealed->segment == 0)
        return false;
    ret_sealed->last_batch = ret_sealed->segment - 1;
    return true;
}

static enum status begin(struct snapshots *self, struct detail *ret_detail)
{
    const char *directory = self->service->store_directory;
    struct recall recall;
    self->behind_bytes = 0;
    /* Quietly: the start has told of those that cannot be used. */
    enum status status = recall_begin(directory, FOLD_END_NONE, true, &recall, ret_detail);
    if (status != STATUS_OK)
        return status;
    self->recovery = recall.recovery;
    self->start = recall.start;
    self->snapshot_bytes = recall.snapshot_bytes;
    return reader_new(directory, &self->reader, ret_detail);
}

/* ---- writing ---- */

static enum status write_down(struct snapshots *self, struct detail *ret_detail)
{
    struct snapshot_writer *writer = NULL;
    struct snapshot_header header = {.start = self->start, .log_id = self->service->log_id};
    uint64_t bytes = 0;
    if (self->due_segment != 0) {
        header.start.segment = self->due_segment;
        header.start.offset = 0;
    }
    /* A log of format 1 keeps no digest; the snapshot does. */
    header.start.chain.state_digest = state_digest(recovery_state(self->recovery));
    enum status status =
        snapshot_writer_new(self->service->store_directory, &header,
                            recovery_genesis_record(self->recovery), &writer, ret_detail);
    if (status == STATUS_OK) {
        const struct image_sink sink = {.put = snapshot_put, .context = writer};
        status = state_image_write(recovery_state(self->recovery), &sink, ret_detail);
    }
    if (status == STATUS_OK)
        status = snapshot_finish(writer, &bytes, ret_detail);
    snapshot_writer_destroy(&writer);
    if (status != STATUS_OK)
        return status;
    self->snapshot_bytes = bytes;
    self->behind_bytes = 0;
    log_debug("snapshot",
              "batch=%" PRIu64 " event_id=%" PRIu64 " bytes=%" PRIu64 " state_digest=%016" PRIx64,
              header.start.chain.next_number, header.start.chain.next_event_id - 1, bytes,
              header.start.chain.state_digest);
    return STATUS_OK;
}

static void drop_old(struct snapshots *self)
{
    struct detail detail = {""};
    struct service *service = self->service;
    uint32_t segments = 0;
    if (!retention_is_on(&self->retention))
        return;
    const struct pin_look pinned = pin_look(&service->pin);
    const struct retention_need need = {.pin = &service->pin,
                                        .pinned = pinned,
                                        .window_ns = counter_get(&service->counters.window_ns)};
    const struct durable durable = log_durable(service->log);
    const enum status status = retention_apply(service->store_directory, &self->retention, &durable,
                                               &need, &segments, &detail);
    if (status != STATUS_OK)
        log_warn("retention could not drop old segments: tried again later", "why=\"%s\"",
                 detail.text);
    if (segments == 0)
        return;
    counter_add(&service->counters.drops, 1);
    log_info("old segments were dropped", "segments=%" PRIu32, segments);
}

/* ---- the thread ---- */

/* Folds what is sealed and writes what is due. OK: nothing is left to do. */
static enum status catch_up(struct snapshots *self, struct detail *ret_detail)
{
    struct durable sealed;
    enum status status = STATUS_OK;
    if (!sealed_part(self, &sealed) ||
        (self->start.chain.next_number > sealed.last_batch && self->busy_at_ns > 0))
        return STATUS_OK;
    if (self->recovery == NULL)
        status = begin(self, ret_detail);
    while (status == STATUS_OK) {
        self->busy_at_ns = clock_boot_ns();
        status = reader_follow(self->reader, &sealed, &self->start, fold, self, ret_detail);
        if (status != STATUS_END)
            break;
        status = write_down(self, ret_detail);
        if (status == STATUS_OK)
            drop_old(self);
    }
    return status;
}

/* What went wrong: a bug ends the process, everything else is tried again. */
static void complain(struct snapshots *self, enum status status, const struct detail *detail)
{
    if (status == STATUS_INTERRUPTED)
        return;
    if (status == STATUS_DIVERGED) {
        service_fail(self->service, status, detail);
        snapshots_stop(self);
        return;
    }
    log_warn("no snapshot could be made: starts take longer until one can", "why=\"%s\"",
             detail->text);
    let_go(self);
    self->start = (struct log_start){0};
    self->retry_at_ns = clock_boot_ns() + RETRY_AFTER_NS;
}

void snapshots_catch_up(struct snapshots *self)
{
    struct detail detail = {""};
    self->in_front = true;
    enum status status = catch_up(self, &detail);
    if (status != STATUS_OK)
        complain(self, status, &detail);
}

void snapshots_run(struct snapshots *self)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * (long)NS_PER_MS};
    background_begin(&self->background);
    while (!atomic_load(&self->stopping)) {
        struct detail detail = {""};
        uint64_t now_ns = clock_boot_ns();
        if (now_ns >= self->retry_at_ns) {
            enum status status = catch_up(self, &detail);
            if (status != STATUS_OK)
                complain(self, status, &detail);
        }
        if (self->recovery != NULL && now_ns > self->busy_at_ns + LET_GO_AFTER_NS)
            let_go(self);
        (void)nanosleep(&pause, NULL);
    }
    background_end(&self->background);
}
