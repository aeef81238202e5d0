#include "processor/tools/judge_struct.h"

#include <stdlib.h>

#include "processor/policy_change.h"
#include "processor/store/reader.h"

static enum status proof_fill_visit(void *proof, const struct batch_view *batch,
                                    struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(batch->accepted);
    while (batch->header.kind == BATCH_ORDINARY && !mp_at_end(&reader)) {
        struct accepted_record record;
        if (accepted_record_read(&reader, &record) != STATUS_OK)
            return detail_set(ret_detail, STATUS_DAMAGED, "an accepted record cannot be read");
        if (proof_fill(proof, &record) != STATUS_OK)
            return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

/* The proof's windows under other policies, from the log. A policy that stays is filled as well,
 * and may reach back to what is gone. */
static enum status proof_change(struct judge *judge, const struct change_place *place,
                                const struct policy_set *policies, struct detail *ret_detail)
{
    struct reader *reader = NULL;
    struct batch_header first = {0};
    judge->proof_from_ns = 0;
    if (proof_set_policies(judge->proof, policies) != STATUS_OK)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    uint64_t length_ns = proof_longest_window_ns(judge->proof);
    uint64_t from_ns = place->now_ns >= length_ns ? place->now_ns - length_ns + 1 : 0;
    if (length_ns == 0)
        return STATUS_OK;
    enum status status = reader_new(place->directory, &reader, ret_detail);
    if (status == STATUS_OK)
        status = reader_first(reader, &place->end, &first, ret_detail);
    if (status == STATUS_OK)
        status =
            reader_visit(reader, &place->end, from_ns, proof_fill_visit, judge->proof, ret_detail);
    if (status == STATUS_OK && first.number > 0 && first.first_time_ns >= from_ns)
        judge->proof_from_ns = first.first_time_ns + length_ns;
    reader_destroy(&reader);
    return status;
}

enum status judge_policies_change(struct judge *judge, const struct accepted_record *record,
                                  struct detail *ret_detail)
{
    struct policy_set *policies;
    struct window_fill *fill = NULL;
    const struct batch_header *header = &judge->batch->header;
    const struct change_place place = {.directory = judge->directory,
                                       .end = {.last_batch = header->number,
                                               .last_event_id = header->first_event_id,
                                               .last_rejection_id = header->first_rejection_id - 1,
                                               .last_time_ns = header->last_time_ns,
                                               .segment = judge->batch->segment,
                                               .offset = judge->batch->end_offset},
                                       .now_ns = record->accepted_at_ns};
    if (header->event_count != 1)
        return judge_lost(judge, "a policy change is not alone in it", ret_detail);
    enum status status = policy_change_read(&record->event, &policies, ret_detail);
    if (status != STATUS_OK)
        return status == STATUS_NO_MEMORY
                   ? status
                   : judge_lost(judge, "its policies cannot be read", ret_detail);
    status = policy_change_fill(&place, judge->state, policies, &fill, ret_detail);
    if (status == STATUS_OK) {
        window_fill_decide(fill, judge->now_ns, &judge->decision);
        status = judge_apply(judge, ret_detail);
    }
    window_fill_destroy(&fill);
    if (status == STATUS_OK)
        status = proof_change(judge, &place, policies, ret_detail);
    free(policies);
    return status;
}
