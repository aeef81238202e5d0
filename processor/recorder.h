/* recorder: how refusals enter the log: one record each up to a rate, beyond it as summaries.
 *
 * A flood of refusals must not fill the disk: above records_per_s a refusal is only counted, in a
 * bounded table per (source, reason, policy, key), and each batch ends with a record per entry of
 * the table. When the table is full, or had RECORDER_SUMMARIES_PER_S entries in this second (many
 * small batches), further ones are counted per reason alone. So the sum of `count` over all records
 * is always exact, and a batch that is on disk holds all of its own. Owned by the core thread.
 * Pure: time comes in.
 */
#ifndef WEIR_PROCESSOR_RECORDER_H
#define WEIR_PROCESSOR_RECORDER_H

#include "common/wire/record.h"

enum {
    RECORDS_PER_S_DEFAULT = 10000,
    RECORDER_SUMMARIES_MAX = 256,      /* entries with their own source, policy and key */
    RECORDER_SUMMARIES_PER_S = 10000,  /* of such entries, over all batches */
    RECORDER_SUMMARY_BYTES_MAX = 1024, /* of one summary record */
    RECORDER_CLOSE_BYTES_MAX = (RECORDER_SUMMARIES_MAX + REASON_COUNT) * RECORDER_SUMMARY_BYTES_MAX,
};

struct recorder;

struct recorder *recorder_new(uint32_t records_per_s);
void recorder_destroy(struct recorder **recorder);

/* Takes a refusal: appends a record with id `rejection->rejection_id` to `records` and returns 1,
 * or counts it and returns 0. */
uint32_t recorder_take(struct recorder *recorder, const struct rejection *rejection,
                       struct buffer *records);

/* Appends a summary for each entry of the table, with ids from first_id on, and empties it. Returns
 * their number. */
uint32_t recorder_close(struct recorder *recorder, uint64_t first_id, uint64_t now_ns,
                        uint64_t after_event_id, struct buffer *records);
/* Would recorder_close append nothing? */
bool recorder_is_empty(const struct recorder *recorder);
/* Bytes that recorder_close will append, at most. */
size_t recorder_close_bytes(const struct recorder *recorder);

#endif
