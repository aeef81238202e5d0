#include "processor/tools/judge_struct.h"

#include <inttypes.h>

/* Applies the summed-up refusals of a source before `sequence`, then says whether it is the next.
 */
enum status judge_sequence_reach(struct judge *judge, enum what of, uint64_t id, uint32_t source,
                                 uint64_t sequence, struct detail *ret_detail)
{
    struct refused_run run;
    while (roll_take_before(judge->roll, source,
                            state_source(judge->state, source).last_sequence + 1, sequence, &run)) {
        admission_refuse(judge->state, source, run.first, run.count, REASON_RATE_LIMITED,
                         judge->now_ns, &judge->decision);
        enum status status = judge_apply(judge, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    uint64_t last = state_source(judge->state, source).last_sequence;
    if (last + 1 == sequence)
        return STATUS_OK;
    struct slice name = state_source(judge->state, source).name;
    judge_found(judge, of, id, "sequence %" PRIu64 " of source %.*s %s %" PRIu64, sequence,
                (int)name.size, (const char *)name.data,
                sequence <= last ? "has a verdict already: the last one is"
                                 : "is not the next: the last one with a verdict is",
                last);
    return detail_set(ret_detail, STATUS_INVALID, "the sequences of a source do not follow");
}

/* The slot of a record's source, which the batch must name. */
enum status judge_source_find(struct judge *judge, enum what of, uint64_t id, struct slice name,
                              uint32_t *ret_source, struct detail *ret_detail)
{
    /* Mostly the same as the one before: that saves a look into the table. */
    if (judge->last_source == SOURCE_NONE ||
        !slice_equal(state_source(judge->state, judge->last_source).name, name))
        judge->last_source = state_find_source(judge->state, name);
    *ret_source = judge->last_source;
    if (*ret_source != SOURCE_NONE && roll_has(judge->roll, *ret_source))
        return STATUS_OK;
    judge_found(judge, of, id, "its source %.*s is not among those of its batch", (int)name.size,
                (const char *)name.data);
    return detail_set(ret_detail, STATUS_INVALID, "a record's source is not in its batch");
}

static enum status source_enter(struct judge *judge, const struct source_record *record,
                                struct detail *ret_detail)
{
    uint32_t source = state_find_source(judge->state, record->source);
    uint64_t epoch = source == SOURCE_NONE ? 0 : state_source(judge->state, source).epoch;
    if (record->epoch < epoch || record->epoch == 0)
        judge_found(
            judge, OF_BATCH, 0, "the epoch of source %.*s goes back from %" PRIu64 " to %" PRIu64,
            (int)record->source.size, (const char *)record->source.data, epoch, record->epoch);
    if (source == SOURCE_NONE || record->epoch > epoch) {
        judge->decision = (struct decision){.kind = DECISION_HELLO,
                                            .time_ns = judge->now_ns,
                                            .source = source,
                                            .name = record->source,
                                            .epoch = record->epoch};
        enum status status = judge_apply(judge, ret_detail);
        if (status != STATUS_OK)
            return status;
        source = state_find_source(judge->state, record->source);
    }
    enum status status = roll_enter(judge->roll, source, record);
    if (status == STATUS_OUT_OF_ORDER)
        return judge_lost(judge, "a source stands twice in it", ret_detail);
    return status == STATUS_OK ? STATUS_OK : detail_set(ret_detail, status, "out of memory");
}

enum status judge_sources_enter(struct judge *judge, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(judge->batch->sources);
    roll_clear(judge->roll);
    while (!mp_at_end(&reader)) {
        struct source_record record;
        if (source_record_read(&reader, &record) != STATUS_OK)
            return judge_lost(judge, "a source record cannot be read", ret_detail);
        enum status status = source_enter(judge, &record, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Behind all records: every source stands where its record says. */
enum status judge_sources_leave(struct judge *judge, struct detail *ret_detail)
{
    for (uint32_t i = 0; i < roll_count(judge->roll); i++) {
        struct roll_entry entry = roll_at(judge->roll, i);
        if (entry.last_sequence == state_source(judge->state, entry.source).last_sequence &&
            entry.left == 0)
            continue;
        enum status status = judge_sequence_reach(judge, OF_BATCH, 0, entry.source,
                                                  entry.last_sequence + 1, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (roll_at(judge->roll, i).left > 0)
            return judge_lost(judge, "a refused sequence of a source is not the next", ret_detail);
    }
    uint64_t told = 0;
    for (unsigned i = 0; i < REASON_COUNT; i++)
        told += i == REASON_SHADOW ? 0 : judge->summed_up[i];
    if (roll_untold(judge->roll) > told)
        judge_found(judge, OF_BATCH, 0,
                    "%" PRIu64
                    " sequences were refused without a record, and summaries tell of %" PRIu64,
                    roll_untold(judge->roll), told);
    if (judge->shadows_missing > judge->summed_up[REASON_SHADOW])
        judge_found(judge, OF_BATCH, 0,
                    "%" PRIu64
                    " reports of shadow policies are missing, and summaries tell of %" PRIu64,
                    judge->shadows_missing, judge->summed_up[REASON_SHADOW]);
    return STATUS_OK;
}
