/* bench_admission: ns per event for decide and apply under one policy by subject, all keys known.
 *
 *     bench_admission [EVENTS]
 *
 * Groups of 64 in batches of 1,024 with one stamp each, as the core thread does it; reading of
 * MessagePack is not in it, and the cost of making up subjects is measured and taken off. The quota
 * is never reached, so each event is accepted and spent. The hash alone is shown for scale.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "processor/core/admission.h"

enum { SUBJECT_BYTES = 16, BATCH_EVENTS = 1024, EVENTS_DEFAULT = 8000000 };

struct bench {
    struct state *state;
    uint32_t keys;
    struct rng rng;
    uint64_t now_ns;
    struct decision decision;
    struct candidate group[ADMISSION_GROUP_MAX];
    uint8_t subjects[ADMISSION_GROUP_MAX][SUBJECT_BYTES];
};

static void stop(const char *what)
{
    fprintf(stderr, "bench_admission: %s\n", what);
    exit(1);
}

static void apply(struct bench *bench)
{
    if (state_apply(bench->state, &bench->decision) != STATUS_OK)
        stop("out of memory");
}

static void tick(struct bench *bench)
{
    bench->now_ns += 500000;
    admission_tick(bench->now_ns, &bench->decision);
    apply(bench);
}

/* Writes the subjects of one group; with `in_order` the keys are first, first + 1, …, else random.
 */
static void make_subjects(struct bench *bench, uint32_t first, bool in_order)
{
    for (uint32_t i = 0; i < ADMISSION_GROUP_MAX; i++) {
        uint32_t key = in_order ? first + i : (uint32_t)rng_below(&bench->rng, bench->keys);
        uint8_t *subject = bench->subjects[i];
        for (uint32_t digit = 0; digit < 8; digit++)
            subject[SUBJECT_BYTES - 1 - digit] = (uint8_t)('a' + (key >> (4 * digit) & 15));
    }
}

static void run_group(struct bench *bench, bool prefetch)
{
    for (uint32_t i = 0; i < ADMISSION_GROUP_MAX; i++)
        admission_prepare(bench->state, &bench->group[i]);
    for (uint32_t i = 0; prefetch && i < ADMISSION_GROUP_MAX; i++)
        admission_prefetch(bench->state, &bench->group[i]);
    for (uint32_t i = 0; prefetch && i < ADMISSION_GROUP_MAX; i++)
        admission_prefetch_windows(bench->state, &bench->group[i]);
    for (uint32_t i = 0; i < ADMISSION_GROUP_MAX; i++) {
        admission_decide(bench->state, &bench->group[i], bench->now_ns, &bench->decision);
        if (bench->decision.kind != DECISION_ACCEPT)
            stop("an event was refused");
        apply(bench);
    }
}

static double ns_per_event(uint64_t start_ns, uint64_t events)
{
    return (double)(clock_boot_ns() - start_ns) / (double)events;
}

static double run(struct bench *bench, uint64_t events, bool in_order, bool prefetch)
{
    uint64_t start_ns = clock_boot_ns();
    for (uint64_t done = 0; done < events; done += ADMISSION_GROUP_MAX) {
        if (done % BATCH_EVENTS == 0)
            tick(bench);
        make_subjects(bench, (uint32_t)done, in_order);
        run_group(bench, prefetch);
    }
    return ns_per_event(start_ns, events);
}

static double run_harness(struct bench *bench, uint64_t events)
{
    uint64_t start_ns = clock_boot_ns();
    for (uint64_t done = 0; done < events; done += ADMISSION_GROUP_MAX)
        make_subjects(bench, 0, false);
    return ns_per_event(start_ns, events);
}

static double run_hash(struct bench *bench, uint64_t events)
{
    struct hash_seed seed;
    uint64_t sum = 0, start_ns = clock_boot_ns();
    hash_seed_random(&seed);
    for (uint64_t i = 0; i < events; i++)
        sum += hash_keyed(&seed, bench->subjects[i % ADMISSION_GROUP_MAX], SUBJECT_BYTES);
    bench->subjects[0][0] = (uint8_t)sum;
    return ns_per_event(start_ns, events);
}

static struct state *state_by_subject(void)
{
    static struct policy_set set;
    struct hash_seed seed;
    struct detail detail;
    hash_seed_random(&seed);
    if (policy_set_add_limit(
            &set, "\"per-subject\";q=1000000;w=8;pk=subject;max_keys=2000000;max_units=2000000000",
            &detail) != STATUS_OK)
        stop(detail.text);
    struct state *state = state_new(&set, &seed);
    set.count = 0;
    return state;
}

static struct bench *bench_new(uint32_t keys)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        stop("out of memory");
    bench->state = state_by_subject();
    if (bench->state == NULL)
        stop("out of memory");
    bench->keys = keys;
    rng_init(&bench->rng, 1);
    memset(bench->subjects, 'u', sizeof bench->subjects);
    for (uint32_t i = 0; i < ADMISSION_GROUP_MAX; i++) {
        bench->group[i].source = SOURCE_NONE;
        bench->group[i].source_name = slice_of_text("bench");
        bench->group[i].event.type = slice_of_text("order.created");
        bench->group[i].event.subject =
            (struct slice){.data = bench->subjects[i], .size = SUBJECT_BYTES};
    }
    return bench;
}

static void measure(uint32_t keys, uint64_t events)
{
    struct bench *bench = bench_new(keys);
    double harness = run_harness(bench, events);
    double enter = run(bench, keys, true, true) - harness;
    run(bench, events / 2, false, true);
    double with = run(bench, events, false, true) - harness;
    double without = run(bench, events / 2, false, false) - harness;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%8" PRIu32 " keys: %6.1f ns/event, without prefetch %6.1f, first event of a key %6.1f, "
           "hash alone %5.1f; %" PRIu64 " units, peak %ld MiB\n",
           keys, with, without, enter, run_hash(bench, events), state_policy_units(bench->state, 0),
           usage.ru_maxrss / 1024);
    state_destroy(&bench->state);
    free(bench);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS_DEFAULT;
    measure(1000, events);
    measure(100000, events);
    measure(1000000, events);
    return 0;
}
