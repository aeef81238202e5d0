/* What one accepted event costs a projector: ns per event for reading the record and for each view,
 * over replies of 1 MiB with what `generate` sends; and ms for a digest and a sort of all rows.
 * The median reply is what to quote, the best one what to compare on a busy machine.
 *
 *     bench_views [EVENTS] [SUBJECTS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "producer/core/workload.h"
#include "projector/core/fold.h"

enum { BODY_BYTES = 1024 * 1024, EVENTS_DEFAULT = 8000000, SUBJECTS = 100000, BODIES_MAX = 10000 };

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

static void append_record(struct buffer *body, struct workload *workload, uint64_t id)
{
    uint8_t event[WORKLOAD_EVENT_BYTES_MAX];
    uint64_t time_ns = 1767323045000000000ULL + id;
    size_t size = (size_t)(workload_put(workload, event, time_ns) - event);
    if (buffer_reserve(body, RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + size) != STATUS_OK)
        stop("no room for an event");
    uint8_t *at = body->data + body->size;
    uint8_t *end = accepted_record_put(at, id, time_ns, slice_of_text("generator-1"), id,
                                       (struct slice){event, size});
    body->size += (size_t)(end - at);
}

/* The next body of about BODY_BYTES. */
static void fill(struct body *body, uint64_t first_id, struct workload *workload)
{
    buffer_clear(&body->bytes);
    body->count = 0;
    while (body->bytes.size < BODY_BYTES)
        append_record(&body->bytes, workload, first_id + body->count++);
}

static struct fold *fold_of(const struct view_type *const *types, uint32_t count)
{
    struct fold_options options = {.types = types, .type_count = count, .policy = policy};
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

static void run(const char *name, const struct view_type *const *types, uint32_t count,
                uint64_t events, uint32_t subjects)
{
    static double spent_ns[BODIES_MAX]; /* per event, of each body */
    struct workload_options options = {.seed = 1, .subjects = subjects};
    struct workload *workload;
    struct body body;
    struct fold *fold = fold_of(types, count);
    uint64_t done = 0;
    size_t bodies = 0;
    if (workload_new(&options, &workload) != STATUS_OK)
        stop("no memory for the events");
    buffer_init(&body.bytes, BODY_BYTES + WORKLOAD_EVENT_BYTES_MAX * 2);
    while (done < events && bodies < BODIES_MAX) {
        fill(&body, done + 1, workload);
        spent_ns[bodies++] = apply(fold, &body);
        done += body.count;
    }
    qsort(spent_ns, bodies, sizeof *spent_ns, compare_doubles);
    printf("%-16s median %6.1f, best %6.1f ns per event, reading included\n", name,
           spent_ns[bodies / 2], spent_ns[0]);
    if (count == 1)
        report_rows(fold);
    buffer_fini(&body.bytes);
    workload_destroy(&workload);
    fold_destroy(&fold);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS_DEFAULT;
    uint64_t subjects = argc > 2 ? strtoull(argv[2], NULL, 10) : SUBJECTS;
    if (events == 0 || subjects == 0 || subjects > WORKLOAD_SUBJECTS_MAX)
        stop("usage: bench_views [EVENTS] [SUBJECTS]");
    run("(no view)", NULL, 0, events, (uint32_t)subjects);
    for (uint32_t i = 0; i < view_type_count; i++)
        run(view_types[i]->name, &view_types[i], 1, events, (uint32_t)subjects);
    run("(all views)", view_types, view_type_count, events, (uint32_t)subjects);
    return 0;
}
