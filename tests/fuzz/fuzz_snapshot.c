/* Any bytes as the image of a state, whole and in pieces; what is read can be written again, and
 * comes back the same. */
#include <assert.h>

#include "tests/lib/image_memory.h"

static struct state *read_state(struct slice bytes, size_t piece)
{
    struct state *state = NULL;
    struct detail detail;
    struct hash_seed seed = state_seed(7);
    (void)!image_read(bytes, piece, &seed, &state, &detail);
    return state;
}

static void write_state(const struct state *state, struct buffer *buffer)
{
    struct detail detail;
    enum status status = image_write(state, buffer, &detail);
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
