/* Any bytes as the image of a state, whole and in pieces; what is read can be written again, and
 * comes back the same. */
#include <assert.h>

#include "processor/core/state_image.h"

struct pieces {
    struct slice bytes;
    size_t at, piece;
};

static enum status take(void *context, struct slice *ret_bytes, struct detail *ret_detail)
{
    (void)ret_detail;
    struct pieces *pieces = context;
    size_t left = pieces->bytes.size - pieces->at;
    size_t some = left < pieces->piece ? left : pieces->piece;
    if (left == 0)
        return STATUS_END;
    *ret_bytes = (struct slice){pieces->bytes.data + pieces->at, some};
    pieces->at += some;
    return STATUS_OK;
}

static enum status keep(void *buffer, struct slice bytes, struct detail *ret_detail)
{
    (void)ret_detail;
    buffer_append(buffer, bytes.data, bytes.size);
    return ((struct buffer *)buffer)->status;
}

static struct state *read_state(struct slice bytes, size_t piece)
{
    struct state *state = NULL;
    struct detail detail;
    struct hash_seed seed = state_seed(7);
    struct pieces pieces = {.bytes = bytes, .piece = piece};
    const struct image_source source = {.take = take, .context = &pieces};
    (void)!state_image_read(&source, &seed, &state, &detail);
    return state;
}

static void write_state(const struct state *state, struct buffer *buffer)
{
    struct detail detail;
    const struct image_sink sink = {.put = keep, .context = buffer};
    buffer_init(buffer, 64 * 1024 * 1024);
    enum status status = state_image_write(state, &sink, &detail);
    assert(status == STATUS_OK);
    (void)status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {data, size};
    struct state *state = read_state(bytes, SIZE_MAX), *pieced = read_state(bytes, 1);
    assert((state == NULL) == (pieced == NULL));
    if (state != NULL) {
        struct buffer image, again;
        write_state(state, &image);
        struct state *back = read_state(buffer_slice(&image), 3);
        assert(back != NULL && state_digest(back) == state_digest(state));
        write_state(back, &again);
        assert(slice_equal(buffer_slice(&image), buffer_slice(&again)));
        buffer_fini(&image);
        buffer_fini(&again);
        state_destroy(&back);
    }
    state_destroy(&state);
    state_destroy(&pieced);
    return 0;
}
