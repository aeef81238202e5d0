#include "projector/core/fold.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/event/upcast/upcast.h"

#define POLICY_CHANGED_TYPE   "weir.policy_changed"
#define POLICY_CHANGED_SOURCE "weir"
#define POLICY_CHANGED_FIELD  "text"

struct fold {
    struct fold_position position;
    uint64_t since;                 /* what is before changes policies only */
    uint64_t anchors[FOLD_STREAMS]; /* hashes of the last records */
    struct policy_set *policies;    /* in force at the position */
    const struct view_type *types[FOLD_VIEWS_MAX];
    struct rows *rows[FOLD_VIEWS_MAX];
    struct fold_mark starts[FOLD_VIEWS_MAX]; /* a view is shown what is behind its start */
    uint32_t view_count;
    uint64_t next_start[FOLD_STREAMS]; /* the next id at which a view starts; UINT64_MAX: none */
    struct fold_guest guest;           /* accepted NULL: there is none */
    const uint8_t *last_record;        /* where the record read last begins */
    struct buffer migrated;            /* data of the group's events of old schema versions */
    uint64_t not_migrated;             /* events that could not be, and … */
    uint64_t not_migrated_id;          /* … the last of them */
    union {                            /* the group that is being applied */
        struct accepted_record accepted[VIEW_GROUP_MAX];
        struct rejection rejected[VIEW_GROUP_MAX];
    } group;
};

/* --- where views start --- */

static uint64_t mark_id(const struct fold_mark *mark, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? mark->position.event_id : mark->position.rejection_id;
}

static uint64_t position_id(const struct fold *fold, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? fold->position.event_id : fold->position.rejection_id;
}

static void find_next_start(struct fold *fold, enum stream stream)
{
    fold->next_start[stream] = UINT64_MAX;
    for (uint32_t i = 0; i < fold->view_count; i++) {
        uint64_t id = mark_id(&fold->starts[i], stream);
        if (id > position_id(fold, stream) && id < fold->next_start[stream])
            fold->next_start[stream] = id;
    }
}

/* The lowest start of each stream is where the fold begins. */
static void begin_stream(struct fold *fold, enum stream stream, uint64_t *ret_id)
{
    const struct fold_mark *lowest = &fold->starts[0];
    for (uint32_t i = 1; i < fold->view_count; i++)
        if (mark_id(&fold->starts[i], stream) < mark_id(lowest, stream))
            lowest = &fold->starts[i];
    *ret_id = mark_id(lowest, stream);
    fold->anchors[stream] = lowest->anchors[stream];
}

static const char *begin(struct fold *fold, const struct fold_options *options)
{
    const char *policy = options->policy;
    if (fold->view_count == 0 && options->starts != NULL)
        fold->position = options->starts[0].mark.position;
    if (fold->view_count == 0)
        return policy;
    begin_stream(fold, STREAM_ACCEPTED, &fold->position.event_id);
    begin_stream(fold, STREAM_REJECTED, &fold->position.rejection_id);
    fold->position.time_ns = UINT64_MAX;
    for (uint32_t i = 0; i < fold->view_count; i++) {
        const struct fold_position *start = &fold->starts[i].position;
        if (start->time_ns < fold->position.time_ns)
            fold->position.time_ns = start->time_ns;
        if (start->event_id == fold->position.event_id && start->event_id > 0)
            policy = options->starts[i].policy;
    }
    return policy;
}

/* A record at which a view starts must be the one that the view has seen. */
static enum status reach_start(struct fold *fold, enum stream stream, uint64_t hash,
                               struct detail *ret_detail)
{
    uint64_t id = position_id(fold, stream);
    for (uint32_t i = 0; i < fold->view_count; i++) {
        uint64_t anchor = fold->starts[i].anchors[stream];
        if (mark_id(&fold->starts[i], stream) == id && anchor != 0 && anchor != hash)
            return detail_set(ret_detail, STATUS_DAMAGED,
                              "the log now holds another %s record %" PRIu64
                              " than the one that view %s has seen: it lost what was published",
                              stream_text(stream), id, fold->types[i]->name);
    }
    find_next_start(fold, stream);
    return STATUS_OK;
}

/* --- lifecycle --- */

static enum status take_view(struct fold *fold, const struct fold_options *options, uint32_t view)
{
    fold->types[view] = options->types[view];
    struct fold_start *start = options->starts != NULL ? &options->starts[view] : NULL;
    if (start != NULL)
        fold->starts[view] = start->mark;
    if (start != NULL && start->rows != NULL) {
        fold->rows[view] = start->rows;
        start->rows = NULL;
    } else {
        fold->rows[view] = rows_new(fold->types[view], &options->seed, ROWS_MAX);
    }
    if (fold->rows[view] == NULL)
        return STATUS_NO_MEMORY;
    fold->view_count++;
    return STATUS_OK;
}

enum status fold_new(const struct fold_options *options, struct fold **ret_fold,
                     struct detail *ret_detail)
{
    assert(options->type_count <= FOLD_VIEWS_MAX);
    enum status status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the views");
    struct fold *fold = calloc(1, sizeof *fold);
    if (fold == NULL)
        return status;
    fold->since = options->since > 1 ? options->since : 1;
    buffer_init(&fold->migrated, (size_t)VIEW_GROUP_MAX * UPCAST_DATA_BYTES_MAX);
    fold->policies = calloc(1, sizeof *fold->policies);
    if (fold->policies == NULL)
        goto out;
    for (uint32_t i = 0; i < options->type_count; i++)
        if (take_view(fold, options, i) != STATUS_OK)
            goto out;
    status = upcast_check(upcasts, upcast_count, ret_detail);
    if (status != STATUS_OK)
        goto out;
    status = policy_set_parse(begin(fold, options), "the log's policy", fold->policies, ret_detail);
    find_next_start(fold, STREAM_ACCEPTED);
    find_next_start(fold, STREAM_REJECTED);
out:
    for (uint32_t i = 0; options->starts != NULL && i < options->type_count; i++)
        rows_destroy(&options->starts[i].rows);
    if (status == STATUS_OK)
        *ret_fold = fold;
    else
        fold_destroy(&fold);
    return status;
}

void fold_destroy(struct fold **fold)
{
    if (*fold == NULL)
        return;
    for (uint32_t i = 0; i < (*fold)->view_count; i++)
        rows_destroy(&(*fold)->rows[i]);
    buffer_fini(&(*fold)->migrated);
    free((*fold)->policies);
    free(*fold);
    *fold = NULL;
}

void fold_invite(struct fold *fold, const struct fold_guest *guest)
{
    fold->guest = *guest;
}

const struct fold_guest *fold_guest(const struct fold *fold)
{
    return fold->guest.accepted != NULL ? &fold->guest : NULL;
}

static enum status damaged(struct detail *ret_detail, enum stream stream, uint64_t id)
{
    return detail_set(ret_detail, STATUS_DAMAGED,
                      "what came for %s record %" PRIu64 " is not that record", stream_text(stream),
                      id);
}

static void pass_time(struct fold *fold, uint64_t time_ns)
{
    if (fold->position.time_ns < time_ns)
        fold->position.time_ns = time_ns;
}

/* --- policies --- */

static bool changes_policy(const struct accepted_record *record)
{
    return slice_equal_text(record->event.type, POLICY_CHANGED_TYPE) &&
           slice_equal_text(record->source, POLICY_CHANGED_SOURCE);
}

static enum status change_policy(struct fold *fold, const struct accepted_record *record,
                                 struct detail *ret_detail)
{
    struct mp_reader value;
    struct slice found;
    if (event_field(record->event.data, slice_of_text(POLICY_CHANGED_FIELD), &value) != STATUS_OK ||
        mp_read_text(&value, &found) != STATUS_OK || found.size >= POLICY_TEXT_BYTES_MAX)
        return damaged(ret_detail, STREAM_ACCEPTED, record->event_id);
    char *text = malloc(found.size + 1);
    if (text == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a policy");
    memcpy(text, found.data, found.size);
    text[found.size] = '\0';
    enum status status = policy_set_parse(text, "a policy in the log", fold->policies, ret_detail);
    free(text);
    return status;
}

/* --- applying --- */

/* The events of the group from `since` on. */
static void show_accepted(struct fold *fold, uint32_t count)
{
    struct view_context context = {.policies = fold->policies};
    const struct accepted_record *group = fold->group.accepted;
    for (; count > 0 && group->event_id < fold->since; count--)
        group++;
    uint64_t last = fold->position.event_id;
    for (uint32_t i = 0; i < fold->view_count && count > 0; i++)
        if (fold->types[i]->apply_accepted != NULL && last > fold->starts[i].position.event_id)
            fold->types[i]->apply_accepted(fold->rows[i], &context, group, count);
    if (fold->guest.accepted != NULL && count > 0)
        fold->guest.accepted(fold->guest.owner, group, count);
}

/* The rejections of the group that are not from before event `since` − 1. */
static void show_rejected(struct fold *fold, uint32_t count)
{
    struct view_context context = {.policies = fold->policies};
    const struct rejection *group = fold->group.rejected;
    for (; count > 0 && group->after_event_id < fold->since - 1; count--)
        group++;
    uint64_t last = fold->position.rejection_id;
    for (uint32_t i = 0; i < fold->view_count && count > 0; i++)
        if (fold->types[i]->apply_rejected != NULL && last > fold->starts[i].position.rejection_id)
            fold->types[i]->apply_rejected(fold->rows[i], &context, group, count);
}

/* Old schema versions become new ones before a view sees them. One that cannot be migrated is shown
 * as it is, and counted: a bad event must not stop the others. */
static void migrate(struct fold *fold, struct accepted_record *record)
{
    struct detail ignored;
    if (fold->migrated.capacity == 0 &&
        buffer_reserve(&fold->migrated, fold->migrated.bytes_max) != STATUS_OK)
        return;
    if (upcast_event(&record->event, &fold->migrated, &ignored) != STATUS_OK) {
        fold->not_migrated++;
        fold->not_migrated_id = record->event_id;
    }
}

/* Reads and applies one group of at most `max` records; a change of policy ends it, so that one
 * policy is in force for all of it, and so does the start of a view, so that a view is shown all of
 * it or nothing. */
static enum status accepted_group(struct fold *fold, struct mp_reader *reader, uint64_t max,
                                  uint32_t *ret_count, struct detail *ret_detail)
{
    uint32_t count = 0;
    bool change = false;
    fold->migrated.size = 0;
    while (count < VIEW_GROUP_MAX && count < max && !change) {
        struct accepted_record *record = &fold->group.accepted[count];
        fold->last_record = reader->at;
        if (accepted_record_read(reader, record) != STATUS_OK ||
            record->event_id != fold->position.event_id + 1)
            return damaged(ret_detail, STREAM_ACCEPTED, fold->position.event_id + 1);
        fold->position.event_id++;
        count++;
        change = changes_policy(record);
        migrate(fold, record);
    }
    const struct accepted_record *last = &fold->group.accepted[count - 1];
    pass_time(fold, last->accepted_at_ns);
    show_accepted(fold, count);
    *ret_count = count;
    return change ? change_policy(fold, last, ret_detail) : STATUS_OK;
}

static enum status rejected_group(struct fold *fold, struct mp_reader *reader, uint64_t max,
                                  uint32_t *ret_count, struct detail *ret_detail)
{
    uint32_t count = 0;
    while (count < VIEW_GROUP_MAX && count < max) {
        struct rejection *record = &fold->group.rejected[count];
        fold->last_record = reader->at;
        if (rejection_read(reader, record) != STATUS_OK ||
            record->rejection_id != fold->position.rejection_id + 1)
            return damaged(ret_detail, STREAM_REJECTED, fold->position.rejection_id + 1);
        fold->position.rejection_id++;
        count++;
    }
    pass_time(fold, fold->group.rejected[count - 1].rejected_at_ns);
    show_rejected(fold, count);
    *ret_count = count;
    return STATUS_OK;
}

static uint64_t last_hash(const struct fold *fold, const struct mp_reader *reader)
{
    return hash_content(0, fold->last_record, (size_t)(reader->at - fold->last_record));
}

enum status fold_apply(struct fold *fold, enum stream stream, struct slice records, uint64_t count,
                       uint64_t *ret_last_hash, struct detail *ret_detail)
{
    assert(count > 0);
    struct mp_reader reader = mp_reader_of(records);
    enum status status = STATUS_OK;
    uint32_t group = 0;
    for (uint64_t left = count; left > 0 && status == STATUS_OK; left -= group) {
        uint64_t to_start = fold->next_start[stream] - position_id(fold, stream);
        uint64_t max = left < to_start ? left : to_start;
        status = stream == STREAM_ACCEPTED ? accepted_group(fold, &reader, max, &group, ret_detail)
                                           : rejected_group(fold, &reader, max, &group, ret_detail);
        if (status == STATUS_OK && group == to_start)
            status = reach_start(fold, stream, last_hash(fold, &reader), ret_detail);
    }
    if (status != STATUS_OK)
        return status;
    if (!mp_at_end(&reader))
        return detail_set(ret_detail, STATUS_DAMAGED, "bytes behind the last %s record",
                          stream_text(stream));
    fold->anchors[stream] = *ret_last_hash = last_hash(fold, &reader);
    return STATUS_OK;
}

struct fold_mark fold_mark(const struct fold *fold)
{
    return (struct fold_mark){.position = fold->position,
                              .anchors = {fold->anchors[0], fold->anchors[1]}};
}

const char *fold_policy(const struct fold *fold)
{
    return fold->policies->text;
}

uint64_t fold_since(const struct fold *fold)
{
    return fold->since;
}

struct fold_position fold_position(const struct fold *fold)
{
    return fold->position;
}

/* --- views --- */

uint32_t fold_view_count(const struct fold *fold)
{
    return fold->view_count;
}

const struct view_type *fold_view_type(const struct fold *fold, uint32_t view)
{
    return fold->types[view];
}

struct rows *fold_view_rows(struct fold *fold, uint32_t view)
{
    return fold->rows[view];
}

bool fold_view_is_ahead(const struct fold *fold, uint32_t view)
{
    const struct fold_position *start = &fold->starts[view].position;
    return start->event_id > fold->position.event_id ||
           start->rejection_id > fold->position.rejection_id;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct fold_position fold_view_position(const struct fold *fold, uint32_t view)
{
    const struct fold_position *start = &fold->starts[view].position;
    return (struct fold_position){.event_id = larger(start->event_id, fold->position.event_id),
                                  .rejection_id =
                                      larger(start->rejection_id, fold->position.rejection_id),
                                  .time_ns = larger(start->time_ns, fold->position.time_ns)};
}

uint32_t fold_view_find(const struct fold *fold, struct slice name)
{
    uint32_t view = 0;
    while (view < fold->view_count && !slice_equal_text(name, fold->types[view]->name))
        view++;
    return view;
}

bool fold_view_text(const struct fold *fold, struct slice name, struct slice *ret_text)
{
    const struct fold_guest *guest = fold_guest(fold);
    *ret_text = (struct slice){NULL, 0};
    if (fold_view_find(fold, name) < fold->view_count)
        return true;
    for (uint32_t i = 0; guest != NULL && i < guest->count(guest->owner); i++)
        if (slice_equal_text(name, guest->name(guest->owner, i)))
            *ret_text = guest->text(guest->owner, i);
    return ret_text->size > 0;
}

uint64_t fold_left_out(const struct fold *fold)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < fold->view_count; i++)
        sum += rows_left_out(fold->rows[i]);
    return sum;
}

uint64_t fold_not_migrated(const struct fold *fold, uint64_t *ret_last_id)
{
    *ret_last_id = fold->not_migrated_id;
    return fold->not_migrated;
}
