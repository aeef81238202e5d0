/* packed_row: the rows of a view one after another in few bytes, for snapshots. Pure.
 *
 *     shared u8 │ rest u16 │ rest bytes of the key │ for each eight bytes of the value: n u8, n
 * bytes
 *
 * The key is the first `shared` bytes of the key before and the rest: sorted keys have most bytes
 * in common. Of each eight bytes of the value those behind the last that is not 0 are left out, for
 * most numbers are small. Little-endian. Bytes are from a disk: whatever they are, the answer is a
 * status.
 */
#ifndef WEIR_PROJECTOR_CORE_PACKED_ROW_H
#define WEIR_PROJECTOR_CORE_PACKED_ROW_H

#include "projector/core/rows.h"

enum {
    PACKED_WORD_BYTES = 8, /* of the value, taken together */
    PACKED_VALUE_WORDS_MAX = ROW_VALUE_BYTES_MAX / PACKED_WORD_BYTES,
    PACKED_ROW_BYTES_MAX = 1 + 2 + ROW_KEY_BYTES_MAX + PACKED_WORD_BYTES +
                           PACKED_VALUE_WORDS_MAX * (1 + PACKED_WORD_BYTES),
};

/* Writes a row at `at`, where PACKED_ROW_BYTES_MAX are free, and returns the next free byte.
 * `before` is the key of the row before, of the first one empty. The value is read up to a multiple
 * of PACKED_WORD_BYTES. */
uint8_t *packed_row_put(uint8_t *at, struct slice before, struct slice key, struct slice value);

struct packed_row {
    size_t key_bytes; /* 0: before the first row */
    uint8_t key[ROW_KEY_BYTES_MAX];
    uint8_t value[ROW_VALUE_BYTES_MAX];
};

/* Reads one row with a value of `value_bytes` and moves past it. `row` is the one before, and then
 * this one. MALFORMED. */
MUST_USE enum status packed_row_read(struct slice *packed, size_t value_bytes,
                                     struct packed_row *row);

#endif
