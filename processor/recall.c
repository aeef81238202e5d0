#include "processor/recall.h"

#include <inttypes.h>

#include "common/base/logger.h"
#include "processor/core/state_image.h"
#include "processor/store/reader.h"
#include "processor/store/snapshot.h"

/* What is looked through for a snapshot, and what of it is wanted. */
struct search {
    const char *directory; /* the store's */
    struct folder log;
    struct fold_end end;
    struct slice only; /* as in state_narrow */
    bool quietly;      /* nothing is said of those that are passed over */
};

/* ---- one snapshot ---- */

static bool is_behind(const struct log_start *start, struct fold_end end)
{
    return start->chain.next_event_id - 1 > end.event_id || start->chain.last_time_ns > end.time_ns;
}

/* Reads the state out of an open snapshot into a new recovery. */
static enum status snapshot_load(const struct search *search, struct snapshot_reader *reader,
                                 struct recovery **ret_recovery, struct detail *ret_detail)
{
    const struct batch_chain *chain = &snapshot_header(reader)->start.chain;
    const struct image_source source = {.take = snapshot_take, .context = reader};
    const struct hash_seed seed = state_seed(chain->salt);
    struct recovery *recovery = recovery_new(search->directory);
    struct state *state = NULL;
    struct slice genesis;
    if (recovery == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    enum status status = snapshot_take(reader, &genesis, ret_detail);
    if (status == STATUS_OK)
        status = recovery_resume(recovery, genesis, NULL, ret_detail);
    if (status == STATUS_OK)
        status = state_image_read(&source, &seed, search->only, &state, ret_detail);
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

/* END: it stands behind the end. Else it is good, or says why not. */
static enum status snapshot_try(const struct search *search, uint64_t number,
                                struct recall *ret_recall, struct detail *ret_detail)
{
    struct snapshot_reader *reader = NULL;
    struct recovery *recovery = NULL;
    enum status status = snapshot_reader_new(search->directory, number, &reader, ret_detail);
    if (status != STATUS_OK)
        return status;
    const struct log_start start = snapshot_header(reader)->start;
    if (is_behind(&start, search->end))
        status = STATUS_END;
    if (status == STATUS_OK)
        status = scan_start_check(&search->log, &start, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_load(search, reader, &recovery, ret_detail);
    if (status == STATUS_OK)
        *ret_recall = (struct recall){
            .recovery = recovery, .start = start, .snapshot_bytes = snapshot_bytes(reader)};
    snapshot_reader_destroy(&reader);
    return status;
}

enum status recall_snapshot(const char *directory, uint64_t number, struct recall *ret_recall,
                            struct detail *ret_detail)
{
    struct search search = {.directory = directory, .log.fd = -1, .end = FOLD_END_NONE};
    enum status status = folder_open(&search.log, directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_try(&search, number, ret_recall, ret_detail);
    folder_close(&search.log);
    return status;
}

/* ---- the best of them ---- */

/* Does it stand behind the end? One that cannot be read is for snapshot_try to tell of. */
static bool number_is_behind(const struct search *search, uint64_t number)
{
    struct snapshot_reader *reader = NULL;
    const bool behind =
        snapshot_reader_new(search->directory, number, &reader, NULL) == STATUS_OK &&
        is_behind(&snapshot_header(reader)->start, search->end);
    snapshot_reader_destroy(&reader);
    return behind;
}

/* How many of the ascending snapshots are not known to stand behind the end. */
static size_t count_before(const struct search *search, const struct segment_list *list)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (number_is_behind(search, list->numbers[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* NOT_FOUND: none is good. */
static enum status snapshots_try(const struct search *search, struct recall *ret_recall,
                                 struct detail *ret_detail)
{
    struct segment_list list = {0};
    enum status status = snapshot_list_read(&list, search->directory, ret_detail);
    if (status == STATUS_OK)
        status = STATUS_NOT_FOUND;
    for (size_t i = count_before(search, &list); i > 0 && status == STATUS_NOT_FOUND; i--) {
        struct detail reason = {""};
        enum status tried = snapshot_try(search, list.numbers[i - 1], ret_recall, &reason);
        if (tried == STATUS_OK)
            status = STATUS_OK;
        else if (tried == STATUS_NO_MEMORY)
            status = detail_set(ret_detail, tried, "%s", reason.text);
        else if (tried != STATUS_END && !search->quietly)
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

static enum status begin_with_the_log(const struct search *search, struct recall *ret_recall,
                                      struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    if (search->log.fd >= 0)
        status = expect_beginning(&search->log, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct recovery *recovery = recovery_new(search->directory);
    if (recovery == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    recovery_narrow(recovery, search->only);
    *ret_recall = (struct recall){.recovery = recovery};
    return STATUS_OK;
}

static enum status begin(struct search *search, struct recall *ret_recall,
                         struct detail *ret_detail)
{
    enum status status =
        folder_open(&search->log, search->directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = snapshots_try(search, ret_recall, ret_detail);
    if (status == STATUS_NOT_FOUND)
        status = begin_with_the_log(search, ret_recall, ret_detail);
    folder_close(&search->log);
    return status;
}

enum status recall_begin(const char *directory, struct fold_end end, bool quietly,
                         struct recall *ret_recall, struct detail *ret_detail)
{
    struct search search = {.directory = directory, .log.fd = -1, .end = end, .quietly = quietly};
    return begin(&search, ret_recall, ret_detail);
}

/* Why recall_begin found no beginning for `end`, where that is before all that is kept. */
static void tell_first_kept(const char *directory, const struct durable *durable,
                            struct fold_end end, struct detail *ret_detail)
{
    struct reader *reader = NULL;
    struct batch_header first;
    if (reader_new(directory, &reader, NULL) == STATUS_OK &&
        reader_first(reader, durable, &first, NULL) == STATUS_OK &&
        ((end.event_id < first.first_event_id && end.event_id + 1 < first.first_event_id) ||
         end.time_ns < first.first_time_ns))
        detail_write(ret_detail,
                     "what the state was then is no longer kept: the first event that is kept is "
                     "%" PRIu64,
                     first.first_event_id);
    reader_destroy(&reader);
}

/* With `only`, the state is narrow. UNAVAILABLE: the narrow fold came upon other policies. */
static enum status fold_to(const char *directory, const struct durable *durable,
                           struct fold_end end, struct slice only, struct state **ret_state,
                           struct detail *ret_detail)
{
    struct search search = {.directory = directory, .log.fd = -1, .end = end, .only = only};
    struct recall recall = {.recovery = NULL};
    struct reader *reader = NULL;
    enum status status = begin(&search, &recall, ret_detail);
    if (status == STATUS_GONE)
        tell_first_kept(directory, durable, end, ret_detail);
    if (status == STATUS_OK)
        status = reader_new(directory, &reader, ret_detail);
    if (status == STATUS_OK) {
        recovery_end_at(recall.recovery, end);
        status = reader_follow(reader, durable, &recall.start, recovery_visit, recall.recovery,
                               ret_detail);
    }
    if (status == STATUS_OK)
        status = recovery_finish(recall.recovery, ret_detail);
    else if (status == STATUS_END)
        status = STATUS_OK;
    if (status == STATUS_OK)
        *ret_state = recovery_take_state(recall.recovery);
    reader_destroy(&reader);
    recovery_destroy(&recall.recovery);
    return status;
}

enum status recall_state(const char *directory, const struct durable *durable, struct fold_end end,
                         struct slice key, struct state **ret_state, struct detail *ret_detail)
{
    enum status status = fold_to(directory, durable, end, key, ret_state, ret_detail);
    if (status == STATUS_UNAVAILABLE && key.data != NULL)
        status = fold_to(directory, durable, end, (struct slice){0}, ret_state, ret_detail);
    return status;
}
