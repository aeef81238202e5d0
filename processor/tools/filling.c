#include "processor/tools/filling.h"

#include <inttypes.h>

#include "common/wire/record.h"

struct search {
    const struct policy *policy;
    const struct policy_key_value *key;
    uint64_t last_id; /* of the state */
    struct window_walk walk;
    uint64_t stamp_ns; /* the next one of the window, where has_stamp */
    bool has_stamp;
    struct filling filling;
};

/* The first stamp that is not before `time_ns`. */
static void stamp_reach(struct search *search, uint64_t time_ns)
{
    uint64_t cost;
    while (search->has_stamp && search->stamp_ns < time_ns)
        search->has_stamp = window_walk_next(&search->walk, &search->stamp_ns, &cost);
}

/* Does its window hold one of the stamps? */
static enum reader_wish wish(void *context, const struct batch_header *header)
{
    struct search *search = context;
    stamp_reach(search, header->first_time_ns);
    if (!search->has_stamp || header->first_event_id > search->last_id)
        return READER_STOP;
    return search->stamp_ns <= header->last_time_ns ? READER_TAKE : READER_PASS;
}

static bool key_equal(const struct policy_key_value *a, const struct policy_key_value *b)
{
    if (a->is_text != b->is_text)
        return false;
    return a->is_text ? slice_equal(a->text, b->text)
                      : a->bits == b->bits && a->is_negative == b->is_negative;
}

static void note(struct search *search, const struct accepted_record *record)
{
    struct charge charge;
    if (policy_matches(search->policy, record->event.type) &&
        policy_charge(search->policy, record->source, &record->event, &charge, NULL) == STATUS_OK &&
        charge.cost > 0 && key_equal(&charge.key, search->key))
        search->filling.ids[search->filling.count++ % FILLING_SHOWN] = record->event_id;
}

/* A log_visit_fn. */
static enum status visit(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct search *search = context;
    struct mp_reader reader = mp_reader_of(batch->accepted);
    while (batch->header.kind == BATCH_ORDINARY && !mp_at_end(&reader)) {
        struct accepted_record record;
        if (accepted_record_read(&reader, &record) != STATUS_OK)
            return detail_set(ret_detail, STATUS_DAMAGED,
                              "batch %" PRIu64 ": an accepted record cannot be read",
                              batch->header.number);
        if (record.event_id > search->last_id)
            return STATUS_OK;
        stamp_reach(search, record.accepted_at_ns);
        if (search->has_stamp && search->stamp_ns == record.accepted_at_ns)
            note(search, &record);
    }
    return STATUS_OK;
}

enum status filling_find(struct reader *reader, const struct durable *durable,
                         const struct state *state, uint32_t policy, const struct explain_key *key,
                         struct filling *ret_filling, struct detail *ret_detail)
{
    struct search search = {.policy = &state_policies(state)->items[policy],
                            .key = &key->key,
                            .last_id = state_position(state).last_event_id};
    const struct reader_choice choice = {.wish = wish, .visit = visit, .context = &search};
    struct policy_key_value same;
    struct batch_header first;
    enum status status = reader_first(reader, durable, &first, ret_detail);
    if (status != STATUS_OK)
        return status;
    search.filling.gone = first.number > 0 && key->oldest_ns < first.first_time_ns;
    search.has_stamp = explain_slot_walk(state, policy, key->slot, &same, &search.walk);
    stamp_reach(&search, key->oldest_ns);
    status = reader_visit_chosen(reader, durable, key->oldest_ns, &choice, ret_detail);
    if (status == STATUS_OK)
        *ret_filling = search.filling;
    return status;
}
