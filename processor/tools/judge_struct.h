/* judge_struct: `struct judge` laid open for its files (judge*.c), and what they share. Nobody else
 * includes this.
 */
#ifndef WEIR_PROCESSOR_TOOLS_JUDGE_STRUCT_H
#define WEIR_PROCESSOR_TOOLS_JUDGE_STRUCT_H

#include "processor/core/admission.h"
#include "processor/tools/judge.h"
#include "processor/tools/proof.h"
#include "processor/tools/roll.h"

enum { WAIT_BYTES_MAX = 48 };

/* A report of a shadow policy that has to follow an acceptance. */
struct shadow_due {
    uint32_t policy;
    uint32_t key_at, key_bytes; /* in shadow_keys */
    uint64_t retry_after_ns;
};

struct judge {
    const char *directory;
    struct findings *findings;
    struct state *state;    /* NULL before the genesis */
    uint64_t proof_from_ns; /* before that, windows lack what is gone */
    struct proof *proof;
    struct roll *roll;
    struct decision decision;
    struct judge_result result;

    /* the batch at hand */
    const struct batch_view *batch;
    uint64_t now_ns;
    uint32_t last_source;        /* of the newest record; SOURCE_NONE: none */
    struct mp_reader rejections; /* behind `next` */
    struct slice next_bytes;
    struct rejection next; /* the next rejection, where has_next */
    bool has_next;
    uint64_t summed_up[REASON_COUNT]; /* refusals that records without sequences tell of */
    uint64_t shadows_missing;

    struct candidate group[PROOF_GROUP_MAX];
    struct accepted_record records[PROOF_GROUP_MAX];
    struct slice record_bytes[PROOF_GROUP_MAX];
    struct candidate refused; /* scratch */
    struct shadow_due shadows_due[POLICIES_MAX];
    uint32_t shadow_count, shadow_next;
    struct buffer shadow_keys;
    struct buffer key; /* scratch */
};

/* ---- judge.c ---- */

enum what { OF_BATCH, OF_EVENT, OF_REJECTION };

/* Writes a finding down; `id` is that of the event or rejection. */
void judge_found(struct judge *judge, enum what of, uint64_t id, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* The log cannot be followed any further: INVALID. */
enum status judge_lost(struct judge *judge, const char *what, struct detail *ret_detail);
/* Applies judge->decision. NO_MEMORY. */
MUST_USE enum status judge_apply(struct judge *judge, struct detail *ret_detail);
/* Time moves on to that of a record, which lies within those of its batch, in order. */
MUST_USE enum status judge_time_reach(struct judge *judge, enum what of, uint64_t id,
                                      uint64_t time_ns, struct detail *ret_detail);
void judge_wait_format(uint64_t wait_ns, char ret_text[WAIT_BYTES_MAX]);

/* ---- judge_sources.c ---- */

/* The slot of a record's source, which the batch must name. */
MUST_USE enum status judge_source_find(struct judge *judge, enum what of, uint64_t id,
                                       struct slice name, uint32_t *ret_source,
                                       struct detail *ret_detail);
/* Applies the summed-up refusals of a source before `sequence`, then says whether it is the next.
 */
MUST_USE enum status judge_sequence_reach(struct judge *judge, enum what of, uint64_t id,
                                          uint32_t source, uint64_t sequence,
                                          struct detail *ret_detail);
/* Before the records of a batch: its sources, with their epochs. */
MUST_USE enum status judge_sources_enter(struct judge *judge, struct detail *ret_detail);
/* Behind them: every source stands where its record says. */
MUST_USE enum status judge_sources_leave(struct judge *judge, struct detail *ret_detail);

/* ---- judge_rejections.c ---- */

/* Reads the next rejection ahead, so that it can be seen where it stands. */
MUST_USE enum status judge_rejection_read_next(struct judge *judge, struct detail *ret_detail);
/* Takes the rejections that stand before the event `event_id`. */
MUST_USE enum status judge_rejections_take(struct judge *judge, uint64_t event_id,
                                           struct detail *ret_detail);
/* What has to be reported of the acceptance in judge->decision. */
void judge_shadows_expect(struct judge *judge);
/* Behind an acceptance: what was not reported of it is missing. */
void judge_shadows_leave(struct judge *judge);

/* ---- judge_policies.c ---- */

/* The accepted record puts other policies in force. */
MUST_USE enum status judge_policies_change(struct judge *judge,
                                           const struct accepted_record *record,
                                           struct detail *ret_detail);

#endif
