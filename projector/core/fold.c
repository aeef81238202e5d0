#include "projector/core/fold.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_CHANGED_TYPE   "weir.policy_changed"
#define POLICY_CHANGED_SOURCE "weir"
#define POLICY_CHANGED_FIELD  "text"

struct fold {
    struct fold_position position;
    struct policy_set *policies; /* in force at the position */
    const struct view_type *types[FOLD_VIEWS_MAX];
    struct rows *rows[FOLD_VIEWS_MAX];
    uint32_t view_count;
    const uint8_t *last_record; /* where the record read last begins */
    union {                     /* the group that is being applied */
        struct accepted_record accepted[VIEW_GROUP_MAX];
        struct rejection rejected[VIEW_GROUP_MAX];
    } group;
};

enum status fold_new(const struct fold_options *options, struct fold **ret_fold,
                     struct detail *ret_detail)
{
    assert(options->type_count <= FOLD_VIEWS_MAX);
    enum status status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the views");
    struct fold *fold = calloc(1, sizeof *fold);
    if (fold == NULL)
        return status;
    fold->policies = calloc(1, sizeof *fold->policies);
    if (fold->policies == NULL)
        goto out;
    for (uint32_t i = 0; i < options->type_count; i++) {
        fold->types[i] = options->types[i];
        fold->rows[i] = rows_new(fold->types[i], &options->seed, ROWS_MAX);
        if (fold->rows[i] == NULL)
            goto out;
        fold->view_count++;
    }
    status =
        policy_set_parse(options->policy, "the log's first policy", fold->policies, ret_detail);
out:
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
    free((*fold)->policies);
    free(*fold);
    *fold = NULL;
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

static void show_accepted(struct fold *fold, uint32_t count)
{
    struct view_context context = {.policies = fold->policies};
    for (uint32_t i = 0; i < fold->view_count && count > 0; i++)
        if (fold->types[i]->apply_accepted != NULL)
            fold->types[i]->apply_accepted(fold->rows[i], &context, fold->group.accepted, count);
}

static void show_rejected(struct fold *fold, uint32_t count)
{
    struct view_context context = {.policies = fold->policies};
    for (uint32_t i = 0; i < fold->view_count && count > 0; i++)
        if (fold->types[i]->apply_rejected != NULL)
            fold->types[i]->apply_rejected(fold->rows[i], &context, fold->group.rejected, count);
}

/* Reads and applies one group of at most `max` records; a change of policy ends it, so that one
 * policy is in force for all of it. */
static enum status accepted_group(struct fold *fold, struct mp_reader *reader, uint64_t max,
                                  uint32_t *ret_count, struct detail *ret_detail)
{
    uint32_t count = 0;
    bool change = false;
    while (count < VIEW_GROUP_MAX && count < max && !change) {
        struct accepted_record *record = &fold->group.accepted[count];
        fold->last_record = reader->at;
        if (accepted_record_read(reader, record) != STATUS_OK ||
            record->event_id != fold->position.event_id + 1)
            return damaged(ret_detail, STREAM_ACCEPTED, fold->position.event_id + 1);
        fold->position.event_id++;
        count++;
        change = changes_policy(record);
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

enum status fold_apply(struct fold *fold, enum stream stream, struct slice records, uint64_t count,
                       uint64_t *ret_last_hash, struct detail *ret_detail)
{
    assert(count > 0);
    struct mp_reader reader = mp_reader_of(records);
    enum status status = STATUS_OK;
    uint32_t group = 0;
    for (uint64_t left = count; left > 0 && status == STATUS_OK; left -= group)
        status = stream == STREAM_ACCEPTED
                     ? accepted_group(fold, &reader, left, &group, ret_detail)
                     : rejected_group(fold, &reader, left, &group, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (!mp_at_end(&reader))
        return detail_set(ret_detail, STATUS_DAMAGED, "bytes behind the last %s record",
                          stream_text(stream));
    *ret_last_hash = hash_content(0, fold->last_record, (size_t)(reader.at - fold->last_record));
    return STATUS_OK;
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

uint32_t fold_view_find(const struct fold *fold, struct slice name)
{
    uint32_t view = 0;
    while (view < fold->view_count && !slice_equal_text(name, fold->types[view]->name))
        view++;
    return view;
}

uint64_t fold_left_out(const struct fold *fold)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < fold->view_count; i++)
        sum += rows_left_out(fold->rows[i]);
    return sum;
}
