#include "processor/tools/offline.h"

#include <stdlib.h>

#include "common/app/lifecycle.h"
#include "processor/verdict.h"

#define RECORD_INTERVAL_NS NS_PER_S

/* A source of the upload in this run. */
struct offline_source {
    uint64_t decided_before; /* its last sequence when it was met */
    uint32_t slot;           /* in the state; SOURCE_NONE: not there yet */
    bool met;
    bool open; /* its epoch was raised */
};

struct offline {
    struct offline_options options;
    struct draft draft;
    struct upload upload;
    struct offline_source sources[UPLOAD_SOURCES_MAX]; /* by the upload's index */
    uint32_t line_sources[BLOCK_LINES_MAX];            /* of the block at hand: the same index */
    struct candidate group[ADMISSION_GROUP_MAX];
    uint32_t group_count;
    bool record_is_old;       /* there are sources that it does not name */
    uint64_t mark_batch;      /* the mark is durable when this one is */
    uint64_t mark_due_ns;     /* CLOCK_BOOTTIME */
    struct upload_prefix end; /* of what was taken */
    uint64_t late, known;
};

struct offline *offline_new(struct service *service, struct state *state,
                            const struct offline_options *options, struct upload *upload)
{
    struct offline *offline = calloc(1, sizeof *offline);
    if (offline == NULL)
        return NULL;
    upload_init(&offline->upload);
    if (draft_init(&offline->draft, service, state) != STATUS_OK) {
        offline_destroy(&offline);
        return NULL;
    }
    offline->options = *options;
    offline->draft.offline = true;
    offline->draft.stop_fd = lifecycle_fd();
    offline->draft.now_ns = state_position(state).last_time_ns;
    upload_fini(&offline->upload);
    offline->upload = *upload;
    upload_init(upload);
    offline->end = offline->upload.saved;
    offline->mark_due_ns = clock_boot_ns() + RECORD_INTERVAL_NS;
    return offline;
}

void offline_destroy(struct offline **offline)
{
    if (*offline == NULL)
        return;
    draft_fini(&(*offline)->draft);
    upload_fini(&(*offline)->upload);
    free(*offline);
    *offline = NULL;
}

struct offline_counts offline_counts(const struct offline *offline)
{
    const struct counters *counters = &offline->draft.service->counters;
    struct offline_counts counts = {.accepted = counter_get(&counters->accepted),
                                    .late = offline->late,
                                    .known = offline->known};
    for (unsigned i = 0; i < REASON_COUNT; i++)
        counts.refused[i] = counter_get(&counters->refused[i]);
    return counts;
}

/* ---- sources ---- */

/* A source that somebody already used, with no record of this file: whose events are they? */
static enum status foreign_source(const struct offline *offline, const char *name,
                                  uint64_t last_sequence, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT,
                      "%s: source '%s' already has %llu events and no record of this file is at "
                      "hand: decide them as further events with --append, or under a new name "
                      "with --source NAME",
                      offline->options.path, name, (unsigned long long)last_sequence);
}

static enum status older_log(const struct offline *offline, const char *name,
                             struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT,
                      "source '%s': the log knows fewer events than its record: remove %s and go "
                      "on with --append",
                      name, upload_file_path(offline->options.record));
}

/* What is known of a source when its first line in this run comes. */
static enum status source_meet(struct offline *offline, struct slice name, uint32_t *ret_index,
                               struct detail *ret_detail)
{
    const struct state *state = offline->draft.state;
    struct upload *upload = &offline->upload;
    uint32_t slot = state_find_source(state, name);
    uint64_t last = slot == SOURCE_NONE ? 0 : state_source(state, slot).last_sequence;
    bool goes_on = offline->options.record == NULL || offline->options.append;
    *ret_index = upload_find(upload, name);
    if (*ret_index == UPLOAD_SOURCES_MAX) {
        enum status status = upload_add(upload, name, goes_on ? last : 0, ret_index);
        if (status != STATUS_OK)
            return detail_set(ret_detail, status == STATUS_FULL ? STATUS_BAD_INPUT : status,
                              "%s: more than %d sources", offline->options.path,
                              UPLOAD_SOURCES_MAX);
        if (!goes_on && last > 0)
            return foreign_source(offline, upload->sources[*ret_index].name, last, ret_detail);
        offline->record_is_old = true;
    }
    const struct upload_source *entry = &upload->sources[*ret_index];
    if (last < entry->base + entry->events_saved)
        return older_log(offline, entry->name, ret_detail);
    offline->sources[*ret_index] =
        (struct offline_source){.decided_before = last, .slot = slot, .met = true};
    return STATUS_OK;
}

/* Finds the sources of all lines of a block; those that are new are in the record before anything
 * is decided for them. */
static enum status sources_meet(struct offline *offline, const struct line_block *block,
                                struct detail *ret_detail)
{
    struct slice last = {0};
    uint32_t index = UPLOAD_SOURCES_MAX;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct block_line *line = &block->lines[i];
        if (line->event_bytes == 0)
            continue;
        struct slice name = block_slice(block, line->source_at, line->source_bytes);
        if (index == UPLOAD_SOURCES_MAX || !slice_equal(name, last))
            index = upload_find(&offline->upload, name);
        if (index == UPLOAD_SOURCES_MAX || !offline->sources[index].met) {
            enum status status = source_meet(offline, name, &index, ret_detail);
            if (status != STATUS_OK)
                return status;
        }
        offline->line_sources[i] = index;
        last = name;
    }
    if (offline->options.record == NULL || !offline->record_is_old)
        return STATUS_OK;
    offline->record_is_old = false;
    return upload_file_save(offline->options.record, &offline->upload, ret_detail);
}

/* ---- deciding ---- */

/* Room for the event, and its time. */
static bool draft_make_ready(struct offline *offline, const struct event *event)
{
    struct draft *draft = &offline->draft;
    if (!draft_has_room(draft, event->raw.size))
        return false;
    if (event->occurred_at_ns > draft->now_ns)
        draft_stamp_at(draft, event->occurred_at_ns);
    return true;
}

static bool source_touch(struct offline *offline, uint32_t slot)
{
    struct draft *draft = &offline->draft;
    if (ledger_touch(draft->ledger, draft->state, slot) == STATUS_OK)
        return true;
    draft_fail(draft, "no memory for the verdicts of a batch");
    return false;
}

/* Decides what the group holds, in order. False when the process is to end. */
static bool group_decide(struct offline *offline)
{
    struct draft *draft = &offline->draft;
    for (uint32_t i = 0; i < offline->group_count; i++)
        admission_prefetch(draft->state, &offline->group[i]);
    for (uint32_t i = 0; i < offline->group_count; i++)
        admission_prefetch_windows(draft->state, &offline->group[i]);
    for (uint32_t i = 0; i < offline->group_count; i++) {
        const struct candidate *candidate = &offline->group[i];
        if (!draft_make_ready(offline, &candidate->event) ||
            !source_touch(offline, candidate->source))
            return false;
        if (candidate->event.occurred_at_ns < draft->now_ns)
            offline->late++;
        (void)verdict_reach(draft, candidate);
    }
    offline->group_count = 0;
    return true;
}

/* Raises the epoch of a source, at the time of its first event. */
static bool source_open(struct offline *offline, uint32_t index, const struct event *event)
{
    struct draft *draft = &offline->draft;
    struct offline_source *source = &offline->sources[index];
    struct slice name = slice_of_text(offline->upload.sources[index].name);
    if (!group_decide(offline) || !draft_make_ready(offline, event))
        return false;
    if (admission_hello(draft->state, name, draft->now_ns, &draft->decision) != STATUS_OK) {
        draft_fail(draft, "the table of sources is full");
        return false;
    }
    draft_apply(draft);
    source->slot = state_find_source(draft->state, name);
    source->open = true;
    return source->slot != SOURCE_NONE && source_touch(offline, source->slot);
}

static bool line_take(struct offline *offline, const struct line_block *block, uint32_t i)
{
    uint32_t index = offline->line_sources[i];
    const struct offline_source *source = &offline->sources[index];
    struct upload_source *entry = &offline->upload.sources[index];
    const struct block_line *line = &block->lines[i];
    entry->events_read++;
    if (upload_sequence(entry) <= source->decided_before) {
        offline->known++;
        return true;
    }
    struct candidate *candidate = &offline->group[offline->group_count];
    struct mp_reader reader = mp_reader_of(block_slice(block, line->event_at, line->event_bytes));
    if (event_read_stored(&reader, &candidate->event) != STATUS_OK) {
        draft_fail(&offline->draft, "an event of its own cannot be read");
        return false;
    }
    struct event event = candidate->event; /* opening the source empties the group */
    if (!source->open && !source_open(offline, index, &event))
        return false;
    candidate = &offline->group[offline->group_count++];
    candidate->event = event;
    candidate->source_name = slice_of_text(entry->name);
    candidate->source = source->slot;
    candidate->sequence = upload_sequence(entry);
    admission_prepare(offline->draft.state, candidate);
    return offline->group_count < ADMISSION_GROUP_MAX || group_decide(offline);
}

/* ---- the record ---- */

/* Notes how far the file is taken, and writes it once it is durable. */
static enum status record_keep(struct offline *offline, struct detail *ret_detail)
{
    struct upload *upload = &offline->upload;
    if (offline->options.record == NULL)
        return STATUS_OK;
    uint64_t now_ns = clock_boot_ns();
    if (!upload->is_marked && now_ns >= offline->mark_due_ns) {
        upload_mark(upload, &offline->end);
        offline->mark_batch = offline->draft.next_batch;
        offline->mark_due_ns = now_ns + RECORD_INTERVAL_NS;
    }
    if (!upload->is_marked ||
        log_durable(offline->draft.service->log).last_batch < offline->mark_batch)
        return STATUS_OK;
    upload_save_mark(upload);
    return upload_file_save(offline->options.record, upload, ret_detail);
}

static enum status failure_of(const struct offline *offline, struct detail *ret_detail)
{
    const struct service *service = offline->draft.service;
    enum status status = (enum status)atomic_load(&service->failure);
    if (status == STATUS_OK)
        return detail_set(ret_detail, STATUS_INTERRUPTED, "asked to stop");
    *ret_detail = service->failure_detail;
    return status;
}

enum status offline_take(struct offline *offline, const struct line_block *block,
                         struct detail *ret_detail)
{
    enum status status = sources_meet(offline, block, ret_detail);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < block->count; i++)
        if (block->lines[i].event_bytes > 0 && !line_take(offline, block, i))
            return failure_of(offline, ret_detail);
    if (!group_decide(offline))
        return failure_of(offline, ret_detail);
    offline->end = block->end;
    return record_keep(offline, ret_detail);
}

void offline_seal(struct offline *offline)
{
    struct draft *draft = &offline->draft;
    if (draft->batch != NULL && !draft_failing(draft))
        draft_seal(draft);
    queue_close(draft->service->to_commit);
}

/* Somebody else used a source in the meantime: some lines were taken for decided and are not. */
static enum status sources_check(const struct offline *offline, struct detail *ret_detail)
{
    for (uint32_t i = 0; i < offline->upload.source_count; i++) {
        const struct upload_source *entry = &offline->upload.sources[i];
        const struct offline_source *source = &offline->sources[i];
        bool foreign = source->met && upload_sequence(entry) < source->decided_before;
        if (foreign && entry->events_read > entry->events_saved)
            return foreign_source(offline, entry->name, source->decided_before, ret_detail);
    }
    return STATUS_OK;
}

enum status offline_finish(struct offline *offline, bool over, struct detail *ret_detail)
{
    enum status status = over ? sources_check(offline, ret_detail) : STATUS_OK;
    if (status != STATUS_OK || offline->options.record == NULL ||
        offline->end.bytes == offline->upload.saved.bytes)
        return status;
    upload_mark(&offline->upload, &offline->end);
    upload_save_mark(&offline->upload);
    return upload_file_save(offline->options.record, &offline->upload, ret_detail);
}
