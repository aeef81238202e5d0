/* The image of a state: what is folded on from it is what the whole log gives, byte for byte,
 * wherever it was taken; and no bytes that are not an image become a state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "processor/store/reader.h"
#include "tests/lib/image_memory.h"
#include "tests/lib/seed.h"
#include "tests/unit/processor/shell_fixture.h"
#include "tests/unit/processor/traffic.h"

/* ---- images in memory ---- */

static void image_of(const struct state *state, struct buffer *buffer)
{
    struct detail detail;
    assert_int_equal(image_write(state, buffer, &detail), STATUS_OK);
}

static enum status read_back(struct slice bytes, const struct hash_seed *seed,
                             struct state **ret_state)
{
    struct detail detail;
    return image_read(bytes, 1, seed, ret_state, &detail);
}

/* ---- every place of a log ---- */

struct every {
    struct recovery *whole;     /* folded from the beginning */
    struct recovery **restored; /* from the image behind batch i, and on */
    struct shell *shell;
    uint32_t count, every_nth;
};

static enum status visit(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct every *every = context;
    assert_int_equal(recovery_visit(every->whole, batch, ret_detail), STATUS_OK);
    for (uint32_t i = 0; i < every->count; i++)
        assert_int_equal(recovery_visit(every->restored[i], batch, ret_detail), STATUS_OK);
    if (batch->header.number % every->every_nth != 0)
        return STATUS_OK;
    struct buffer image;
    struct state *state;
    struct hash_seed seed = state_seed(batch->salt);
    image_of(recovery_state(every->whole), &image);
    assert_int_equal(read_back(buffer_slice(&image), &seed, &state), STATUS_OK);
    assert_true(state_digest(state) == state_digest(recovery_state(every->whole)));
    buffer_fini(&image);
    every->restored = realloc(every->restored, (every->count + 1) * sizeof(struct recovery *));
    assert_non_null(every->restored);
    struct recovery *recovery = recovery_new(every->shell->folder);
    assert_int_equal(
        recovery_resume(recovery, recovery_genesis_record(every->whole), state, ret_detail),
        STATUS_OK);
    every->restored[every->count++] = recovery;
    return STATUS_OK;
}

static void image_and_tail_equal_the_whole(uint64_t seed)
{
    static struct shell shell;
    struct traffic traffic;
    print_message("WEIR_SEED=%llu\n", (unsigned long long)seed);
    shell_open(&shell, traffic_policies, UINT32_MAX);
    shell_run(&shell);
    traffic_init(&traffic, &shell, seed);
    for (int i = 0; i < 150; i++)
        traffic_step(&traffic);
    shell_stop(&shell);

    struct detail detail;
    struct reader *reader;
    struct log_start start = {0};
    struct durable durable = log_durable(shell.service.log);
    struct every every = {.whole = recovery_new(shell.folder), .shell = &shell, .every_nth = 7};
    assert_int_equal(reader_new(shell.folder, &reader, &detail), STATUS_OK);
    assert_int_equal(reader_follow(reader, &durable, &start, visit, &every, &detail), STATUS_OK);
    assert_int_equal(start.chain.next_number, durable.last_batch + 1);
    assert_true(every.count > 1);
    struct buffer whole, part;
    image_of(recovery_state(every.whole), &whole);
    for (uint32_t i = 0; i < every.count; i++) {
        image_of(recovery_state(every.restored[i]), &part);
        assert_true(slice_equal(buffer_slice(&whole), buffer_slice(&part)));
        buffer_fini(&part);
        recovery_destroy(&every.restored[i]);
    }
    buffer_fini(&whole);
    free(every.restored);
    recovery_destroy(&every.whole);
    reader_destroy(&reader);
    traffic_fini(&traffic);
    shell_close(&shell);
}

static void whatever_is_folded_on_from_an_image_equals_the_whole(void **test_state)
{
    (void)test_state;
    uint64_t seed = test_number("WEIR_SEED", 1), rounds = test_number("WEIR_ROUNDS", 2);
    for (uint64_t i = 0; i < rounds; i++)
        image_and_tail_equal_the_whole(seed + i);
}

/* ---- bytes that are no image ---- */

static void no_flipped_or_missing_byte_does_harm(void **test_state)
{
    (void)test_state;
    static struct shell shell;
    struct traffic traffic;
    shell_open(&shell, traffic_policies, UINT32_MAX);
    shell_run(&shell);
    traffic_init(&traffic, &shell, 5);
    for (int i = 0; i < 4; i++)
        traffic_step(&traffic);
    shell_stop(&shell);
    struct buffer image, again;
    struct hash_seed seed = state_seed(1);
    struct state *state;
    image_of(shell.state, &image);
    for (size_t size = 0; size < image.size; size++)
        assert_int_equal(read_back((struct slice){image.data, size}, &seed, &state),
                         STATUS_DAMAGED);
    uint64_t passed = 0;
    for (size_t i = 0; i < image.size * 8; i++) {
        image.data[i / 8] ^= (uint8_t)(1u << i % 8);
        enum status status = read_back(buffer_slice(&image), &seed, &state);
        if (status == STATUS_OK) { /* another state, but one that is whole */
            passed++;
            image_of(state, &again);
            buffer_fini(&again);
            state_destroy(&state);
        } else {
            assert_int_equal(status, STATUS_DAMAGED);
        }
        image.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(passed < image.size * 8);
    assert_int_equal(read_back(buffer_slice(&image), &seed, &state), STATUS_OK);
    image_of(state, &again);
    assert_true(slice_equal(buffer_slice(&image), buffer_slice(&again)));
    buffer_fini(&again);
    state_destroy(&state);
    buffer_fini(&image);
    traffic_fini(&traffic);
    shell_close(&shell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_folded_on_from_an_image_equals_the_whole),
        cmocka_unit_test(no_flipped_or_missing_byte_does_harm),
    };
    return cmocka_run_group_tests_name("state_image", tests, shell_group_set_up,
                                       shell_group_tear_down);
}
