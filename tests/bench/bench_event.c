/* What one event costs to check and to write: ns per event over a warm buffer, uniform (all events
 * of one shape) and varied (types, lengths and shapes change, so branches are mispredicted). The
 * median round is what to quote, the best one what to compare on a busy machine.
 *
 *     bench_event [ROUNDS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/event/codec.h"
#include "common/event/event.h"

enum { EVENTS = 4096, BYTES_MAX = 4 * 1024 * 1024, ROUNDS = 500, ROUNDS_MAX = 100000 };

static const char *const types[] = {"order.created", "user.logged_in", "inventory.stock_added",
                                    "payment.processed", "order.confirmed"};

/* [time, type, subject, 1, {status, amount, currency, user}]: 98 bytes. */
static void append_uniform(struct buffer *events, struct rng *rng)
{
    char subject[32];
    snprintf(subject, sizeof subject, "order-%06" PRIu64, rng_below(rng, 1000000));
    codec_array(events, 5);
    codec_uint(events, 1767323045000000000ULL + rng_below(rng, NS_PER_S));
    codec_text(events, types[0]);
    codec_text(events, subject);
    codec_uint(events, 1);
    codec_map(events, 4);
    codec_text(events, "status");
    codec_text(events, "pending");
    codec_text(events, "amount");
    codec_uint(events, 1000 + rng_below(rng, 50000));
    codec_text(events, "currency");
    codec_text(events, "EUR");
    codec_text(events, "user");
    codec_text(events, "user-001234");
}

static void append_value(struct buffer *events, struct rng *rng)
{
    static const char words[] = "a street of some length in a town by the sea";
    switch (rng_below(rng, 6)) {
    case 0:
        codec_uint(events, rng_next(rng) >> rng_below(rng, 64));
        break;
    case 1:
        codec_float(events, (double)rng_below(rng, 100000) / 100);
        break;
    case 2:
        codec_bool(events, rng_below(rng, 2) == 1);
        break;
    case 3:
        codec_array(events, 2);
        codec_nil(events);
        codec_int(events, -(int64_t)rng_below(rng, 1000));
        break;
    default:
        codec_text_slice(events,
                         (struct slice){(const uint8_t *)words, rng_below(rng, sizeof words)});
        break;
    }
}

static void append_varied(struct buffer *events, struct rng *rng)
{
    char subject[48];
    snprintf(subject, sizeof subject, "user-%" PRIu64, rng_next(rng) >> rng_below(rng, 60));
    uint32_t pairs = (uint32_t)rng_below(rng, 9);
    bool attributes = rng_below(rng, 4) == 0;
    codec_array(events, attributes ? 6 : 5);
    codec_uint(events, rng_next(rng) >> (1 + rng_below(rng, 30)));
    codec_text(events, types[rng_below(rng, 5)]);
    codec_text(events, subject);
    codec_uint(events, 1 + rng_below(rng, 3));
    codec_map(events, pairs);
    for (uint32_t i = 0; i < pairs; i++) {
        char key[32];
        snprintf(key, sizeof key, "field_%u", (unsigned)i);
        codec_text(events, key);
        append_value(events, rng);
    }
    if (attributes) {
        codec_map(events, 1);
        codec_text(events, "traceparent");
        codec_text(events, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    }
}

/* The sum keeps the compiler from leaving the work out. */
static uint64_t read_all(struct slice events, bool stored)
{
    uint64_t sum = 0;
    struct mp_reader reader = mp_reader_of(events);
    while (!mp_at_end(&reader)) {
        struct event event;
        enum status status =
            stored ? event_read_stored(&reader, &event) : event_read(&reader, &event, NULL, NULL);
        if (status != STATUS_OK)
            abort();
        sum += event.occurred_at_ns + event.data.size;
    }
    return sum;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_rounds(const char *name, uint64_t *took_ns, size_t rounds, double event_bytes)
{
    qsort(took_ns, rounds, sizeof *took_ns, compare);
    uint64_t median_ns = took_ns[rounds / 2];
    printf("%-28s median %6.1f  best %6.1f ns/event  %6.1f bytes/event\n", name,
           (double)median_ns / EVENTS, (double)took_ns[0] / EVENTS, event_bytes);
}

static void measure(const char *name, const struct buffer *events, bool stored, size_t rounds)
{
    static uint64_t took_ns[ROUNDS_MAX];
    volatile uint64_t sink = read_all(buffer_slice(events), stored);
    for (size_t i = 0; i < rounds; i++) {
        uint64_t start_ns = clock_boot_ns();
        sink = read_all(buffer_slice(events), stored);
        took_ns[i] = clock_boot_ns() - start_ns;
    }
    (void)sink;
    print_rounds(name, took_ns, rounds, (double)events->size / EVENTS);
}

static size_t write_all(uint8_t *out)
{
    struct slice type = slice_of_text("order.created"), subject = slice_of_text("order-001234");
    uint8_t *at = out;
    for (unsigned i = 0; i < EVENTS; i++) {
        at = codec_put_array(at, 5);
        at = codec_put_uint(at, 1767323045000000000ULL + i);
        at = codec_put_text(at, type);
        at = codec_put_text(at, subject);
        at = codec_put_uint(at, 1);
        *at++ = 0x80;
    }
    return (size_t)(at - out);
}

static void measure_writing(size_t rounds)
{
    static uint64_t took_ns[ROUNDS_MAX];
    static uint8_t out[EVENTS * 64];
    volatile size_t size = 0;
    for (size_t i = 0; i < rounds; i++) {
        uint64_t start_ns = clock_boot_ns();
        size = write_all(out);
        took_ns[i] = clock_boot_ns() - start_ns;
    }
    print_rounds("codec_put, empty data", took_ns, rounds, (double)size / EVENTS);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return EXIT_FAILURE;
    struct rng rng;
    rng_init(&rng, 1);
    struct buffer uniform, varied;
    buffer_init(&uniform, BYTES_MAX);
    buffer_init(&varied, BYTES_MAX);
    for (unsigned i = 0; i < EVENTS; i++) {
        append_uniform(&uniform, &rng);
        append_varied(&varied, &rng);
    }
    if (uniform.status != STATUS_OK || varied.status != STATUS_OK)
        return EXIT_FAILURE;

    measure("event_read, uniform", &uniform, false, rounds);
    measure("event_read, varied", &varied, false, rounds);
    measure("event_read_stored, uniform", &uniform, true, rounds);
    measure("event_read_stored, varied", &varied, true, rounds);
    measure_writing(rounds);
    buffer_fini(&uniform);
    buffer_fini(&varied);
    return EXIT_SUCCESS;
}
