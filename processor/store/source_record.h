/* source_record: what a batch says about a source it touched: its epoch, last sequence, and which
 * sequences of this batch were refused. MessagePack, one after another in the batch's `sources`
 * part:
 *
 *     [source, epoch, last_sequence, [first, count, first, count, …]]      runs of refused
 * sequences, ascending
 */
#ifndef WEIR_PROCESSOR_STORE_SOURCE_RECORD_H
#define WEIR_PROCESSOR_STORE_SOURCE_RECORD_H

#include "common/event/mp.h"
#include "common/wire/record.h"

struct refused_run {
    uint64_t first;
    uint64_t count;
};

struct source_record {
    struct slice source;
    uint64_t epoch;
    uint64_t last_sequence;
    uint32_t run_count;
    struct mp_reader runs; /* run_count times refused_run_read */
};

void source_record_write(struct buffer *buffer, struct slice source, uint64_t epoch,
                         uint64_t last_sequence, const struct refused_run *runs,
                         uint32_t run_count);
MUST_USE enum status source_record_read(struct mp_reader *reader, struct source_record *ret_record);
MUST_USE enum status refused_run_read(struct mp_reader *reader, struct refused_run *ret_run);

/* The genesis record, payload of batch 0: [1, log_id, created_at, policy_text]. */
struct genesis {
    struct log_id log_id;
    uint64_t created_at_ns;
    struct slice policy_text; /* canonical INI; empty: no limits */
};
void genesis_write(struct buffer *buffer, const struct genesis *genesis);
MUST_USE enum status genesis_read(struct slice payload, struct genesis *ret_genesis);

#endif
