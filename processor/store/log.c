#include "processor/store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "processor/store/batch.h"
#include "processor/store/file.h"
#include "processor/store/preparer.h"
#include "processor/store/repair.h"
#include "processor/store/scan.h"
#include "processor/store/segment.h"

enum {
    /* header, three parts, padding */
    PIECES_PER_BATCH = 5,
    PIECES_MAX = LOG_APPEND_BATCHES_MAX * PIECES_PER_BATCH + 1, /* and the rest of a page */
};

/* What other threads may look at. */
struct published {
    pthread_mutex_t mutex;
    struct durable durable;     /* under the mutex */
    _Atomic uint32_t room_here; /* batches of BATCH_BYTES_MAX that fit the rest of the segment */
};

struct log {
    struct folder folder;   /* DIRECTORY/log */
    struct file file;       /* the segment that takes the next batch */
    uint64_t segment;       /* its number */
    uint64_t offset;        /* where the next batch goes */
    uint64_t segment_bytes; /* of segments to come */
    struct batch_chain chain;
    struct preparer *preparer;
    struct published *published;
    bool failed; /* a write or fdatasync failed: nothing more is taken */
    uint8_t headers[LOG_APPEND_BATCHES_MAX][BATCH_HEADER_BYTES];
    struct iovec pieces[PIECES_MAX];
};

static void publish_room(struct log *log)
{
    const uint64_t left = log->file.bytes - log->offset;
    atomic_store(&log->published->room_here, (uint32_t)(left / BATCH_BYTES_MAX));
}

static void publish_durable(struct log *log)
{
    struct published *published = log->published;
    (void)pthread_mutex_lock(&published->mutex);
    published->durable = (struct durable){
        .last_batch = log->chain.next_number - 1,
        .last_event_id = log->chain.next_event_id - 1,
        .last_rejection_id = log->chain.next_rejection_id - 1,
        .last_time_ns = log->chain.last_time_ns,
        .segment = log->segment,
        .offset = log->offset,
        .state_digest = log->chain.state_digest,
    };
    (void)pthread_mutex_unlock(&published->mutex);
    publish_room(log);
}

/* ---- opening ---- */

static enum status log_new(const struct log_options *options, struct log **ret_log,
                           struct detail *ret_detail)
{
    struct log *log = calloc(1, sizeof *log);
    struct published *published = calloc(1, sizeof *published);
    if (log == NULL || published == NULL) {
        free(log);
        free(published);
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to open the log");
    }
    (void)pthread_mutex_init(&published->mutex, NULL);
    log->published = published;
    log->folder.fd = -1;
    log->file.fd = -1;
    log->segment_bytes = options->segment_bytes == 0 ? SEGMENT_BYTES : options->segment_bytes;
    *ret_log = log;
    return STATUS_OK;
}

static enum status random_salt(uint64_t *ret_salt, struct detail *ret_detail)
{
    uint64_t salt = 0;
    if (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
        return detail_set(ret_detail, STATUS_IO, "no randomness from the kernel: %s",
                          strerror(errno));
    *ret_salt = salt;
    return STATUS_OK;
}

/* A new store: its first segment gets its name only when the genesis in it is durable, so a store
 * without a good genesis never comes from a crash. */
static enum status create_store(struct log *log, const struct log_options *options,
                                struct detail *ret_detail)
{
    const struct batch_view genesis = {
        .header = {.kind = BATCH_GENESIS,
                   .first_event_id = 1,
                   .first_rejection_id = 1,
                   .first_time_ns = options->created_at_ns,
                   .last_time_ns = options->created_at_ns},
        .sources = options->genesis,
    };
    struct batch_seal seal = {.segment_bytes = log->segment_bytes};
    uint8_t header[BATCH_HEADER_BYTES];
    struct batch_disk disk;
    char name[SEGMENT_NAME_BYTES];
    segment_name(0, name);
    enum status status = batch_check(&genesis, ret_detail);
    if (status == STATUS_OK)
        status = random_salt(&seal.salt, ret_detail);
    if (status == STATUS_OK)
        status = prepare_segment(&log->file, &log->folder, log->segment_bytes, ret_detail);
    if (status != STATUS_OK)
        return status;
    batch_encode(&genesis, &seal, header, &disk);
    status = file_write(&log->file, 0, header, sizeof header, ret_detail);
    if (status == STATUS_OK)
        status = file_write(&log->file, sizeof header, options->genesis.data, options->genesis.size,
                            ret_detail);
    if (status == STATUS_OK)
        status = file_sync(&log->file, ret_detail);
    if (status == STATUS_OK)
        status = file_rename(&log->file, name, ret_detail);
    file_close(&log->file);
    return status;
}

static enum status rewrite_last(const struct log *log, const struct scan_result *scan,
                                struct detail *ret_detail)
{
    const struct durable *durable = &scan->durable;
    if (durable->segment == log->segment)
        return repair_rewrite(&log->file, scan->last_write, durable->offset, ret_detail);
    struct file file;
    enum status status = segment_open(&file, &log->folder, durable->segment, O_RDWR, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = repair_rewrite(&file, scan->last_write, durable->offset, ret_detail);
    file_close(&file);
    return status;
}

/* Opens the last segment for writing and leaves nothing behind the last batch but zeros. */
static enum status take_over(struct log *log, const char *directory, const struct scan_result *scan,
                             struct detail *ret_warning, struct detail *ret_detail)
{
    enum status status = segment_open(&log->file, &log->folder, scan->segment, O_RDWR, ret_detail);
    if (status != STATUS_OK)
        return status;
    log->segment = scan->segment;
    log->offset = scan->offset;
    log->chain = scan->chain;
    if (scan->torn_bytes > 0) {
        const struct torn_tail tail = {scan->segment, scan->offset, scan->torn_bytes,
                                       scan->torn_reason.text};
        status = repair_set_aside(directory, &log->file, &tail, ret_warning, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    status = rewrite_last(log, scan, ret_detail);
    log->published->durable = scan->durable;
    publish_room(log);
    return status;
}

/* Starts the thread; waits for it only where the next batch needs what it makes. */
static enum status start_preparer(struct log *log, struct detail *ret_detail)
{
    enum status status = preparer_new(&log->folder, log->segment_bytes, &log->preparer, ret_detail);
    if (status != STATUS_OK || atomic_load(&log->published->room_here) > 0)
        return status;
    status = preparer_wait(log->preparer, ret_detail);
    return status == STATUS_NO_SPACE ? STATUS_OK : status; /* log_room says so */
}

static enum status open_store(struct log *log, const struct log_options *options,
                              log_visit_fn *visit, void *context, struct detail *ret_warning,
                              struct detail *ret_detail)
{
    struct scan_result scan;
    enum status status =
        folder_open(&log->folder, options->directory, SEGMENT_FOLDER, true, ret_detail);
    if (status == STATUS_OK)
        status = scan_log(&log->folder, options->start, visit, context, &scan, ret_detail);
    if (status == STATUS_OK && scan.empty) {
        status = create_store(log, options, ret_detail);
        if (status == STATUS_OK)
            status = scan_log(&log->folder, NULL, visit, context, &scan, ret_detail);
    }
    if (status == STATUS_OK)
        status = take_over(log, options->directory, &scan, ret_warning, ret_detail);
    if (status == STATUS_OK)
        status = start_preparer(log, ret_detail);
    return status;
}

enum status log_open(const struct log_options *options, log_visit_fn *visit, void *context,
                     struct log **ret_log, struct detail *ret_warning, struct detail *ret_detail)
{
    struct log *log = NULL;
    struct detail warning = {""};
    enum status status = log_new(options, &log, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (log->segment_bytes < SEGMENT_BYTES_MIN || log->segment_bytes % FILE_ZERO_BYTES_MAX != 0)
        status = detail_set(ret_detail, STATUS_INVALID, "segments of %" PRIu64 " bytes",
                            log->segment_bytes);
    if (status == STATUS_OK)
        status = open_store(log, options, visit, context, &warning, ret_detail);
    if (status != STATUS_OK) {
        log_close(&log);
        return status == STATUS_NOT_FOUND ? STATUS_IO : status;
    }
    if (ret_warning != NULL)
        *ret_warning = warning;
    *ret_log = log;
    return STATUS_OK;
}

void log_close(struct log **log)
{
    struct log *self = *log;
    if (self == NULL)
        return;
    preparer_destroy(&self->preparer);
    file_close(&self->file);
    folder_close(&self->folder);
    (void)pthread_mutex_destroy(&self->published->mutex);
    free(self->published);
    free(self);
    *log = NULL;
}

/* ---- appending ---- */

/* The whole group continues the log. */
static enum status check_group(const struct log *log, const struct batch_view *batches,
                               uint32_t count, struct detail *ret_detail)
{
    struct batch_chain chain = log->chain;
    for (uint32_t i = 0; i < count; i++) {
        enum status status = batch_check(&batches[i], ret_detail);
        if (status == STATUS_OK)
            status = batch_chain_check(&chain, &batches[i].header, ret_detail);
        if (status != STATUS_OK)
            return status;
        const struct batch_disk disk = {.header = batches[i].header};
        batch_chain_advance(&chain, &disk);
    }
    return STATUS_OK;
}

/* How many of the batches fit, one after another, in `room` bytes. */
static uint32_t fitting(const struct batch_view *batches, uint32_t count, uint64_t room)
{
    uint32_t fit = 0;
    for (; fit < count && batch_bytes(&batches[fit]) <= room; fit++)
        room -= batch_bytes(&batches[fit]);
    return fit;
}

static const uint8_t zeros[FILE_PAGE_BYTES];

static int add_piece(struct iovec *pieces, int count, const void *bytes, size_t size)
{
    if (size == 0)
        return count;
    pieces[count] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    return count + 1;
}

/* Lays out one batch behind `count` pieces; returns the new count. */
static int lay_out(struct log *log, const struct batch_view *batch, const uint8_t *header,
                   int count)
{
    const uint64_t filled =
        BATCH_HEADER_BYTES + batch->sources.size + batch->accepted.size + batch->rejected.size;
    count = add_piece(log->pieces, count, header, BATCH_HEADER_BYTES);
    count = add_piece(log->pieces, count, batch->sources.data, batch->sources.size);
    count = add_piece(log->pieces, count, batch->accepted.data, batch->accepted.size);
    count = add_piece(log->pieces, count, batch->rejected.data, batch->rejected.size);
    return add_piece(log->pieces, count, zeros, (size_t)(batch_bytes(batch) - filled));
}

/* Zeros over the zeros that follow up to the end of the page: of a page that is written as a whole
 * the kernel need not read what the disk has. */
static int lay_out_page(struct log *log, uint64_t end, int count)
{
    const uint64_t over = end % FILE_PAGE_BYTES;
    const uint64_t room = log->file.bytes - end;
    const uint64_t size = over == 0 ? 0 : FILE_PAGE_BYTES - over;
    return add_piece(log->pieces, count, zeros, (size_t)(size < room ? size : room));
}

/* Writes batches that fit the segment, with one write and one fdatasync. */
static enum status write_batches(struct log *log, const struct batch_view *batches, uint32_t count,
                                 struct detail *ret_detail)
{
    const uint64_t write_first = log->chain.next_number;
    struct batch_chain chain = log->chain;
    uint64_t size = 0;
    int pieces = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct batch_seal seal = {.salt = chain.salt,
                                        .write_first = write_first,
                                        .segment_bytes = log->file.bytes,
                                        .previous_crc = chain.last_crc};
        struct batch_disk disk;
        batch_encode(&batches[i], &seal, log->headers[i], &disk);
        pieces = lay_out(log, &batches[i], log->headers[i], pieces);
        size += batch_bytes(&batches[i]);
        batch_chain_advance(&chain, &disk);
    }
    pieces = lay_out_page(log, log->offset + size, pieces);
    enum status status = file_write_parts(&log->file, log->offset, log->pieces, pieces, ret_detail);
    if (status == STATUS_OK)
        status = file_sync(&log->file, ret_detail);
    if (status != STATUS_OK)
        return status;
    log->chain = chain;
    log->offset += size;
    publish_durable(log);
    return STATUS_OK;
}

/* The spare becomes the segment that takes the next batch. What is in the old one is durable. */
static enum status next_segment(struct log *log, struct detail *ret_detail)
{
    char name[SEGMENT_NAME_BYTES];
    struct file spare;
    segment_name(log->chain.next_number, name);
    preparer_take(log->preparer, &spare);
    const enum status status = file_rename(&spare, name, ret_detail);
    if (status != STATUS_OK) {
        file_close(&spare);
        return status;
    }
    preparer_resume(log->preparer, &log->file);
    log->file = spare;
    log->segment = log->chain.next_number;
    log->offset = 0;
    return STATUS_OK;
}

/* `here` batches into this segment, the rest into the next. */
static enum status write_group(struct log *log, const struct batch_view *batches, uint32_t count,
                               uint32_t here, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    if (here > 0)
        status = write_batches(log, batches, here, ret_detail);
    if (status == STATUS_OK && here < count)
        status = next_segment(log, ret_detail);
    if (status == STATUS_OK && here < count)
        status = write_batches(log, batches + here, count - here, ret_detail);
    if (status == STATUS_OK)
        return STATUS_OK;
    log->failed = true;
    return STATUS_IO;
}

enum status log_append(struct log *log, const struct batch_view *batches, uint32_t count,
                       struct detail *ret_detail)
{
    if (log->failed)
        return detail_set(ret_detail, STATUS_IO, "%s: a write failed before; nothing more is taken",
                          log->folder.path);
    if (count > LOG_APPEND_BATCHES_MAX)
        return detail_set(ret_detail, STATUS_TOO_LARGE, "a group of %" PRIu32 " batches", count);
    enum status status = check_group(log, batches, count, ret_detail);
    if (status != STATUS_OK || count == 0)
        return status;
    const uint32_t here = fitting(batches, count, log->file.bytes - log->offset);
    if (here < count) {
        if (fitting(batches + here, count - here, log->segment_bytes) < count - here)
            return detail_set(ret_detail, STATUS_NO_SPACE,
                              "a group that needs more than one new segment");
        status = preparer_wait(log->preparer, ret_detail);
        if (status == STATUS_IO)
            log->failed = true;
        if (status != STATUS_OK)
            return status;
    }
    return write_group(log, batches, count, here, ret_detail);
}

/* ---- for any thread ---- */

struct log_room log_room(const struct log *log)
{
    /* This order: read the other way round, a switch in between would count a segment twice. */
    struct log_room room = {.batches = atomic_load(&log->published->room_here)};
    if (preparer_settled(log->preparer))
        room.batches += (uint32_t)(log->segment_bytes / BATCH_BYTES_MAX);
    room.no_space = preparer_no_space(log->preparer);
    return room;
}

struct durable log_durable(const struct log *log)
{
    struct published *published = log->published;
    (void)pthread_mutex_lock(&published->mutex);
    const struct durable durable = published->durable;
    (void)pthread_mutex_unlock(&published->mutex);
    return durable;
}
