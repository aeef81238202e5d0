#include "processor/store/reader.h"

#include <inttypes.h>
#include <stdlib.h>

#include "processor/store/walk.h"

enum { CURSORS = 16 };

/* Where a follower goes on. It may begin with the last record that it has, to prove that it is the
 * same log: so the place is that of the batch which holds it. */
struct cursor {
    struct place place;
    uint64_t next_id; /* behind the last record given; 0: unused */
    uint64_t used;    /* reader->uses at the last use */
    enum stream stream;
};

struct reader {
    struct walk walk;
    struct cursor cursors[CURSORS];
    uint64_t uses;
};

enum status reader_new(const char *directory, struct reader **ret_reader, struct detail *ret_detail)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to read the log");
    const enum status status = walk_init(&reader->walk, directory, ret_detail);
    if (status != STATUS_OK) {
        reader_destroy(&reader);
        return status;
    }
    *ret_reader = reader;
    return STATUS_OK;
}

void reader_destroy(struct reader **reader)
{
    struct reader *self = *reader;
    if (self == NULL)
        return;
    walk_fini(&self->walk);
    free(self);
    *reader = NULL;
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

/* Of its records on disk. */
static uint32_t stream_bytes(const struct batch_disk *disk, enum stream stream)
{
    return disk->part_bytes[stream == STREAM_ACCEPTED ? 1 : 2];
}

static uint64_t stream_last(const struct durable *durable, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? durable->last_event_id : durable->last_rejection_id;
}

static enum walk_by by_id(enum stream stream)
{
    return stream == STREAM_ACCEPTED ? WALK_BY_EVENT_ID : WALK_BY_REJECTION_ID;
}

/* Moves `place` to the batch that holds id `from`, which is durable. */
static enum status walk_to_id(struct reader *reader, const struct durable *durable,
                              enum stream stream, uint64_t from, struct place *place,
                              struct batch_disk *ret_disk, struct detail *ret_detail)
{
    for (;;) {
        const enum status status = walk_next(&reader->walk, durable, place, ret_disk, ret_detail);
        if (status == STATUS_END)
            return file_damaged(&reader->walk.file, place->offset, ret_detail,
                                "the log ends before %s id %" PRIu64, stream_text(stream), from);
        if (status != STATUS_OK)
            return status;
        const uint64_t first = stream_first(&ret_disk->header, stream);
        if (first > from)
            return file_damaged(&reader->walk.file, place->offset, ret_detail,
                                "%s id %" PRIu64 " is missing", stream_text(stream), from);
        if (from - first < stream_count(&ret_disk->header, stream))
            return STATUS_OK;
        walk_step(place, ret_disk);
    }
}

/* ---- cursors ---- */

/* The one whose place is that of `from`, or of the record before it. */
static struct cursor *find_cursor(struct reader *reader, enum stream stream, uint64_t from)
{
    for (size_t i = 0; i < CURSORS; i++) {
        struct cursor *cursor = &reader->cursors[i];
        if (cursor->stream == stream && (cursor->next_id == from || cursor->next_id == from + 1))
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
    enum status status = walk_refresh(&reader->walk, durable, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct cursor *cursor = find_cursor(reader, stream, from);
    if (cursor == NULL) {
        struct place place;
        status = walk_search(&reader->walk, durable, by_id(stream), from, &place, ret_detail);
        if (status != STATUS_OK)
            return status;
        cursor = oldest_cursor(reader);
        *cursor = (struct cursor){.place = place, .stream = stream};
    }
    cursor->next_id = from;
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

/* Appends from the batch that the cursor has come to. END: the reply is full. Where a reply is at
 * least half full, a batch that does not fit whole begins the next one, so that neither has to look
 * for its records; else the batch is cut. */
static enum status replay_batch(struct reader *reader, const struct durable *durable,
                                struct cursor *cursor, struct replay *replay,
                                struct detail *ret_detail)
{
    struct batch_disk disk;
    struct batch_view view;
    struct place place = cursor->place;
    enum status status =
        walk_to_id(reader, durable, replay->stream, cursor->next_id, &place, &disk, ret_detail);
    const size_t left = replay_bytes_left(replay);
    if (status == STATUS_OK && left < REPLAY_BODY_BYTES_MAX / 2 &&
        stream_bytes(&disk, replay->stream) > left)
        return STATUS_END;
    if (status == STATUS_OK)
        status = walk_read(&reader->walk, &place, &disk, &view, ret_detail);
    if (status != STATUS_OK)
        return status;
    uint64_t taken = 0;
    status = take_records(replay, &view, cursor->next_id, &taken);
    if (status == STATUS_MALFORMED)
        return file_damaged(&reader->walk.file, place.offset, ret_detail,
                            "the batch has fewer records than its header says");
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "the replay's buffer: %s", status_text(status));
    cursor->place = place;
    cursor->next_id += taken;
    const uint64_t behind =
        stream_first(&disk.header, replay->stream) + stream_count(&disk.header, replay->stream);
    return cursor->next_id < behind ? STATUS_END : STATUS_OK;
}

/* GONE where the log no longer has id `from`. */
static enum status check_kept(struct reader *reader, const struct durable *durable,
                              enum stream stream, uint64_t from, struct replay_reply *ret_reply,
                              struct detail *ret_detail)
{
    struct batch_header first;
    const enum status status = walk_first(&reader->walk, durable, &first, ret_detail);
    if (status != STATUS_OK)
        return status;
    const uint64_t first_id = stream_first(&first, stream);
    if (from >= first_id)
        return STATUS_OK;
    ret_reply->first_id = first_id;
    return detail_set(ret_detail, STATUS_GONE, "the first %s id kept is %" PRIu64,
                      stream_text(stream), first_id);
}

/* Appends up to the last durable id. */
static enum status replay_from(struct reader *reader, const struct durable *durable, uint64_t from,
                               struct replay *replay, struct detail *ret_detail)
{
    const uint64_t last_id = stream_last(durable, replay->stream);
    struct cursor *cursor = NULL;
    enum status status = begin(reader, durable, replay->stream, from, &cursor, ret_detail);
    while (status == STATUS_OK && cursor->next_id <= last_id && replay->count < replay->max)
        status = replay_batch(reader, durable, cursor, replay, ret_detail);
    if (status == STATUS_END)
        return STATUS_OK;
    if (status != STATUS_OK && cursor != NULL)
        cursor->next_id = 0;
    return status;
}

enum status reader_replay(struct reader *reader, const struct durable *durable, enum stream stream,
                          uint64_t from, uint64_t max, struct buffer *body,
                          struct replay_reply *ret_reply, struct detail *ret_detail)
{
    const uint64_t last_id = stream_last(durable, stream);
    struct replay replay = {.stream = stream, .max = max, .body = body, .body_start = body->size};
    enum status status = check_kept(reader, durable, stream, from, ret_reply, ret_detail);
    if (status == STATUS_OK && from <= last_id && max > 0)
        status = replay_from(reader, durable, from, &replay, ret_detail);
    if (status == STATUS_GONE) {
        /* Dropped meanwhile: what was asked for, or only where the cursor stood before it. */
        status = check_kept(reader, durable, stream, from, ret_reply, ret_detail);
        if (status == STATUS_OK && replay.count == 0)
            status = replay_from(reader, durable, from, &replay, ret_detail);
    }
    if (status != STATUS_OK)
        return status;
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
    enum status status = walk_read(&reader->walk, place, disk, &view, ret_detail);
    if (status != STATUS_OK)
        return status;
    uint32_t before = 0;
    if (count_before(stream_records(&view, stream), stream_count(&disk->header, stream), time_ns,
                     &before) != STATUS_OK)
        return file_damaged(&reader->walk.file, place->offset, ret_detail,
                            "the batch holds something that is no record");
    *ret_id = stream_first(&disk->header, stream) + before;
    return STATUS_OK;
}

enum status reader_seek(struct reader *reader, const struct durable *durable, enum stream stream,
                        uint64_t time_ns, uint64_t *ret_id, struct detail *ret_detail)
{
    struct place place;
    struct batch_disk disk;
    enum status status = walk_search(&reader->walk, durable, WALK_BY_TIME,
                                     time_ns == 0 ? 0 : time_ns - 1, &place, ret_detail);
    while (status == STATUS_OK) {
        status = walk_next(&reader->walk, durable, &place, &disk, ret_detail);
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
        walk_step(&place, &disk);
    }
    if (status != STATUS_END)
        return status;
    *ret_id = stream_last(durable, stream) + 1;
    return STATUS_OK;
}

enum status reader_first(struct reader *reader, const struct durable *durable,
                         struct batch_header *ret_first, struct detail *ret_detail)
{
    return walk_first(&reader->walk, durable, ret_first, ret_detail);
}

enum status reader_visit_chosen(struct reader *reader, const struct durable *durable,
                                uint64_t from_ns, const struct reader_choice *choice,
                                struct detail *ret_detail)
{
    struct place place;
    const bool all = from_ns == 0; /* no segment begins before that, so the search is by id 0 */
    enum status status = walk_search(&reader->walk, durable, all ? WALK_BY_EVENT_ID : WALK_BY_TIME,
                                     all ? 0 : from_ns - 1, &place, ret_detail);
    while (status == STATUS_OK) {
        struct batch_disk disk;
        struct batch_view view;
        enum reader_wish wish = READER_PASS;
        status = walk_next(&reader->walk, durable, &place, &disk, ret_detail);
        if (status == STATUS_OK && disk.header.last_time_ns >= from_ns)
            wish = choice->wish(choice->context, &disk.header);
        if (status == STATUS_END || wish == READER_STOP)
            return STATUS_OK;
        if (status == STATUS_OK && wish == READER_TAKE) {
            status = walk_read(&reader->walk, &place, &disk, &view, ret_detail);
            if (status == STATUS_OK)
                status = choice->visit(choice->context, &view, ret_detail);
        }
        if (status == STATUS_OK)
            walk_step(&place, &disk);
    }
    return status;
}

static enum reader_wish take_all(void *context, const struct batch_header *header)
{
    (void)context;
    (void)header;
    return READER_TAKE;
}

enum status reader_visit(struct reader *reader, const struct durable *durable, uint64_t from_ns,
                         log_visit_fn *visit, void *context, struct detail *ret_detail)
{
    const struct reader_choice all = {.wish = take_all, .visit = visit, .context = context};
    return reader_visit_chosen(reader, durable, from_ns, &all, ret_detail);
}

/* Reads, checks and visits the batch at `place`, of which the header is there. */
static enum status follow_one(struct reader *reader, const struct place *place,
                              const struct batch_disk *disk, struct log_start *start,
                              log_visit_fn *visit, void *context, struct detail *ret_detail)
{
    struct batch_view view;
    struct detail reason = {""};
    const uint64_t segment = reader->walk.segments[place->segment].number;
    if (start->chain.next_number == 0)
        batch_chain_init(&start->chain, disk->seal.salt);
    if (batch_follows(disk, &start->chain, &reason) != STATUS_OK)
        return file_damaged(&reader->walk.file, place->offset, ret_detail, "%s", reason.text);
    enum status status = walk_read(&reader->walk, place, disk, &view, ret_detail);
    if (status != STATUS_OK)
        return status;
    view.segment = segment;
    view.end_offset = place->offset + batch_disk_bytes(disk);
    status = visit(context, &view, ret_detail);
    if (status != STATUS_OK)
        return status;
    start->segment = segment;
    start->offset = place->offset + batch_disk_bytes(disk);
    batch_chain_advance(&start->chain, disk);
    return STATUS_OK;
}

enum status reader_follow(struct reader *reader, const struct durable *durable,
                          struct log_start *start, log_visit_fn *visit, void *context,
                          struct detail *ret_detail)
{
    struct place place;
    enum status status =
        walk_place(&reader->walk, durable, start->segment, start->offset, &place, ret_detail);
    place.number = start->chain.next_number;
    while (status == STATUS_OK) {
        struct batch_disk disk;
        status = walk_next(&reader->walk, durable, &place, &disk, ret_detail);
        if (status == STATUS_END)
            return STATUS_OK;
        if (status == STATUS_OK)
            status = follow_one(reader, &place, &disk, start, visit, context, ret_detail);
        if (status == STATUS_OK)
            walk_step(&place, &disk);
    }
    return status;
}
