/* What one accepted event costs a projector: ns per event for reading the record and for each view,
 * over replies of 1 MiB with orders of varied subjects; and ms for a digest and a sort of all rows.
 * The median reply is what to quote, the best one what to compare on a busy machine.
 *
 *     bench_views [EVENTS] [SUBJECTS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/event/codec.h"
#include "projector/core/fold.h"

enum {
    BODY_BYTES = 1024 * 1024,
    EVENT_BYTES = 256,
    EVENTS_DEFAULT = 8000000,
    SUBJECTS = 100000,
    BODIES_MAX = 10000
};

static const char *const statuses[] = {"pending", "confirmed", "shipped", "delivered", "cancelled"};
static const char policy[] =
    "[policy \"per-subject\"]\nkey = subject\nquota = 1000000\nwindow = 60s\n";

struct body {
    struct buffer bytes;
    uint64_t count;
};

static void stop(const char *what)
{
    fprintf(stderr, "bench_views: %s\n", what);
    exit(1);
}

static void append_record(struct buffer *body, struct buffer *event, uint64_t id, struct rng *rng,
                          uint64_t subjects)
{
    char subject[32];
    snprintf(subject, sizeof subject, "order-%06" PRIu64, rng_below(rng, subjects));
    buffer_clear(event);
    codec_array(event, 5);
    codec_uint(event, 1767323045000000000ULL + id);
    codec_text(event, "order.created");
    codec_text(event, subject);
    codec_uint(event, 1);
    codec_map(event, 3);
    codec_text(event, "amount");
    codec_uint(event, 1000 + rng_below(rng, 50000));
    codec_text(event, "currency");
    codec_text(event, "EUR");
    codec_text(event, "status");
    codec_text(event, statuses[rng_below(rng, sizeof statuses / sizeof statuses[0])]);
    if (event->status != STATUS_OK ||
        buffer_reserve(body, RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + event->size) != STATUS_OK)
        stop("no room for an event");
    uint8_t *at = body->data + body->size;
    uint8_t *end = accepted_record_put(at, id, 1767323045000000000ULL + id,
                                       slice_of_text("generator-1"), id, buffer_slice(event));
    body->size += (size_t)(end - at);
}

/* The next body of about BODY_BYTES. */
static void fill(struct body *body, uint64_t first_id, struct rng *rng, uint64_t subjects)
{
    struct buffer event;
    buffer_init(&event, EVENT_BYTES);
    buffer_clear(&body->bytes);
    body->count = 0;
    while (body->bytes.size < BODY_BYTES)
        append_record(&body->bytes, &event, first_id + body->count++, rng, subjects);
    buffer_fini(&event);
}

static struct fold *fold_of(const char *view)
{
    const struct view_type *types[1] = {NULL};
    for (uint32_t i = 0; i < view_type_count && view != NULL; i++)
        if (slice_equal_text(slice_of_text(view), view_types[i]->name))
            types[0] = view_types[i];
    struct fold_options options = {
        .types = types, .type_count = types[0] != NULL ? 1 : 0, .policy = policy};
    hash_seed_random(&options.seed);
    struct fold *fold;
    struct detail detail;
    if (fold_new(&options, &fold, &detail) != STATUS_OK)
        stop(detail.text);
    return fold;
}

static void report_rows(struct fold *fold)
{
    struct rows *rows = fold_view_rows(fold, 0);
    uint64_t start_ns = clock_boot_ns();
    struct digest digest = rows_digest(rows);
    uint64_t digested_ns = clock_boot_ns();
    if (rows_sort(rows) != STATUS_OK)
        stop("no memory to sort");
    uint64_t sorted_ns = clock_boot_ns();
    char hex[DIGEST_HEX_BYTES];
    digest_hex(&digest, hex);
    printf("  %" PRIu32 " rows: digest %.2f ms, sort %.2f ms, %s\n", rows_count(rows),
           (double)(digested_ns - start_ns) / 1e6, (double)(sorted_ns - digested_ns) / 1e6, hex);
}

static double apply(struct fold *fold, const struct body *body)
{
    struct detail detail;
    uint64_t hash;
    uint64_t start_ns = clock_boot_ns();
    if (fold_apply(fold, STREAM_ACCEPTED, buffer_slice(&body->bytes), body->count, &hash,
                   &detail) != STATUS_OK)
        stop(detail.text);
    return (double)(clock_boot_ns() - start_ns) / (double)body->count;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void run(const char *view, uint64_t events, uint64_t subjects)
{
    static double spent_ns[BODIES_MAX]; /* per event, of each body */
    struct rng rng;
    struct body body;
    struct fold *fold = fold_of(view);
    uint64_t done = 0;
    size_t bodies = 0;
    rng_init(&rng, 1);
    buffer_init(&body.bytes, BODY_BYTES + EVENT_BYTES * 2);
    while (done < events && bodies < BODIES_MAX) {
        fill(&body, done + 1, &rng, subjects);
        spent_ns[bodies++] = apply(fold, &body);
        done += body.count;
    }
    qsort(spent_ns, bodies, sizeof *spent_ns, compare_doubles);
    printf("%-14s median %6.1f, best %6.1f ns per event, reading included\n",
           view != NULL ? view : "(no view)", spent_ns[bodies / 2], spent_ns[0]);
    if (view != NULL)
        report_rows(fold);
    buffer_fini(&body.bytes);
    fold_destroy(&fold);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS_DEFAULT;
    uint64_t subjects = argc > 2 ? strtoull(argv[2], NULL, 10) : SUBJECTS;
    if (events == 0 || subjects == 0)
        stop("usage: bench_views [EVENTS] [SUBJECTS]");
    run(NULL, events, subjects);
    for (uint32_t i = 0; i < view_type_count; i++)
        run(view_types[i]->name, events, subjects);
    return 0;
}
