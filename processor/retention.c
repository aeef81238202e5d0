#include "processor/retention.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "processor/core/state_image.h"
#include "processor/store/snapshot.h"

struct kept {
    struct folder folder; /* of the segments */
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
    *kept = (struct kept){.folder.fd = -1};
    enum status status = folder_open(&kept->folder, directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = segment_list_read(&kept->segments, &kept->folder, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_list_read(&kept->snapshots, directory, ret_detail);
    return status;
}

/* Last time of what a snapshot stands for. */
static enum status snapshot_time(const char *directory, uint64_t number, uint64_t *ret_time_ns,
                                 struct detail *ret_detail)
{
    struct snapshot_reader *reader = NULL;
    const enum status status = snapshot_reader_new(directory, number, &reader, ret_detail);
    if (status == STATUS_OK)
        *ret_time_ns = snapshot_header(reader)->start.chain.last_time_ns;
    snapshot_reader_destroy(&reader);
    return status;
}

/* Every block of it. */
static enum status snapshot_verify(const char *directory, uint64_t number,
                                   struct detail *ret_detail)
{
    struct snapshot_reader *reader = NULL;
    struct slice block;
    enum status status = snapshot_reader_new(directory, number, &reader, ret_detail);
    while (status == STATUS_OK)
        status = snapshot_take(reader, &block, ret_detail);
    snapshot_reader_destroy(&reader);
    return status == STATUS_END ? STATUS_OK : status;
}

static uint64_t segment_bytes(const struct kept *kept, uint64_t number)
{
    char name[SEGMENT_NAME_BYTES];
    struct stat about;
    segment_name(number, name);
    return fstatat(kept->folder.fd, name, &about, 0) == 0 ? (uint64_t)about.st_size : 0;
}

/* Do the limits let what is below segment `index` go? */
static bool wanted(const struct kept *kept, const struct retention_options *options, size_t index,
                   uint64_t last_time_ns, uint64_t now_ns)
{
    uint64_t left = 0;
    for (size_t i = index; i < kept->segments.count; i++)
        left += segment_bytes(kept, kept->segments.numbers[i]);
    const bool full = options->bytes > 0 && left >= options->bytes;
    const bool old =
        options->for_ns > 0 && now_ns > options->for_ns && last_time_ns <= now_ns - options->for_ns;
    return full || old;
}

/* The highest segment whose predecessors may go; its index, or 0. */
static size_t find_first_to_keep(const struct kept *kept, const char *directory,
                                 const struct retention_options *options, uint64_t now_ns,
                                 uint64_t window_ns)
{
    const struct segment_list *snapshots = &kept->snapshots;
    uint64_t last_but_one_ns;
    if (snapshots->count < 2 || snapshot_time(directory, snapshots->numbers[snapshots->count - 2],
                                              &last_but_one_ns, NULL) != STATUS_OK)
        return 0;
    size_t segment = kept->segments.count;
    for (size_t i = snapshots->count - 1; i-- > 0;) {
        uint64_t time_ns;
        while (segment > 0 && kept->segments.numbers[segment - 1] > snapshots->numbers[i])
            segment--;
        if (segment < 2 || kept->segments.numbers[segment - 1] != snapshots->numbers[i])
            continue;
        if (snapshot_time(directory, snapshots->numbers[i], &time_ns, NULL) == STATUS_OK &&
            time_ns < last_but_one_ns && last_but_one_ns - time_ns >= window_ns &&
            wanted(kept, options, segment - 1, time_ns, now_ns) &&
            snapshot_verify(directory, snapshots->numbers[i], NULL) == STATUS_OK)
            return segment - 1;
    }
    return 0;
}

/* Oldest first, each gone for good before the next goes: the log never has a hole. */
static enum status segments_remove(const struct kept *kept, size_t count, struct detail *ret_detail)
{
    for (size_t i = 0; i < count; i++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(kept->segments.numbers[i], name);
        if (unlinkat(kept->folder.fd, name, 0) != 0)
            return detail_set(ret_detail, STATUS_IO, "%s/%s: cannot remove: %s", kept->folder.path,
                              name, strerror(errno));
        const enum status status = folder_sync(&kept->folder, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status retention_apply(const char *directory, const struct retention_options *options,
                            uint64_t now_ns, uint64_t window_ns, uint32_t *ret_segments,
                            struct detail *ret_detail)
{
    struct kept kept;
    *ret_segments = 0;
    enum status status = kept_read(&kept, directory, ret_detail);
    if (status == STATUS_OK && kept.segments.count > 1) {
        const size_t first = find_first_to_keep(&kept, directory, options, now_ns, window_ns);
        status = segments_remove(&kept, first, ret_detail);
        for (size_t i = 0; status == STATUS_OK && i < kept.snapshots.count; i++)
            if (kept.snapshots.numbers[i] < kept.segments.numbers[first])
                status = snapshot_remove(directory, kept.snapshots.numbers[i], ret_detail);
        *ret_segments = (uint32_t)first;
    }
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
