#include "processor/store/walk.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "processor/store/segment.h"

/* Of one read: where headers are all that is wanted a page or so, since batches may be large; with
 * a batch also those that may follow, since they may be small. */
enum { HEADER_AHEAD_BYTES = 4 * 1024, AHEAD_BYTES = 64 * 1024 };

enum status walk_init(struct walk *walk, const char *directory, struct detail *ret_detail)
{
    *walk = (struct walk){.folder.fd = -1, .file = {.folder = &walk->folder, .fd = -1}};
    const enum status status =
        folder_open(&walk->folder, directory, SEGMENT_FOLDER, false, ret_detail);
    if (status != STATUS_OK)
        return status == STATUS_NOT_FOUND ? STATUS_IO : status;
    if (file_window_init(&walk->window, BATCH_BYTES_MAX) != STATUS_OK)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to read the log");
    return STATUS_OK;
}

void walk_fini(struct walk *walk)
{
    file_window_fini(&walk->window);
    file_close(&walk->file);
    folder_close(&walk->folder);
    free(walk->segments);
    walk->segments = NULL;
    walk->segment_count = 0;
}

static enum status refresh(struct walk *walk, struct detail *ret_detail)
{
    struct segment_list list = {0};
    struct segment_entry *segments = NULL;
    enum status status = segment_list_read(&list, &walk->folder, ret_detail);
    if (status != STATUS_OK || list.count == 0)
        goto out;
    segments = realloc(walk->segments, (walk->segment_count + list.count) * sizeof *segments);
    if (segments == NULL) {
        status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for %u segments", list.count);
        goto out;
    }
    walk->segments = segments;
    /* Segments are only ever added at the end and dropped at the beginning: what is known of the
     * others stays true. */
    for (size_t i = 0; i < list.count; i++)
        if (walk->segment_count == 0 || segments[walk->segment_count - 1].number < list.numbers[i])
            segments[walk->segment_count++] = (struct segment_entry){.number = list.numbers[i]};
    while (segments[walk->first].number < list.numbers[0])
        walk->first++;
    if (walk->segment_count - walk->first != list.count)
        status =
            detail_set(ret_detail, STATUS_DAMAGED, "%s: segments have gone", walk->folder.path);
out:
    segment_list_fini(&list);
    return status;
}

/* The last segment whose number is ≤ `number`; false if there is none. */
static bool find_segment(const struct walk *walk, uint64_t number, size_t *ret_index)
{
    size_t low = 0;
    size_t high = walk->segment_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (walk->segments[middle].number <= number)
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
static enum status durable_segment(struct walk *walk, const struct durable *durable,
                                   size_t *ret_index, struct detail *ret_detail)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t index = 0;
        if (find_segment(walk, durable->segment, &index) &&
            walk->segments[index].number == durable->segment) {
            *ret_index = index;
            return STATUS_OK;
        }
        const enum status status = refresh(walk, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return detail_set(ret_detail, STATUS_DAMAGED, "%s: segment %" PRIu64 " is missing",
                      walk->folder.path, durable->segment);
}

enum status walk_refresh(struct walk *walk, const struct durable *durable,
                         struct detail *ret_detail)
{
    size_t ignored = 0;
    return durable_segment(walk, durable, &ignored, ret_detail);
}

/* The file of a segment is not there: dropped meanwhile, or lost? */
static enum status gone_or_missing(struct walk *walk, size_t index, struct detail *ret_detail)
{
    const uint64_t number = walk->segments[index].number;
    const enum status status = refresh(walk, ret_detail);
    if (status == STATUS_OK && index < walk->first)
        return detail_set(ret_detail, STATUS_GONE, "%s: segment %" PRIu64 " is no longer kept",
                          walk->folder.path, number);
    return detail_set(ret_detail, STATUS_DAMAGED, "%s: segment %" PRIu64 " is missing",
                      walk->folder.path, number);
}

/* Opens a segment and lets the window see what is durable of it. */
static enum status attach(struct walk *walk, const struct durable *durable, size_t index,
                          struct detail *ret_detail)
{
    const uint64_t number = walk->segments[index].number;
    if (walk->file.fd < 0 || walk->file_segment != index) {
        file_window_detach(&walk->window);
        file_close(&walk->file);
        const enum status status =
            segment_open(&walk->file, &walk->folder, number, O_RDONLY, ret_detail);
        if (status == STATUS_NOT_FOUND)
            return gone_or_missing(walk, index, ret_detail);
        if (status != STATUS_OK)
            return status;
        walk->file_segment = index;
    }
    const bool open_end = number == durable->segment;
    file_window_attach(&walk->window, &walk->file, open_end ? durable->offset : walk->file.bytes);
    return STATUS_OK;
}

/* The header at `place`, without a look at the next segment. END: none here. */
static enum status header_here(struct walk *walk, const struct durable *durable,
                               const struct place *place, struct batch_disk *ret_disk,
                               struct detail *ret_detail)
{
    enum status status = attach(walk, durable, place->segment, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct slice bytes;
    status = file_window_get(&walk->window, place->offset, BATCH_HEADER_BYTES, HEADER_AHEAD_BYTES,
                             &bytes, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct detail reason = {""};
    status = batch_decode(bytes.data, ret_disk, &reason);
    if (status == STATUS_OK && ret_disk->header.number != place->number)
        return file_damaged(&walk->file, place->offset, ret_detail,
                            "batch %" PRIu64 " where %" PRIu64 " is due", ret_disk->header.number,
                            place->number);
    if (status == STATUS_DAMAGED)
        return file_damaged(&walk->file, place->offset, ret_detail, "%s", reason.text);
    return status;
}

enum status walk_next(struct walk *walk, const struct durable *durable, struct place *place,
                      struct batch_disk *ret_disk, struct detail *ret_detail)
{
    if (place->number > durable->last_batch)
        return STATUS_END;
    enum status status = header_here(walk, durable, place, ret_disk, ret_detail);
    if (status != STATUS_END)
        return status;
    const size_t next = place->segment + 1;
    if (next >= walk->segment_count || walk->segments[next].number != place->number)
        return file_damaged(&walk->file, place->offset, ret_detail, "batch %" PRIu64 " is missing",
                            place->number);
    *place = (struct place){.segment = next, .offset = 0, .number = place->number};
    status = header_here(walk, durable, place, ret_disk, ret_detail);
    if (status == STATUS_END)
        return file_damaged(&walk->file, 0, ret_detail, "batch %" PRIu64 " is missing",
                            place->number);
    return status;
}

enum status walk_read(struct walk *walk, const struct place *place, const struct batch_disk *disk,
                      struct batch_view *ret_view, struct detail *ret_detail)
{
    struct slice bytes;
    struct detail reason = {""};
    enum status status =
        file_window_get(&walk->window, place->offset, (size_t)batch_disk_bytes(disk), AHEAD_BYTES,
                        &bytes, ret_detail);
    if (status == STATUS_END)
        return file_damaged(&walk->file, place->offset, ret_detail,
                            "the batch goes beyond the end of the log");
    if (status != STATUS_OK)
        return status;
    status = batch_open(disk, bytes, ret_view, &reason);
    if (status != STATUS_OK)
        return file_damaged(&walk->file, place->offset, ret_detail, "%s", reason.text);
    ret_view->segment = walk->segments[place->segment].number;
    ret_view->end_offset = place->offset + batch_disk_bytes(disk);
    return STATUS_OK;
}

void walk_step(struct place *place, const struct batch_disk *disk)
{
    place->offset += batch_disk_bytes(disk);
    place->number = disk->header.number + 1;
}

static uint64_t key_of(const struct batch_header *first, enum walk_by by)
{
    switch (by) {
    case WALK_BY_EVENT_ID:
        return first->first_event_id;
    case WALK_BY_REJECTION_ID:
        return first->first_rejection_id;
    case WALK_BY_TIME:
    default:
        return first->first_time_ns;
    }
}

static enum status first_header(struct walk *walk, const struct durable *durable, size_t index,
                                struct batch_header *ret_first, struct detail *ret_detail)
{
    struct segment_entry *entry = &walk->segments[index];
    if (!entry->known) {
        const struct place place = {.segment = index, .offset = 0, .number = entry->number};
        struct batch_disk disk;
        const enum status status = header_here(walk, durable, &place, &disk, ret_detail);
        if (status == STATUS_END)
            return file_damaged(&walk->file, 0, ret_detail, "the segment is empty");
        if (status != STATUS_OK)
            return status;
        entry->first = disk.header;
        entry->known = true;
    }
    *ret_first = entry->first;
    return STATUS_OK;
}

enum status walk_search(struct walk *walk, const struct durable *durable, enum walk_by by,
                        uint64_t value, struct place *ret_place, struct detail *ret_detail)
{
    size_t high = 0;
    enum status status = durable_segment(walk, durable, &high, ret_detail);
    if (status != STATUS_OK)
        return status;
    size_t low = walk->first;
    while (low < high) {
        const size_t middle = low + (high - low + 1) / 2;
        struct batch_header first = {0};
        status = first_header(walk, durable, middle, &first, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (key_of(&first, by) <= value)
            low = middle;
        else
            high = middle - 1;
    }
    *ret_place = (struct place){.segment = low, .number = walk->segments[low].number};
    return STATUS_OK;
}

enum status walk_place(struct walk *walk, const struct durable *durable, uint64_t segment,
                       uint64_t offset, struct place *ret_place, struct detail *ret_detail)
{
    size_t index = 0;
    const enum status status = walk_refresh(walk, durable, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (!find_segment(walk, segment, &index) || walk->segments[index].number != segment ||
        index < walk->first)
        return detail_set(ret_detail, STATUS_GONE, "%s: segment %" PRIu64 " is not there",
                          walk->folder.path, segment);
    *ret_place = (struct place){.segment = index, .offset = offset};
    return STATUS_OK;
}

enum status walk_first(struct walk *walk, const struct durable *durable,
                       struct batch_header *ret_first, struct detail *ret_detail)
{
    const enum status status = walk_refresh(walk, durable, ret_detail);
    return status == STATUS_OK ? first_header(walk, durable, walk->first, ret_first, ret_detail)
                               : status;
}
