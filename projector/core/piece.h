/* piece: records of one stream as a message or a replay brought them, used up from the front. Pure.
 *
 * The bytes are borrowed and come from the wire: what is not a whole record is DAMAGED. Whether
 * they are the records that were announced is for fold_apply to find out.
 */
#ifndef WEIR_PROJECTOR_CORE_PIECE_H
#define WEIR_PROJECTOR_CORE_PIECE_H

#include "common/base/buffer.h"

struct piece {
    struct slice records; /* those that are left */
    uint64_t count;       /* how many they are */
};

/* Cuts the first `count` ≤ piece->count records off. All that are left: what is behind them, too.
 */
MUST_USE enum status piece_cut(struct piece *piece, uint64_t count, struct slice *ret_records);
/* Passes over `count` of 1 … piece->count records; `ret_hash` is hash_content of the last. */
MUST_USE enum status piece_pass_over(struct piece *piece, uint64_t count, uint64_t *ret_hash);
/* Rejections: the after_event_id of the last, of count ≥ 1. */
MUST_USE enum status piece_last_after(const struct piece *piece, uint64_t *ret_event_id);
/* Rejections: how many come before the first whose after_event_id is ≥ `event_id`. */
MUST_USE enum status piece_count_below(const struct piece *piece, uint64_t event_id,
                                       uint64_t *ret_count);

#endif
