#include "processor/recall.h"

#include <inttypes.h>

#include "common/base/logger.h"
#include "processor/core/state_image.h"
#include "processor/store/reader.h"
#include "processor/store/snapshot.h"

/* ---- one snapshot ---- */

static bool is_behind(const struct log_start *start, struct fold_end end)
{
    return start->chain.next_event_id - 1 > end.event_id || start->chain.last_time_ns > end.time_ns;
}

/* Reads the state out of an open snapshot into a new recovery. */
static enum status snapshot_load(const char *directory, struct snapshot_reader *reader,
                                 struct recovery **ret_recovery, struct detail *ret_detail)
{
    const struct batch_chain *chain = &snapshot_header(reader)->start.chain;
    const struct image_source source = {.take = snapshot_take, .context = reader};
    const struct hash_seed seed = state_seed(chain->salt);
    struct recovery *recovery = recovery_new(directory);
    struct state *state = NULL;
    struct slice genesis;
    if (recovery == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    enum status status = snapshot_take(reader, &genesis, ret_detail);
    if (status == STATUS_OK)
        status = recovery_resume(recovery, genesis, NULL, ret_detail);
    if (status == STATUS_OK)
        status = state_image_read(&source, &seed, &state, ret_detail);
    if (status == STATUS_OK && chain->state_digest != 0 &&
        state_digest(state) != chain->state_digest)
        status = detail_set(ret_detail, STATUS_DAMAGED, "its digest is not that of its state");
    if (status == STATUS_OK)
        status = recovery_resume(recovery, recovery_genesis_record(recovery), state, ret_detail);
    if (status != STATUS_OK) {
        state_destroy(&state);
        recovery_destroy(&recovery);
        return status;
    }
    *ret_recovery = recovery;
    return STATUS_OK;
}

/* END: it stands behind `end`. Else it is good, or says why not. */
static enum status snapshot_try(const char *directory, const struct folder *log, uint64_t number,
                                struct fold_end end, struct recovery **ret_recovery,
                                struct log_start *ret_start, uint64_t *ret_bytes,
                                struct detail *ret_detail)
{
    struct snapshot_reader *reader = NULL;
    enum status status = snapshot_reader_new(directory, number, &reader, ret_detail);
    if (status != STATUS_OK)
        return status;
    const struct log_start start = snapshot_header(reader)->start;
    if (is_behind(&start, end))
        status = STATUS_END;
    if (status == STATUS_OK)
        status = scan_start_check(log, &start, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_load(directory, reader, ret_recovery, ret_detail);
    if (status == STATUS_OK) {
        *ret_start = start;
        *ret_bytes = snapshot_bytes(reader);
    }
    snapshot_reader_destroy(&reader);
    return status;
}

/* ---- the best of them ---- */

/* NOT_FOUND: none is good. */
static enum status snapshots_try(const char *directory, const struct folder *log,
                                 struct fold_end end, struct recovery **ret_recovery,
                                 struct log_start *ret_start, uint64_t *ret_bytes,
                                 struct detail *ret_detail)
{
    struct segment_list list = {0};
    enum status status = snapshot_list_read(&list, directory, ret_detail);
    if (status == STATUS_OK)
        status = STATUS_NOT_FOUND;
    for (size_t i = list.count; i > 0 && status == STATUS_NOT_FOUND; i--) {
        struct detail reason = {""};
        enum status tried = snapshot_try(directory, log, list.numbers[i - 1], end, ret_recovery,
                                         ret_start, ret_bytes, &reason);
        if (tried == STATUS_OK)
            status = STATUS_OK;
        else if (tried == STATUS_NO_MEMORY)
            status = detail_set(ret_detail, tried, "%s", reason.text);
        else if (tried != STATUS_END)
            log_warn("a snapshot cannot be used: going on with the one before",
                     "snapshot=%" PRIu64 " why=\"%s\"", list.numbers[i - 1], reason.text);
    }
    segment_list_fini(&list);
    return status;
}

/* GONE where the log's first segment is not its beginning. */
static enum status expect_beginning(const struct folder *log, struct detail *ret_detail)
{
    struct segment_list list = {0};
    enum status status = segment_list_read(&list, log, ret_detail);
    if (status == STATUS_OK && list.count > 0 && list.numbers[0] != 0)
        status = detail_set(ret_detail, STATUS_GONE,
                            "%s: the log begins with batch %" PRIu64
                            " (what was before is no longer kept), and no good snapshot says what "
                            "the state was there",
                            log->path, list.numbers[0]);
    segment_list_fini(&list);
    return status;
}

enum status recall_begin(const char *directory, struct fold_end end, struct recovery **ret_recovery,
                         struct log_start *ret_start, uint64_t *ret_snapshot_bytes,
                         struct detail *ret_detail)
{
    struct folder log = {.fd = -1};
    uint64_t bytes = 0;
    *ret_start = (struct log_start){0};
    enum status status = folder_open(&log, directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = snapshots_try(directory, &log, end, ret_recovery, ret_start, &bytes, ret_detail);
    if (status == STATUS_NOT_FOUND) {
        status = log.fd < 0 ? STATUS_OK : expect_beginning(&log, ret_detail);
        struct recovery *recovery = status == STATUS_OK ? recovery_new(directory) : NULL;
        if (status == STATUS_OK && recovery == NULL)
            status = detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
        if (status == STATUS_OK)
            *ret_recovery = recovery;
    }
    folder_close(&log);
    if (status == STATUS_OK && ret_snapshot_bytes != NULL)
        *ret_snapshot_bytes = bytes;
    return status;
}

enum status recall_state(const char *directory, const struct durable *durable, struct fold_end end,
                         struct state **ret_state, struct detail *ret_detail)
{
    struct recovery *recovery = NULL;
    struct reader *reader = NULL;
    struct log_start start;
    enum status status = recall_begin(directory, end, &recovery, &start, NULL, ret_detail);
    if (status == STATUS_OK)
        status = reader_new(directory, &reader, ret_detail);
    if (status == STATUS_OK) {
        recovery_end_at(recovery, end);
        status = reader_follow(reader, durable, &start, recovery_visit, recovery, ret_detail);
    }
    if (status == STATUS_OK)
        status = recovery_finish(recovery, ret_detail);
    else if (status == STATUS_END)
        status = STATUS_OK;
    if (status == STATUS_OK)
        *ret_state = recovery_take_state(recovery);
    reader_destroy(&reader);
    recovery_destroy(&recovery);
    return status;
}
