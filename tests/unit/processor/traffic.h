/* traffic: random submissions of every kind for a shell, with a model of what each source's last
 * sequence is after them. */
#ifndef WEIR_TESTS_TRAFFIC_H
#define WEIR_TESTS_TRAFFIC_H

#include "common/base/rng.h"
#include "tests/unit/processor/shell_fixture.h"

extern const char traffic_policies[];

enum { TRAFFIC_SOURCES = 6, TRAFFIC_NAME_BYTES = 24 };

struct traffic_source {
    char name[TRAFFIC_NAME_BYTES]; /* source-N */
    uint64_t epoch;
    uint64_t last; /* sequence */
};

struct traffic {
    struct shell *shell;
    struct rng rng;
    struct traffic_source sources[TRAFFIC_SOURCES];
    struct buffer frame;
    uint64_t counted[REASON_COUNT]; /* duplicate, out_of_order, fenced: events */
    uint64_t refused_whole;         /* submissions, and bytes after a last event */
};

/* The shell runs. Says hello for every source. */
void traffic_init(struct traffic *traffic, struct shell *shell, uint64_t seed);
void traffic_fini(struct traffic *traffic);
/* Pushes one random submission, or says hello again. */
void traffic_step(struct traffic *traffic);

/* Appends one random event, good unless `may_be_bad`. */
void traffic_event_write(struct rng *rng, bool may_be_bad, struct buffer *buffer);

#endif
