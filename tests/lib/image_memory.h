/* image_memory: the image of a state in memory, where a test writes it and reads it back. */
#ifndef WEIR_TESTS_LIB_IMAGE_MEMORY_H
#define WEIR_TESTS_LIB_IMAGE_MEMORY_H

#include "processor/core/state_image.h"

enum { IMAGE_BYTES_MAX = 64 * 1024 * 1024 };

static inline enum status image_keep(void *buffer, struct slice bytes, struct detail *ret_detail)
{
    (void)ret_detail;
    buffer_append(buffer, bytes.data, bytes.size);
    return ((struct buffer *)buffer)->status;
}

/* Initialises the buffer and writes into it. */
static inline enum status image_write(const struct state *state, struct buffer *buffer,
                                      struct detail *ret_detail)
{
    const struct image_sink sink = {.put = image_keep, .context = buffer};
    buffer_init(buffer, IMAGE_BYTES_MAX);
    return state_image_write(state, &sink, ret_detail);
}

/* Bytes that are given out in pieces. */
struct image_pieces {
    struct slice left;
    size_t piece; /* bytes of the next one */
};

/* The sizes are odd ones, so that every item is cut somewhere. */
static inline enum status image_take(void *context, struct slice *ret_bytes,
                                     struct detail *ret_detail)
{
    (void)ret_detail;
    struct image_pieces *pieces = context;
    struct slice left = pieces->left;
    if (left.size == 0)
        return STATUS_END;
    size_t some = pieces->piece < left.size ? pieces->piece : left.size;
    *ret_bytes = (struct slice){left.data, some};
    pieces->left = (struct slice){left.data + some, left.size - some};
    pieces->piece = pieces->piece % 13 + 1;
    return STATUS_OK;
}

/* `piece`: bytes of the first one; SIZE_MAX: the whole. */
static inline enum status image_read(struct slice bytes, size_t piece, const struct hash_seed *seed,
                                     struct state **ret_state, struct detail *ret_detail)
{
    struct image_pieces pieces = {.left = bytes, .piece = piece};
    const struct image_source source = {.take = image_take, .context = &pieces};
    return state_image_read(&source, seed, (struct slice){0}, ret_state, ret_detail);
}

#endif
