#include "processor/retention.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "processor/core/state_image.h"
#include "processor/policy_change.h"
#include "processor/store/snapshot.h"
#include "processor/store/walk.h"

struct kept {
    const char *directory; /* the store's */
    struct folder folder;  /* of the segments */
    struct segment_list segments, snapshots;
};

static void kept_fini(struct kept *kept)
{
    segment_list_fini(&kept->segments);
    segment_list_fini(&kept->snapshots);
    folder_close(&kept->folder);
}

static enum status kept_read(struct kept *kept, const char *directory, struct detail *ret_detail)
{
    *kept = (struct kept){.directory = directory, .folder.fd = -1};
    enum status status = folder_open(&kept->folder, directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = segment_list_read(&kept->segments, &kept->folder, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_list_read(&kept->snapshots, directory, ret_detail);
    return status;
}

/* ---- snapshots ---- */

/* Every block of it, and that the log goes on where it stands. */
static enum status snapshot_verify(const struct kept *kept, uint64_t number,
                                   struct log_start *ret_start)
{
    struct snapshot_reader *reader = NULL;
    struct slice block;
    enum status status = snapshot_reader_new(kept->directory, number, &reader, NULL);
    if (status == STATUS_OK) {
        *ret_start = snapshot_header(reader)->start;
        status = scan_start_check(&kept->folder, ret_start, NULL);
    }
    while (status == STATUS_OK)
        status = snapshot_take(reader, &block, NULL);
    snapshot_reader_destroy(&reader);
    return status == STATUS_END ? STATUS_OK : status;
}

/* The newest good snapshot but one; NOT_FOUND. */
static enum status last_but_one(const struct kept *kept, struct log_start *ret_start)
{
    uint32_t good = 0;
    for (size_t i = kept->snapshots.count; i > 0; i--)
        if (snapshot_verify(kept, kept->snapshots.numbers[i - 1], ret_start) == STATUS_OK &&
            ++good == 2)
            return STATUS_OK;
    return STATUS_NOT_FOUND;
}

static bool has_snapshot(const struct kept *kept, uint64_t number)
{
    for (size_t i = 0; i < kept->snapshots.count; i++)
        if (kept->snapshots.numbers[i] == number)
            return true;
    return false;
}

/* ---- segments ---- */

static uint64_t segment_bytes(const struct kept *kept, uint64_t number)
{
    char name[SEGMENT_NAME_BYTES];
    struct stat about;
    segment_name(number, name);
    return fstatat(kept->folder.fd, name, &about, 0) == 0 ? (uint64_t)about.st_size : 0;
}

/* ret_segments, one for each in the list. */
static enum status segments_look(const struct kept *kept, struct walk *walk,
                                 const struct durable *durable,
                                 struct retention_segment *ret_segments, struct detail *ret_detail)
{
    for (size_t i = 0; i < kept->segments.count; i++) {
        const uint64_t number = kept->segments.numbers[i];
        struct retention_segment *segment = &ret_segments[i];
        struct place place;
        struct batch_disk disk;
        *segment = (struct retention_segment){.bytes = segment_bytes(kept, number),
                                              .has_snapshot = has_snapshot(kept, number)};
        if (!segment->has_snapshot)
            continue;
        enum status status = walk_place(walk, durable, number, 0, &place, ret_detail);
        place.number = number;
        if (status == STATUS_OK)
            status = walk_next(walk, durable, &place, &disk, ret_detail);
        if (status == STATUS_OK)
            segment->first_time_ns = disk.header.first_time_ns;
        else if (status == STATUS_END) /* it holds nothing durable yet */
            segment->has_snapshot = false;
        else
            return status;
    }
    return STATUS_OK;
}

/* Oldest first, each gone for good before the next goes: the log never has a hole. ret_removed is
 * how many went, also where not all did. */
static enum status segments_remove(const struct kept *kept, size_t count, uint32_t *ret_removed,
                                   struct detail *ret_detail)
{
    *ret_removed = 0;
    for (size_t i = 0; i < count; i++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(kept->segments.numbers[i], name);
        if (unlinkat(kept->folder.fd, name, 0) != 0)
            return detail_set(ret_detail, STATUS_IO, "%s/%s: cannot remove: %s", kept->folder.path,
                              name, strerror(errno));
        ++*ret_removed;
        const enum status status = folder_sync(&kept->folder, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- changes of the policies ---- */

/* Where the batch is a change of the policies: the time from which its windows need events, if that
 * is earlier than ret_from_ns. */
static enum status change_look(struct walk *walk, const struct place *place,
                               const struct batch_disk *disk, uint64_t *ret_from_ns,
                               struct detail *ret_detail)
{
    struct batch_view batch;
    struct accepted_record record;
    struct policy_set *policies = NULL;
    enum status status = walk_read(walk, place, disk, &batch, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct mp_reader reader = mp_reader_of(batch.accepted);
    if (accepted_record_read(&reader, &record) != STATUS_OK)
        return detail_set(ret_detail, STATUS_DAMAGED, "an accepted record cannot be read");
    if (!policy_change_is(record.source, &record.event))
        return STATUS_OK;
    status = policy_change_read(&record.event, &policies, ret_detail);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < policies->count; i++) {
        const uint64_t from_ns =
            retention_window_from(record.accepted_at_ns, policies->items[i].window_ns);
        if (from_ns < *ret_from_ns)
            *ret_from_ns = from_ns;
    }
    free(policies);
    return STATUS_OK;
}

/* Goes through the headers from `start` on. A change is alone in its batch and has no sequence, so
 * few payloads are read. ret_from_ns: as of now, or earlier where a change needs it. */
static enum status changes_look(struct walk *walk, const struct durable *durable,
                                const struct log_start *start, uint64_t *ret_from_ns,
                                struct detail *ret_detail)
{
    struct place place;
    struct batch_disk disk;
    enum status status =
        walk_place(walk, durable, start->segment, start->offset, &place, ret_detail);
    place.number = start->chain.next_number;
    while (status == STATUS_OK) {
        status = walk_next(walk, durable, &place, &disk, ret_detail);
        if (status == STATUS_OK && disk.header.event_count == 1 &&
            disk.header.rejection_count == 0 && disk.part_bytes[0] == 0)
            status = change_look(walk, &place, &disk, ret_from_ns, ret_detail);
        if (status == STATUS_OK)
            walk_step(&place, &disk);
    }
    return status == STATUS_END ? STATUS_OK : status;
}

/* ---- dropping ---- */

/* As retention_choose says, but the snapshot at the new beginning is good. */
static size_t choose_good(const struct kept *kept, const struct retention_options *options,
                          struct retention_segment *segments, uint64_t now_ns,
                          uint64_t needed_from_ns)
{
    for (;;) {
        struct log_start start;
        const size_t first =
            retention_choose(options, segments, kept->segments.count, now_ns, needed_from_ns);
        if (first == 0 || snapshot_verify(kept, kept->segments.numbers[first], &start) == STATUS_OK)
            return first;
        segments[first].has_snapshot = false;
    }
}

/* ret_first: the index of the first segment to keep; 0: all stay. */
static enum status first_find(const struct kept *kept, const struct retention_options *options,
                              const struct durable *durable, const struct retention_need *need,
                              struct walk *walk, struct retention_segment *segments,
                              size_t *ret_first, struct detail *ret_detail)
{
    const uint64_t now_ns = durable->last_time_ns;
    uint64_t from_ns = retention_window_from(now_ns, need->window_ns);
    struct log_start start;
    *ret_first = 0;
    if (need->pinned.from_ns < from_ns)
        from_ns = need->pinned.from_ns;
    enum status status = segments_look(kept, walk, durable, segments, ret_detail);
    if (status != STATUS_OK ||
        retention_choose(options, segments, kept->segments.count, now_ns, from_ns) == 0 ||
        last_but_one(kept, &start) != STATUS_OK)
        return status;
    for (size_t i = 0; i < kept->segments.count; i++) /* the newest two stay */
        if (kept->segments.numbers[i] > start.chain.next_number)
            segments[i].has_snapshot = false;
    status = changes_look(walk, durable, &start, &from_ns, ret_detail);
    if (status == STATUS_OK)
        *ret_first = choose_good(kept, options, segments, now_ns, from_ns);
    return status;
}

enum status retention_apply(const char *directory, const struct retention_options *options,
                            const struct durable *durable, const struct retention_need *need,
                            uint32_t *ret_segments, struct detail *ret_detail)
{
    struct kept kept;
    struct walk walk = {.folder.fd = -1, .file.fd = -1};
    struct retention_segment *segments = NULL;
    size_t first = 0;
    *ret_segments = 0;
    enum status status = kept_read(&kept, directory, ret_detail);
    if (status != STATUS_OK || kept.segments.count < 2)
        goto out;
    segments = calloc(kept.segments.count, sizeof *segments);
    status = segments == NULL ? detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory")
                              : walk_init(&walk, directory, ret_detail);
    if (status == STATUS_OK)
        status = first_find(&kept, options, durable, need, &walk, segments, &first, ret_detail);
    if (status == STATUS_OK && first > 0) {
        if (!pin_drop_begin(need->pin, &need->pinned))
            goto out;
        status = segments_remove(&kept, first, ret_segments, ret_detail);
        pin_drop_end(need->pin);
    }
    for (size_t i = 0; status == STATUS_OK && i < kept.snapshots.count; i++)
        if (kept.snapshots.numbers[i] < kept.segments.numbers[first])
            status = snapshot_remove(directory, kept.snapshots.numbers[i], ret_detail);
out:
    walk_fini(&walk);
    free(segments);
    kept_fini(&kept);
    return status;
}

/* ---- where the log begins ---- */

static enum status first_read(const char *directory, uint64_t number, struct first_kept *ret_first,
                              struct detail *ret_detail)
{
    struct snapshot_reader *reader = NULL;
    struct slice genesis;
    enum status status = snapshot_reader_new(directory, number, &reader, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_take(reader, &genesis, ret_detail);
    if (status == STATUS_OK) {
        const struct image_source source = {.take = snapshot_take, .context = reader};
        status = state_image_read_policies(&source, ret_first->policy_text, ret_detail);
    }
    if (status == STATUS_OK) {
        const struct batch_chain *chain = &snapshot_header(reader)->start.chain;
        ret_first->event_id = chain->next_event_id;
        ret_first->rejection_id = chain->next_rejection_id;
    }
    snapshot_reader_destroy(&reader);
    return status;
}

enum status retention_first_kept(const char *directory, struct first_kept *ret_first,
                                 struct detail *ret_detail)
{
    struct kept kept;
    enum status status = kept_read(&kept, directory, ret_detail);
    if (status == STATUS_OK && (kept.segments.count == 0 || kept.segments.numbers[0] == 0))
        status = STATUS_NOT_FOUND;
    if (status == STATUS_OK)
        status = first_read(directory, kept.segments.numbers[0], ret_first, ret_detail);
    else if (status != STATUS_NOT_FOUND)
        status = status == STATUS_NO_MEMORY ? status : STATUS_IO;
    kept_fini(&kept);
    return status;
}
