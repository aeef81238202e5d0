#include "processor/store/scan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "processor/store/file_window.h"
#include "processor/store/segment.h"

enum {
    AHEAD_BYTES = 1024 * 1024, /* of one read */
    SECTOR_BYTES = 512,        /* the least that a disk writes as a whole */
};

struct scan {
    const struct folder *folder;
    log_visit_fn *visit;
    void *context;
    struct file_window window;
    struct file file; /* the segment being read */
    uint64_t number;  /* of it */
    uint64_t offset;  /* of the next batch in it */
    struct batch_chain chain;
    struct scan_result *result;
};

/* Reads and checks the header at scan->offset against the chain. OK; END: all zero, or no room for
 * a header; DAMAGED with the bare reason; IO. */
static enum status read_header(struct scan *scan, struct batch_disk *ret_disk,
                               struct detail *ret_detail)
{
    struct slice bytes;
    enum status status = file_window_get(&scan->window, scan->offset, BATCH_HEADER_BYTES,
                                         AHEAD_BYTES, &bytes, ret_detail);
    if (status == STATUS_OK)
        status = batch_decode(bytes.data, ret_disk, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (scan->chain.next_number == 0)
        scan->chain.salt = ret_disk->seal.salt;
    return batch_follows(ret_disk, &scan->chain, ret_detail);
}

/* Reads and checks the batch whose header was read. OK; DAMAGED with the bare reason; IO. */
static enum status read_body(struct scan *scan, const struct batch_disk *disk,
                             struct batch_view *ret_view, struct detail *ret_detail)
{
    struct slice bytes;
    const enum status status =
        file_window_get(&scan->window, scan->offset, (size_t)batch_disk_bytes(disk), AHEAD_BYTES,
                        &bytes, ret_detail);
    if (status == STATUS_END)
        return detail_set(ret_detail, STATUS_DAMAGED, "the batch goes beyond the segment's end");
    return status == STATUS_OK ? batch_open(disk, bytes, ret_view, ret_detail) : status;
}

static void take_batch(struct scan *scan, const struct batch_disk *disk)
{
    struct scan_result *result = scan->result;
    if (disk->seal.write_first == disk->header.number)
        result->last_write = scan->offset;
    scan->offset += batch_disk_bytes(disk);
    batch_chain_advance(&scan->chain, disk);
    result->durable = (struct durable){
        .last_batch = disk->header.number,
        .last_event_id = scan->chain.next_event_id - 1,
        .last_rejection_id = scan->chain.next_rejection_id - 1,
        .last_time_ns = scan->chain.last_time_ns,
        .segment = scan->number,
        .offset = scan->offset,
        .state_digest = scan->chain.state_digest,
    };
}

/* How the good batches of a segment end. */
struct ending {
    bool bad;             /* a batch fails its checks; else the next header place is all zero */
    struct detail reason; /* what to say if it is bad, or if what follows is not zero */
};

/* Visits the good batches of the segment. */
static enum status visit_batches(struct scan *scan, struct ending *ret_ending,
                                 struct detail *ret_detail)
{
    for (;;) {
        struct batch_disk disk;
        struct batch_view view;
        struct detail reason = {""};
        enum status status = read_header(scan, &disk, &reason);
        if (status == STATUS_OK && disk.seal.segment_bytes != scan->file.bytes)
            return file_damaged(&scan->file, scan->offset, ret_detail,
                                "the file has %" PRIu64 " bytes, it was made with %" PRIu64,
                                scan->file.bytes, disk.seal.segment_bytes);
        if (status == STATUS_OK)
            status = read_body(scan, &disk, &view, &reason);
        if (status == STATUS_DAMAGED) {
            *ret_ending = (struct ending){.bad = true, .reason = reason};
            return STATUS_OK;
        }
        if (status == STATUS_END) {
            *ret_ending = (struct ending){.reason = {"bytes where no batch begins"}};
            return STATUS_OK;
        }
        if (status != STATUS_OK)
            return detail_set(ret_detail, status, "%s", reason.text);
        view.segment = scan->number;
        view.end_offset = scan->offset + batch_disk_bytes(&disk);
        status = scan->visit(scan->context, &view, ret_detail);
        if (status != STATUS_OK)
            return status;
        take_batch(scan, &disk);
    }
}

/* ret_end: behind the last byte of the segment that is not zero, or scan->offset if all are. */
static enum status find_written_end(struct scan *scan, uint64_t *ret_end, struct detail *ret_detail)
{
    uint64_t end = scan->offset;
    for (uint64_t at = scan->offset; at < scan->file.bytes;) {
        const uint64_t left = scan->file.bytes - at;
        struct slice bytes;
        const enum status status =
            file_window_get(&scan->window, at, left < AHEAD_BYTES ? (size_t)left : AHEAD_BYTES, 0,
                            &bytes, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (!bytes_are_zero(bytes.data, bytes.size)) {
            size_t size = bytes.size;
            while (bytes.data[size - 1] == 0)
                size--;
            end = at + size;
        }
        at += bytes.size;
    }
    *ret_end = end;
    return STATUS_OK;
}

/* What stands behind a batch that fails. */
struct later {
    bool found;      /* a valid header of this log */
    bool proof;      /* … written when the failing batch was durable */
    uint64_t offset; /* of the first found, or of the first proof */
};

/* Looks at every place where a header can stand. A producer cannot plant one: it does not know the
 * salt. */
static enum status find_later(struct scan *scan, uint64_t end, struct later *ret_later,
                              struct detail *ret_detail)
{
    *ret_later = (struct later){0};
    for (uint64_t at = scan->offset + BATCH_ALIGNMENT_BYTES; at < end;
         at += BATCH_ALIGNMENT_BYTES) {
        struct slice bytes;
        const enum status status =
            file_window_get(&scan->window, at, BATCH_HEADER_BYTES, AHEAD_BYTES, &bytes, ret_detail);
        if (status == STATUS_END)
            break;
        if (status != STATUS_OK)
            return status;
        struct batch_disk disk;
        if (batch_decode(bytes.data, &disk, NULL) != STATUS_OK ||
            disk.seal.salt != scan->chain.salt)
            continue;
        const bool proof = disk.seal.write_first > scan->chain.next_number;
        if (proof || !ret_later->found)
            *ret_later = (struct later){.found = true, .proof = proof, .offset = at};
        if (proof)
            break;
    }
    return STATUS_OK;
}

/* A torn write leaves sectors as they were, and they were zero. */
static enum status has_zero_sector(struct scan *scan, uint64_t from, uint64_t to, bool *ret_zero,
                                   struct detail *ret_detail)
{
    *ret_zero = false;
    while (from < to && !*ret_zero) {
        const uint64_t sector_end = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
        const uint64_t end = sector_end < to ? sector_end : to;
        struct slice bytes;
        const enum status status = file_window_get(&scan->window, from, (size_t)(end - from),
                                                   AHEAD_BYTES, &bytes, ret_detail);
        if (status != STATUS_OK)
            return status;
        *ret_zero = bytes_are_zero(bytes.data, bytes.size);
        from = end;
    }
    return STATUS_OK;
}

/* The last segment ends in something that is neither a good batch nor zeros: torn, or damaged? */
static enum status judge_tail(struct scan *scan, uint64_t end, const struct detail *reason,
                              struct detail *ret_detail)
{
    if (scan->chain.next_number == 0) /* the genesis was durable before its segment got its name */
        return file_damaged(&scan->file, scan->offset, ret_detail, "%s", reason->text);
    struct later later;
    enum status status = find_later(scan, end, &later, ret_detail);
    if (status != STATUS_OK)
        return status;
    bool torn = !later.found;
    if (later.found && !later.proof) {
        status = has_zero_sector(scan, scan->offset, later.offset, &torn, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    if (!torn)
        return file_damaged(&scan->file, scan->offset, ret_detail,
                            "%s; a later batch is whole at offset %" PRIu64, reason->text,
                            later.offset);
    scan->result->torn_bytes = end - scan->offset;
    scan->result->torn_reason = *reason;
    return STATUS_OK;
}

/* The batches of the segment are read; `next` is the segment that follows, NULL for the last. */
static enum status check_rest(struct scan *scan, const struct ending *ending, const uint64_t *next,
                              struct detail *ret_detail)
{
    uint64_t end = 0;
    const enum status status = find_written_end(scan, &end, ret_detail);
    if (status != STATUS_OK)
        return status;
    const bool clean = !ending->bad && end == scan->offset;
    if (next == NULL && !clean)
        return judge_tail(scan, end, &ending->reason, ret_detail);
    if (!clean)
        return file_damaged(&scan->file, scan->offset, ret_detail, "%s", ending->reason.text);
    if (scan->chain.next_number == 0)
        return file_damaged(&scan->file, 0, ret_detail, "the genesis batch is missing");
    if (next != NULL && *next != scan->chain.next_number)
        return file_damaged(&scan->file, scan->offset, ret_detail,
                            "batch %" PRIu64 " is due next, the next segment is named %" PRIu64,
                            scan->chain.next_number, *next);
    return STATUS_OK;
}

/* Begins at `offset`. */
static enum status scan_segment(struct scan *scan, uint64_t number, uint64_t offset,
                                const uint64_t *next, struct detail *ret_detail)
{
    enum status status = segment_open(&scan->file, scan->folder, number, O_RDONLY, ret_detail);
    if (status != STATUS_OK)
        return status;
    scan->number = number;
    scan->offset = offset;
    file_window_attach(&scan->window, &scan->file, scan->file.bytes);
    struct ending ending = {0};
    if (scan->file.bytes < SEGMENT_BYTES_MIN || scan->file.bytes % SECTOR_BYTES != 0)
        status = file_damaged(&scan->file, scan->file.bytes, ret_detail, "the file was cut short");
    if (status == STATUS_OK)
        status = visit_batches(scan, &ending, ret_detail);
    if (status == STATUS_OK)
        status = check_rest(scan, &ending, next, ret_detail);
    file_window_detach(&scan->window);
    file_close(&scan->file);
    return status;
}

/* Index of the segment to begin with. */
static enum status first_segment(const struct scan *scan, const struct segment_list *list,
                                 const struct log_start *start, size_t *ret_index,
                                 struct detail *ret_detail)
{
    const uint64_t number = start == NULL ? 0 : start->segment;
    size_t index = 0;
    while (index < list->count && list->numbers[index] < number)
        index++;
    if (list->count > 0 && (index == list->count || list->numbers[index] != number))
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "%s: segment %" PRIu64 " is missing, the log begins with batch %" PRIu64,
                          scan->folder->path, number, list->numbers[0]);
    *ret_index = index;
    return STATUS_OK;
}

static void begin_at(struct scan *scan, const struct log_start *start)
{
    const struct batch_chain *chain = &start->chain;
    scan->chain = *chain;
    scan->result->last_write = start->offset; /* nothing to write again but what follows */
    scan->result->durable = (struct durable){
        .last_batch = chain->next_number - 1,
        .last_event_id = chain->next_event_id - 1,
        .last_rejection_id = chain->next_rejection_id - 1,
        .last_time_ns = chain->last_time_ns,
        .segment = start->segment,
        .offset = start->offset,
        .state_digest = chain->state_digest,
    };
}

static enum status scan_segments(struct scan *scan, const struct segment_list *list,
                                 const struct log_start *start, struct detail *ret_detail)
{
    size_t first = 0;
    enum status status = first_segment(scan, list, start, &first, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (start != NULL)
        begin_at(scan, start);
    for (size_t i = first; i < list->count; i++) {
        const uint64_t *next = i + 1 < list->count ? &list->numbers[i + 1] : NULL;
        const uint64_t offset = i == first && start != NULL ? start->offset : 0;
        status = scan_segment(scan, list->numbers[i], offset, next, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    scan->result->empty = list->count == 0;
    scan->result->chain = scan->chain;
    scan->result->segment = scan->number;
    scan->result->offset = scan->offset;
    return STATUS_OK;
}

enum status scan_log(const struct folder *folder, const struct log_start *start,
                     log_visit_fn *visit, void *context, struct scan_result *ret_result,
                     struct detail *ret_detail)
{
    struct scan_result result = {0};
    struct scan scan = {
        .folder = folder, .visit = visit, .context = context, .file.fd = -1, .result = &result};
    struct segment_list list = {0};
    batch_chain_init(&scan.chain, 0);
    enum status status = file_window_init(&scan.window, BATCH_BYTES_MAX + AHEAD_BYTES);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "no memory to read the log");
    status = segment_list_read(&list, folder, ret_detail);
    if (status == STATUS_OK)
        status = scan_segments(&scan, &list, start, ret_detail);
    if (status == STATUS_OK)
        *ret_result = result;
    segment_list_fini(&list);
    file_window_fini(&scan.window);
    return status;
}

/* ---- where to begin ---- */

/* The header at an offset of a segment continues the chain. END: there is none. */
static enum status header_follows(const struct folder *folder, uint64_t segment, uint64_t offset,
                                  const struct batch_chain *chain, struct detail *ret_detail)
{
    struct file file;
    uint8_t bytes[BATCH_HEADER_BYTES];
    struct batch_disk disk;
    enum status status = segment_open(&file, folder, segment, O_RDONLY, ret_detail);
    if (status != STATUS_OK)
        return status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status;
    if (offset > file.bytes || offset % BATCH_ALIGNMENT_BYTES != 0)
        status = detail_set(ret_detail, STATUS_DAMAGED,
                            "segment %" PRIu64 " ends before offset %" PRIu64, segment, offset);
    else if (file.bytes - offset < sizeof bytes)
        status = STATUS_END;
    else
        status = file_read(&file, offset, bytes, sizeof bytes, ret_detail);
    file_close(&file);
    if (status == STATUS_OK)
        status = batch_decode(bytes, &disk, ret_detail);
    return status == STATUS_OK ? batch_follows(&disk, chain, ret_detail) : status;
}

enum status scan_start_check(const struct folder *folder, const struct log_start *start,
                             struct detail *ret_detail)
{
    struct segment_list list = {0};
    uint64_t next = 0;
    enum status status = segment_list_read(&list, folder, ret_detail);
    for (size_t i = list.count; status == STATUS_OK && i > 0; i--)
        if (list.numbers[i - 1] > start->segment)
            next = list.numbers[i - 1];
    segment_list_fini(&list);
    if (status == STATUS_OK && next == 0)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "the log ends before segment %" PRIu64 " does", start->segment);
    if (status == STATUS_OK)
        status = header_follows(folder, start->segment, start->offset, &start->chain, ret_detail);
    if (status == STATUS_END && next == start->chain.next_number)
        status = header_follows(folder, next, 0, &start->chain, ret_detail);
    else if (status == STATUS_END)
        status = detail_set(ret_detail, STATUS_DAMAGED, "batch %" PRIu64 " is not where it was",
                            start->chain.next_number);
    return status == STATUS_END ? STATUS_OK : status; /* the next segment takes its first batch */
}

/* ---- the end alone ---- */

static enum status read_first_batch(const struct file *file, struct file_window *window,
                                    struct batch_disk *ret_disk, struct detail *ret_detail)
{
    struct slice bytes;
    struct batch_view view;
    file_window_attach(window, file, file->bytes);
    enum status status =
        file_window_get(window, 0, BATCH_HEADER_BYTES, AHEAD_BYTES, &bytes, ret_detail);
    if (status == STATUS_OK)
        status = batch_decode(bytes.data, ret_disk, ret_detail);
    if (status == STATUS_OK)
        status = file_window_get(window, 0, (size_t)batch_disk_bytes(ret_disk), AHEAD_BYTES, &bytes,
                                 ret_detail);
    return status == STATUS_OK ? batch_open(ret_disk, bytes, &view, ret_detail) : status;
}

/* The start of a segment, whose first batch says itself what it continues. END: it has no whole
 * batch there. */
static enum status segment_start(const struct folder *folder, uint64_t number,
                                 struct log_start *ret_start, struct detail *ret_detail)
{
    struct file file;
    struct file_window window;
    struct batch_disk first = {.header.number = number};
    enum status status = segment_open(&file, folder, number, O_RDONLY, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = file_window_init(&window, BATCH_BYTES_MAX);
    if (status == STATUS_OK)
        status = read_first_batch(&file, &window, &first, ret_detail);
    file_window_fini(&window);
    file_close(&file);
    if (status == STATUS_DAMAGED || (status == STATUS_OK && first.header.number != number))
        return STATUS_END;
    if (status != STATUS_OK)
        return status;
    *ret_start = (struct log_start){.segment = number,
                                    .chain = {.next_number = number,
                                              .next_event_id = first.header.first_event_id,
                                              .next_rejection_id = first.header.first_rejection_id,
                                              .last_time_ns = first.header.first_time_ns,
                                              .salt = first.seal.salt,
                                              .write_first = first.seal.write_first,
                                              .last_crc = first.seal.previous_crc}};
    return STATUS_OK;
}

enum status scan_sealed(const struct folder *folder, struct durable *ret_sealed,
                        struct detail *ret_detail)
{
    struct segment_list list = {0};
    struct log_start next = {0};
    enum status status = segment_list_read(&list, folder, ret_detail);
    if (status == STATUS_OK && list.count < 2)
        status = STATUS_END;
    if (status == STATUS_OK)
        status = segment_start(folder, list.numbers[list.count - 1], &next, ret_detail);
    segment_list_fini(&list);
    if (status != STATUS_OK)
        return status;
    *ret_sealed = (struct durable){.last_batch = next.chain.next_number - 1,
                                   .last_event_id = next.chain.next_event_id - 1,
                                   .last_rejection_id = next.chain.next_rejection_id - 1,
                                   .last_time_ns = next.chain.last_time_ns,
                                   .segment = next.segment,
                                   .offset = BATCH_HEADER_BYTES}; /* for who searches by headers */
    return STATUS_OK;
}

static enum status pass_batch(void *context, const struct batch_view *batch,
                              struct detail *ret_detail)
{
    (void)context;
    (void)batch;
    (void)ret_detail;
    return STATUS_OK;
}

enum status scan_end(const struct folder *folder, struct scan_result *ret_result,
                     struct detail *ret_detail)
{
    struct segment_list list = {0};
    struct log_start start = {0};
    enum status status = segment_list_read(&list, folder, ret_detail);
    size_t at = list.count;
    if (status == STATUS_OK && at > 0 && list.numbers[at - 1] > 0) {
        status = segment_start(folder, list.numbers[--at], &start, ret_detail);
        if (status == STATUS_END && at > 0 && list.numbers[at - 1] > 0)
            status = segment_start(folder, list.numbers[--at], &start, ret_detail);
        else if (status == STATUS_END && at > 0)
            status = STATUS_OK; /* the log begins in the segment before: from its genesis on */
        if (status == STATUS_END)
            status = detail_set(ret_detail, STATUS_DAMAGED, "%s/%020" PRIu64 ".seg: offset 0: %s",
                                folder->path, list.numbers[at], "its first batch is bad");
    }
    segment_list_fini(&list);
    if (status != STATUS_OK)
        return status;
    return scan_log(folder, start.chain.next_number > 0 ? &start : NULL, pass_batch, NULL,
                    ret_result, ret_detail);
}
