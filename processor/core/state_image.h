/* state_image: the whole state as a byte string, and back.
 *
 * Canonical: two states in which the same counts give the same bytes, whatever they forgot on the
 * way and in which order their tables grew. So keys go in the order of their bytes, what has left a
 * window is left out, and equal stamps are one entry. Layout: docs/log-format.md, "Snapshots".
 *
 * A state may have hundreds of megabytes, so the bytes pass in pieces: pushed into a sink, pulled
 * out of a source. Pure: no I/O of its own. Bytes are from a disk: whatever they are, reading gives
 * a status.
 */
#ifndef WEIR_PROCESSOR_CORE_STATE_IMAGE_H
#define WEIR_PROCESSOR_CORE_STATE_IMAGE_H

#include "common/base/buffer.h"
#include "processor/core/state.h"

enum { IMAGE_PIECE_BYTES = 64 * 1024 }; /* what a sink gets at most */

struct image_sink {
    /* Takes the next bytes, which die with the call. A failure ends the writing. */
    enum status (*put)(void *context, struct slice bytes, struct detail *ret_detail);
    void *context;
};
/* Writes the state as of its last tick or decision. NO_MEMORY; what the sink returned. */
MUST_USE enum status state_image_write(const struct state *state, const struct image_sink *sink,
                                       struct detail *ret_detail);

struct image_source {
    /* Gives the next bytes, at least one; they live until the next call. END: none are left. */
    enum status (*take)(void *context, struct slice *ret_bytes, struct detail *ret_detail);
    void *context;
};
/* Makes the state that was written, narrowed to `only` (state_narrow) where that has data. `seed`
 * is the log's (state_seed). DAMAGED with the reason: no state was written so; NO_MEMORY; what the
 * source returned. */
MUST_USE enum status state_image_read(const struct image_source *source,
                                      const struct hash_seed *seed, struct slice only,
                                      struct state **ret_state, struct detail *ret_detail);

/* Only the policies' canonical text, from the beginning of an image. */
MUST_USE enum status state_image_read_policies(const struct image_source *source,
                                               char ret_text[POLICY_TEXT_BYTES_MAX],
                                               struct detail *ret_detail);

#endif
