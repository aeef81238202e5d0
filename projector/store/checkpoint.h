/* checkpoint: how far a view is in the database: a row of weir_checkpoints, written in the
 * transaction that writes the view's rows, under a checksum of its own.
 *
 * Views of any kind use it; each has one, so a view that joins later begins at the log's beginning
 * while the others stand where they are.
 */
#ifndef WEIR_PROJECTOR_STORE_CHECKPOINT_H
#define WEIR_PROJECTOR_STORE_CHECKPOINT_H

#include "common/wire/control.h"
#include "projector/core/fold.h"
#include "projector/store/store.h"

enum {
    CHECKPOINT_STREAMS = 2,
    CHECKPOINT_KIND_BYTES_MAX = 16,
    CHECKPOINT_FORMAT_BYTES_MAX = 33,
};

struct checkpoint {
    char kind[CHECKPOINT_KIND_BYTES_MAX];     /* "built-in", "sql" */
    char format[CHECKPOINT_FORMAT_BYTES_MAX]; /* of the view; another one: it is made anew */
    struct log_id log_id;
    struct fold_position position;
    uint64_t anchors[CHECKPOINT_STREAMS]; /* by enum stream; as struct follow_side has them */
    uint64_t since;       /* event id that the view began with; 1: the log's beginning */
    uint64_t left_out;    /* as rows_left_out */
    struct digest digest; /* of the rows; 0 for a view that has none */
    const char *policy;   /* INI text in force at the position; never NULL */
};

/* Writes or replaces the checkpoint of `view`; inside the transaction of its rows. */
MUST_USE enum status checkpoint_write(struct store *store, const char *view,
                                      const struct checkpoint *checkpoint,
                                      struct detail *ret_detail);
/* Reads it; `ret_policy` (POLICY_TEXT_BYTES_MAX bytes) is what ret_checkpoint->policy points at.
 * NOT_FOUND: there is none. DAMAGED: it fails its checksum. */
MUST_USE enum status checkpoint_read(struct store *store, const char *view,
                                     struct checkpoint *ret_checkpoint, char *ret_policy,
                                     struct detail *ret_detail);
/* Nothing if there is none. */
MUST_USE enum status checkpoint_remove(struct store *store, const char *view,
                                       struct detail *ret_detail);

#endif
