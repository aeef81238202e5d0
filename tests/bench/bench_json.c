/* What it costs to read one line of JSON as an event, straight into MessagePack and through
 * jansson's tree: the best of ROUNDS rounds over the same lines, in ns per line.
 *
 *     bench_json
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/event/json_fast.h"

enum { LINES = 4096, LINE_BYTES_MAX = 256, ROUNDS = 50, EVENT_ROOM_BYTES = 64 * 1024 };

static char lines[LINES][LINE_BYTES_MAX];
static struct buffer event;

/* About 200 bytes, as scripts/bench-batch.sh writes them. */
static void write_line(char *line, struct rng *rng)
{
    snprintf(line, LINE_BYTES_MAX,
             "{\"specversion\": \"1.0\", \"source\": \"shop-%" PRIu64 "\", "
             "\"type\": \"order.created\", \"subject\": \"order-%" PRIu64 "\", "
             "\"time\": \"2026-01-01T00:00:00.%03" PRIu64 "Z\", \"data\": {\"status\": "
             "\"pending\", \"amount_minor\": %" PRIu64 ", \"currency\": \"EUR\"}}",
             rng_below(rng, 4), rng_below(rng, 100000), rng_below(rng, 1000),
             rng_below(rng, 10000));
}

static bool read_straight(struct slice line)
{
    char source[EVENT_SOURCE_BYTES_MAX + 1];
    return json_fast_read(line, 1, &event, source);
}

static bool read_through_tree(struct slice line)
{
    char source[EVENT_SOURCE_BYTES_MAX + 1];
    return json_tree_read(line, 1, &event, source, NULL) == STATUS_OK;
}

static void measure(const char *name, bool (*read)(struct slice))
{
    uint64_t best_ns = UINT64_MAX;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start_ns = clock_boot_ns();
        for (unsigned i = 0; i < LINES; i++) {
            buffer_clear(&event);
            if (!read(slice_of_text(lines[i])))
                abort();
        }
        uint64_t took_ns = clock_boot_ns() - start_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    printf("%-12s %8.0f ns/line\n", name, (double)best_ns / LINES);
}

int main(void)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (unsigned i = 0; i < LINES; i++)
        write_line(lines[i], &rng);
    buffer_init(&event, EVENT_ROOM_BYTES);
    measure("straight", read_straight);
    measure("tree", read_through_tree);
    buffer_fini(&event);
    return EXIT_SUCCESS;
}
