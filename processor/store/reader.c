#include "processor/store/reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "processor/store/batch.h"
#include "processor/store/file.h"
#include "processor/store/file_window.h"
#include "processor/store/segment.h"

enum {
    CURSORS = 16,
    WALK_BYTES = 64 * 1024, /* of one read while walking from header to header */
};

/* Where a batch begins. */
struct place {
    size_t segment;  /* index into reader->segments */
    uint64_t offset; /* in it */
    uint64_t number; /* of the batch that is due there */
};

/* Where a follower goes on. */
struct cursor {
    struct place place;
    uint64_t next_id; /* 0: unused */
    uint64_t used;    /* reader->uses at the last use */
    enum stream stream;
};

struct segment_entry {
    uint64_t number;
    struct batch_header first; /* meaningful where `known` */
    bool known;
};

struct reader {
    struct folder folder;
    struct segment_entry *segments; /* ascending */
    size_t segment_count;
    struct file file;    /* the segment that is open */
    size_t file_segment; /* index of it, where file.fd ≥ 0 */
    struct file_window window;
    struct cursor cursors[CURSORS];
    uint64_t uses;
};

/* ---- segments ---- */

enum status reader_new(const char *directory, struct reader **ret_reader, struct detail *ret_detail)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to read the log");
    reader->folder.fd = -1;
    reader->file = (struct file){.folder = &reader->folder, .fd = -1};
    enum status status = folder_open(&reader->folder, directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK && file_window_init(&reader->window, BATCH_BYTES_MAX) != STATUS_OK)
        status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to read the log");
    if (status != STATUS_OK) {
        reader_destroy(&reader);
        return status == STATUS_NOT_FOUND ? STATUS_IO : status;
    }
    *ret_reader = reader;
    return STATUS_OK;
}

void reader_destroy(struct reader **reader)
{
    struct reader *self = *reader;
    if (self == NULL)
        return;
    file_window_fini(&self->window);
    file_close(&self->file);
    folder_close(&self->folder);
    free(self->segments);
    free(self);
    *reader = NULL;
}

static enum status refresh(struct reader *reader, struct detail *ret_detail)
{
    struct segment_list list = {0};
    struct segment_entry *segments = NULL;
    enum status status = segment_list_read(&list, &reader->folder, ret_detail);
    if (status == STATUS_OK && list.count < reader->segment_count)
        status =
            detail_set(ret_detail, STATUS_DAMAGED, "%s: segments have gone", reader->folder.path);
    if (status != STATUS_OK || list.count == 0)
        goto out;
    segments = realloc(reader->segments, list.count * sizeof *segments);
    if (segments == NULL) {
        status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for %zu segments", list.count);
        goto out;
    }
    /* Segments are only ever added at the end: what is known of the others stays true. */
    for (size_t i = reader->segment_count; i < list.count; i++)
        segments[i] = (struct segment_entry){.number = list.numbers[i]};
    reader->segments = segments;
    reader->segment_count = list.count;
out:
    segment_list_fini(&list);
    return status;
}

/* The last segment whose number is ≤ `number`; false if there is none. */
static bool find_segment(const struct reader *reader, uint64_t number, size_t *ret_index)
{
    size_t low = 0;
    size_t high = reader->segment_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (reader->segments[middle].number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    *ret_index = low - 1;
    return true;
}

/* Index of the segment that holds the durable end; looks into the folder if it is new. */
static enum status durable_segment(struct reader *reader, const struct durable *durable,
                                   size_t *ret_index, struct detail *ret_detail)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t index = 0;
        if (find_segment(reader, durable->segment, &index) &&
            reader->segments[index].number == durable->segment) {
            *ret_index = index;
            return STATUS_OK;
        }
        const enum status status = refresh(reader, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return detail_set(ret_detail, STATUS_DAMAGED, "%s: segment %" PRIu64 " is missing",
                      reader->folder.path, durable->segment);
}

/* Opens a segment and lets the window see what is durable of it. */
static enum status attach(struct reader *reader, const struct durable *durable, size_t index,
                          struct detail *ret_detail)
{
    const uint64_t number = reader->segments[index].number;
    if (reader->file.fd < 0 || reader->file_segment != index) {
        file_window_detach(&reader->window);
        file_close(&reader->file);
        const enum status status =
            segment_open(&reader->file, &reader->folder, number, O_RDONLY, ret_detail);
        if (status != STATUS_OK)
            return status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status;
        reader->file_segment = index;
    }
    const bool open_end = number == durable->segment;
    file_window_attach(&reader->window, &reader->file,
                       open_end ? durable->offset : reader->file.bytes);
    return STATUS_OK;
}

/* ---- batches ---- */

/* The header at `place`, without a look at the next segment. END: none here. */
static enum status header_here(struct reader *reader, const struct durable *durable,
                               const struct place *place, struct batch_disk *ret_disk,
                               struct detail *ret_detail)
{
    enum status status = attach(reader, durable, place->segment, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct slice bytes;
    status = file_window_get(&reader->window, place->offset, BATCH_HEADER_BYTES, WALK_BYTES, &bytes,
                             ret_detail);
    if (status != STATUS_OK)
        return status;
    struct detail reason = {""};
    status = batch_decode(bytes.data, ret_disk, &reason);
    if (status == STATUS_OK && ret_disk->header.number != place->number)
        return file_damaged(&reader->file, place->offset, ret_detail,
                            "batch %" PRIu64 " where %" PRIu64 " is due", ret_disk->header.number,
                            place->number);
    if (status == STATUS_DAMAGED)
        return file_damaged(&reader->file, place->offset, ret_detail, "%s", reason.text);
    return status;
}

/* The header at `place`, moving it to the next segment where this one has ended. END: the durable
 * log ends here. */
static enum status next_header(struct reader *reader, const struct durable *durable,
                               struct place *place, struct batch_disk *ret_disk,
                               struct detail *ret_detail)
{
    if (place->number > durable->last_batch)
        return STATUS_END;
    enum status status = header_here(reader, durable, place, ret_disk, ret_detail);
    if (status != STATUS_END)
        return status;
    const size_t next = place->segment + 1;
    if (next >= reader->segment_count || reader->segments[next].number != place->number)
        return file_damaged(&reader->file, place->offset, ret_detail,
                            "batch %" PRIu64 " is missing", place->number);
    *place = (struct place){.segment = next, .offset = 0, .number = place->number};
    status = header_here(reader, durable, place, ret_disk, ret_detail);
    if (status == STATUS_END)
        return file_damaged(&reader->file, 0, ret_detail, "batch %" PRIu64 " is missing",
                            place->number);
    return status;
}

/* The whole batch whose header next_header found at `place`; the view lasts until the next read. */
static enum status read_batch(struct reader *reader, const struct place *place,
                              const struct batch_disk *disk, struct batch_view *ret_view,
                              struct detail *ret_detail)
{
    struct slice bytes;
    struct detail reason = {""};
    enum status status =
        file_window_get(&reader->window, place->offset, (size_t)batch_disk_bytes(disk), WALK_BYTES,
                        &bytes, ret_detail);
    if (status == STATUS_END)
        return file_damaged(&reader->file, place->offset, ret_detail,
                            "the batch goes beyond the end of the log");
    if (status != STATUS_OK)
        return status;
    status = batch_open(disk, bytes, ret_view, &reason);
    if (status == STATUS_DAMAGED)
        return file_damaged(&reader->file, place->offset, ret_detail, "%s", reason.text);
    return status;
}

static void step(struct place *place, const struct batch_disk *disk)
{
    place->offset += batch_disk_bytes(disk);
    place->number = disk->header.number + 1;
}

/* ---- searching ---- */

enum search_by { BY_EVENT_ID, BY_REJECTION_ID, BY_TIME };

static uint64_t key_of(const struct batch_header *first, enum search_by by)
{
    switch (by) {
    case BY_EVENT_ID:
        return first->first_event_id;
    case BY_REJECTION_ID:
        return first->first_rejection_id;
    case BY_TIME:
    default:
        return first->first_time_ns;
    }
}

static enum status first_header(struct reader *reader, const struct durable *durable, size_t index,
                                struct batch_header *ret_first, struct detail *ret_detail)
{
    struct segment_entry *entry = &reader->segments[index];
    if (!entry->known) {
        const struct place place = {.segment = index, .offset = 0, .number = entry->number};
        struct batch_disk disk;
        const enum status status = header_here(reader, durable, &place, &disk, ret_detail);
        if (status == STATUS_END)
            return file_damaged(&reader->file, 0, ret_detail, "the segment is empty");
        if (status != STATUS_OK)
            return status;
        entry->first = disk.header;
        entry->known = true;
    }
    *ret_first = entry->first;
    return STATUS_OK;
}

/* The beginning of the last segment whose first batch has a key ≤ `value`, else of the first. */
static enum status search(struct reader *reader, const struct durable *durable, enum search_by by,
                          uint64_t value, struct place *ret_place, struct detail *ret_detail)
{
    size_t low = 0;
    size_t high = 0;
    enum status status = durable_segment(reader, durable, &high, ret_detail);
    if (status != STATUS_OK)
        return status;
    while (low < high) {
        const size_t middle = low + (high - low + 1) / 2;
        struct batch_header first;
        status = first_header(reader, durable, middle, &first, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (key_of(&first, by) <= value)
            low = middle;
        else
            high = middle - 1;
    }
    *ret_place = (struct place){.segment = low, .number = reader->segments[low].number};
    return STATUS_OK;
}

/* ---- streams ---- */

static uint64_t stream_first(const struct batch_header *header, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? header->first_event_id : header->first_rejection_id;
}

static uint32_t stream_count(const struct batch_header *header, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? header->event_count : header->rejection_count;
}

static struct slice stream_records(const struct batch_view *batch, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? batch->accepted : batch->rejected;
}

static uint64_t stream_last(const struct durable *durable, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? durable->last_event_id : durable->last_rejection_id;
}

static enum search_by by_id(enum stream stream)
{
    return stream == STREAM_ACCEPTED ? BY_EVENT_ID : BY_REJECTION_ID;
}

/* Moves `place` to the batch that holds id `from`, which is durable. */
static enum status walk_to_id(struct reader *reader, const struct durable *durable,
                              enum stream stream, uint64_t from, struct place *place,
                              struct batch_disk *ret_disk, struct detail *ret_detail)
{
    for (;;) {
        const enum status status = next_header(reader, durable, place, ret_disk, ret_detail);
        if (status == STATUS_END)
            return file_damaged(&reader->file, place->offset, ret_detail,
                                "the log ends before %s id %" PRIu64, stream_text(stream), from);
        if (status != STATUS_OK)
            return status;
        const uint64_t first = stream_first(&ret_disk->header, stream);
        if (first > from)
            return file_damaged(&reader->file, place->offset, ret_detail,
                                "%s id %" PRIu64 " is missing", stream_text(stream), from);
        if (from - first < stream_count(&ret_disk->header, stream))
            return STATUS_OK;
        step(place, ret_disk);
    }
}

/* ---- cursors ---- */

static struct cursor *find_cursor(struct reader *reader, enum stream stream, uint64_t next_id)
{
    for (size_t i = 0; i < CURSORS; i++) {
        struct cursor *cursor = &reader->cursors[i];
        if (cursor->next_id == next_id && cursor->stream == stream)
            return cursor;
    }
    return NULL;
}

static struct cursor *oldest_cursor(struct reader *reader)
{
    struct cursor *oldest = &reader->cursors[0];
    for (size_t i = 1; i < CURSORS; i++)
        if (reader->cursors[i].used < oldest->used)
            oldest = &reader->cursors[i];
    return oldest;
}

/* Where to begin to look for id `from`: where a follower stopped, or by search. */
static enum status begin(struct reader *reader, const struct durable *durable, enum stream stream,
                         uint64_t from, struct cursor **ret_cursor, struct detail *ret_detail)
{
    size_t ignored = 0; /* learns of new segments */
    enum status status = durable_segment(reader, durable, &ignored, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct cursor *cursor = find_cursor(reader, stream, from);
    if (cursor == NULL) {
        struct place place;
        status = search(reader, durable, by_id(stream), from, &place, ret_detail);
        if (status != STATUS_OK)
            return status;
        cursor = oldest_cursor(reader);
        *cursor = (struct cursor){.place = place, .next_id = from, .stream = stream};
    }
    cursor->used = ++reader->uses;
    *ret_cursor = cursor;
    return STATUS_OK;
}

/* ---- replay ---- */

struct replay {
    enum stream stream;
    uint64_t max; /* records */
    struct buffer *body;
    size_t body_start; /* bytes that were in it before */
    uint64_t count;    /* records appended */
};

static size_t replay_bytes_left(const struct replay *replay)
{
    const size_t used = replay->body->size - replay->body_start;
    return used < REPLAY_BODY_BYTES_MAX ? REPLAY_BODY_BYTES_MAX - used : 0;
}

/* Moves past `skip` records, then past as many as may be taken (≤ count − skip); ret_taken is their
 * number, ret_bytes their bytes. MALFORMED. */
static enum status walk_records(const struct replay *replay, struct slice records, uint32_t skip,
                                uint32_t count, uint64_t *ret_taken, struct slice *ret_bytes)
{
    struct mp_reader reader = mp_reader_of(records);
    const size_t bytes_left = replay_bytes_left(replay);
    for (uint32_t i = 0; i < skip; i++) {
        const enum status status = mp_skip(&reader);
        if (status != STATUS_OK)
            return status;
    }
    const uint8_t *start = reader.at;
    const uint8_t *end = start;
    uint64_t taken = 0;
    while (taken < count - skip && replay->count + taken < replay->max) {
        const enum status status = mp_skip(&reader);
        if (status != STATUS_OK)
            return status;
        const bool first_of_all = replay->count + taken == 0;
        if ((size_t)(reader.at - start) > bytes_left && !first_of_all)
            break;
        end = reader.at;
        taken++;
    }
    *ret_taken = taken;
    *ret_bytes = (struct slice){start, (size_t)(end - start)};
    return STATUS_OK;
}

/* Appends what may be taken of one batch, from id `from` on. */
static enum status take_records(struct replay *replay, const struct batch_view *batch,
                                uint64_t from, uint64_t *ret_taken)
{
    const uint32_t count = stream_count(&batch->header, replay->stream);
    const uint32_t skip = (uint32_t)(from - stream_first(&batch->header, replay->stream));
    struct slice bytes = stream_records(batch, replay->stream);
    uint64_t taken = count;
    if (skip > 0 || count > replay->max - replay->count || bytes.size > replay_bytes_left(replay)) {
        const enum status status = walk_records(replay, bytes, skip, count, &taken, &bytes);
        if (status != STATUS_OK)
            return status;
    }
    buffer_append(replay->body, bytes.data, bytes.size);
    replay->count += taken;
    *ret_taken = taken;
    return replay->body->status;
}

/* Appends from the batch at the cursor; afterwards the cursor stands where it goes on. END: the
 * reply is full. */
static enum status replay_batch(struct reader *reader, const struct durable *durable,
                                struct cursor *cursor, struct replay *replay,
                                struct detail *ret_detail)
{
    struct batch_disk disk;
    struct batch_view view;
    enum status status = walk_to_id(reader, durable, replay->stream, cursor->next_id,
                                    &cursor->place, &disk, ret_detail);
    if (status == STATUS_OK)
        status = read_batch(reader, &cursor->place, &disk, &view, ret_detail);
    if (status != STATUS_OK)
        return status;
    uint64_t taken = 0;
    status = take_records(replay, &view, cursor->next_id, &taken);
    if (status == STATUS_MALFORMED)
        return file_damaged(&reader->file, cursor->place.offset, ret_detail,
                            "the batch has fewer records than its header says");
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "the replay's buffer: %s", status_text(status));
    cursor->next_id += taken;
    const uint64_t behind =
        stream_first(&disk.header, replay->stream) + stream_count(&disk.header, replay->stream);
    if (cursor->next_id < behind)
        return STATUS_END;
    step(&cursor->place, &disk);
    return STATUS_OK;
}

/* GONE where the log no longer has id `from`. */
static enum status check_kept(struct reader *reader, const struct durable *durable,
                              enum stream stream, uint64_t from, struct replay_reply *ret_reply,
                              struct detail *ret_detail)
{
    size_t ignored = 0;
    struct batch_header first;
    enum status status = durable_segment(reader, durable, &ignored, ret_detail);
    if (status == STATUS_OK)
        status = first_header(reader, durable, 0, &first, ret_detail);
    if (status != STATUS_OK)
        return status;
    const uint64_t first_id = stream_first(&first, stream);
    if (from >= first_id)
        return STATUS_OK;
    ret_reply->first_id = first_id;
    return detail_set(ret_detail, STATUS_GONE, "the first %s id kept is %" PRIu64,
                      stream_text(stream), first_id);
}

enum status reader_replay(struct reader *reader, const struct durable *durable, enum stream stream,
                          uint64_t from, uint64_t max, struct buffer *body,
                          struct replay_reply *ret_reply, struct detail *ret_detail)
{
    const uint64_t last_id = stream_last(durable, stream);
    struct replay replay = {.stream = stream, .max = max, .body = body, .body_start = body->size};
    enum status status = check_kept(reader, durable, stream, from, ret_reply, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (from <= last_id && max > 0) {
        struct cursor *cursor = NULL;
        status = begin(reader, durable, stream, from, &cursor, ret_detail);
        while (status == STATUS_OK && cursor->next_id <= last_id && replay.count < max)
            status = replay_batch(reader, durable, cursor, &replay, ret_detail);
        if (status != STATUS_OK && status != STATUS_END) {
            if (cursor != NULL)
                cursor->next_id = 0;
            return status;
        }
    }
    ret_reply->first_id = from;
    ret_reply->count = replay.count;
    ret_reply->last_id = last_id;
    return STATUS_OK;
}

/* ---- seek and visit ---- */

/* Time of a stored record: the second item of both kinds. */
static enum status record_time(struct slice record, uint64_t *ret_time_ns)
{
    struct mp_reader reader = mp_reader_of(record);
    uint32_t items = 0;
    uint64_t id = 0;
    enum status status = mp_read_array(&reader, &items);
    if (status == STATUS_OK)
        status = mp_read_uint(&reader, &id);
    if (status == STATUS_OK)
        status = mp_read_uint(&reader, ret_time_ns);
    return status;
}

/* How many records of the batch are before time_ns. */
static enum status count_before(struct slice records, uint32_t count, uint64_t time_ns,
                                uint32_t *ret_before)
{
    struct mp_reader reader = mp_reader_of(records);
    for (uint32_t i = 0; i < count; i++) {
        struct slice record;
        uint64_t record_ns = 0;
        enum status status = mp_read_raw(&reader, &record);
        if (status == STATUS_OK)
            status = record_time(record, &record_ns);
        if (status != STATUS_OK)
            return status;
        if (record_ns >= time_ns) {
            *ret_before = i;
            return STATUS_OK;
        }
    }
    *ret_before = count;
    return STATUS_OK;
}

/* Looks for the first record with time ≥ time_ns in the batch at `place`; ret_id is it, or the
 * first id behind the batch. */
static enum status seek_in_batch(struct reader *reader, const struct place *place,
                                 const struct batch_disk *disk, enum stream stream,
                                 uint64_t time_ns, uint64_t *ret_id, struct detail *ret_detail)
{
    struct batch_view view;
    enum status status = read_batch(reader, place, disk, &view, ret_detail);
    if (status != STATUS_OK)
        return status;
    uint32_t before = 0;
    if (count_before(stream_records(&view, stream), stream_count(&disk->header, stream), time_ns,
                     &before) != STATUS_OK)
        return file_damaged(&reader->file, place->offset, ret_detail,
                            "the batch holds something that is no record");
    *ret_id = stream_first(&disk->header, stream) + before;
    return STATUS_OK;
}

enum status reader_seek(struct reader *reader, const struct durable *durable, enum stream stream,
                        uint64_t time_ns, uint64_t *ret_id, struct detail *ret_detail)
{
    struct place place;
    struct batch_disk disk;
    enum status status =
        search(reader, durable, BY_TIME, time_ns == 0 ? 0 : time_ns - 1, &place, ret_detail);
    while (status == STATUS_OK) {
        status = next_header(reader, durable, &place, &disk, ret_detail);
        if (status != STATUS_OK)
            break;
        const uint32_t count = stream_count(&disk.header, stream);
        if (count > 0 && disk.header.last_time_ns >= time_ns) {
            uint64_t id = 0;
            status = seek_in_batch(reader, &place, &disk, stream, time_ns, &id, ret_detail);
            if (status == STATUS_OK && id < stream_first(&disk.header, stream) + count) {
                *ret_id = id;
                return STATUS_OK;
            }
        }
        step(&place, &disk);
    }
    if (status != STATUS_END)
        return status;
    *ret_id = stream_last(durable, stream) + 1;
    return STATUS_OK;
}

enum status reader_visit(struct reader *reader, const struct durable *durable, uint64_t after_ns,
                         log_visit_fn *visit, void *context, struct detail *ret_detail)
{
    struct place place;
    enum status status = search(reader, durable, BY_TIME, after_ns, &place, ret_detail);
    while (status == STATUS_OK) {
        struct batch_disk disk;
        struct batch_view view;
        status = next_header(reader, durable, &place, &disk, ret_detail);
        if (status == STATUS_END)
            return STATUS_OK;
        if (status == STATUS_OK && disk.header.last_time_ns > after_ns) {
            status = read_batch(reader, &place, &disk, &view, ret_detail);
            view.segment = reader->segments[place.segment].number;
            view.end_offset = place.offset + batch_disk_bytes(&disk);
            if (status == STATUS_OK)
                status = visit(context, &view, ret_detail);
        }
        if (status == STATUS_OK)
            step(&place, &disk);
    }
    return status;
}
