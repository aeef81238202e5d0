/* roll: the sources of one batch, and which of their refused sequences no record has told of yet.
 *
 * Runs of refused sequences come in order. What a rejection record tells of is taken with
 * roll_take; what stands before the next record of a source and was not taken was summed up, and is
 * taken with roll_take_before. Belongs to one thread.
 */
#ifndef WEIR_PROCESSOR_TOOLS_ROLL_H
#define WEIR_PROCESSOR_TOOLS_ROLL_H

#include "processor/store/source_record.h"

struct roll;

struct roll *roll_new(void);
void roll_destroy(struct roll **roll);

/* A new batch. */
void roll_clear(struct roll *roll);
/* `source` is the slot in the state. OUT_OF_ORDER: it has been entered; NO_MEMORY. The record's
 * runs are borrowed. */
MUST_USE enum status roll_enter(struct roll *roll, uint32_t source,
                                const struct source_record *record);
bool roll_has(const struct roll *roll, uint32_t source);

/* The sequences `first` … `first + count − 1` are the next refused ones: takes them. */
bool roll_take(struct roll *roll, uint32_t source, uint64_t first, uint64_t count);
/* The refused sequences from `first`, the next without a verdict, up to `before`: takes them. False
 * when the next refused one is another. */
bool roll_take_before(struct roll *roll, uint32_t source, uint64_t first, uint64_t before,
                      struct refused_run *ret_run);

struct roll_entry {
    uint32_t source;
    uint64_t last_sequence;
    uint64_t left; /* refused sequences that were not taken, of the run at hand */
};
uint32_t roll_count(const struct roll *roll);
struct roll_entry roll_at(const struct roll *roll, uint32_t index);
/* How many were taken by roll_take_before, of all sources. */
uint64_t roll_untold(const struct roll *roll);

#endif
