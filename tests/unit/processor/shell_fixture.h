/* shell_fixture: the processor's core thread with a real log and a real socket; the test stands in
 * for the commit thread. And traffic: random submissions of every kind, with a model of what each
 * source's last sequence is after them. For the tests of processor/. */
#ifndef WEIR_TESTS_SHELL_FIXTURE_H
#define WEIR_TESTS_SHELL_FIXTURE_H

#include <pthread.h>

#include "common/base/rng.h"
#include "processor/ingest.h"
#include "processor/recover.h"
#include "tests/unit/processor/store_fixture.h"

/* Called for each batch when it is durable, in order. */
typedef void shell_batch_fn(void *context, const struct batch *batch);

struct shell {
    char folder[FIXTURE_PATH_BYTES];
    struct service service;
    struct recovery *recovery; /* what log_open folded into */
    struct recovery *mirror;   /* folds every batch as it becomes durable; NULL: not wanted */
    struct state *state;       /* the core's; to be looked at before it runs or when it has ended */
    struct ingest *ingest;
    struct socket *pull, *push;
    pthread_t thread;
    int stop_fd;
    uint64_t pushed;     /* submissions */
    struct call *answer; /* to what is waited for */
    shell_batch_fn *on_batch;
    void *context;
};

/* Once per process, around all tests. */
int shell_group_set_up(void **test_state);
int shell_group_tear_down(void **test_state);

/* A new store with these policies; the core does not run yet. */
void shell_open(struct shell *shell, const char *policies, uint32_t records_per_s);
void shell_run(struct shell *shell);
/* One submission of one frame; with `second`, of two. */
void shell_push(struct shell *shell, struct slice frame, const char *second);
/* Makes batches durable, those that come within a moment. */
void shell_pump(struct shell *shell);
/* Waits until the core has taken all that was pushed; makes batches durable meanwhile. */
void shell_settle(struct shell *shell);
/* Settles, asks, waits for the answer, which is durable then. */
struct source_info shell_hello(struct shell *shell, const char *name);
/* Settles, stops the core and makes all batches durable. */
void shell_stop(struct shell *shell);
/* The second half of it, where stop_fd was raised by hand. */
void shell_join(struct shell *shell);
/* Closes the log and folds it from the disk; the caller destroys the recovery. */
struct recovery *shell_reopen(struct shell *shell);
void shell_close(struct shell *shell);

/* ---- traffic ------------------------------------------------------------------------------- */

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

/* Two states that folded the same log: positions, sources, verdicts, keys and units, and the
 * decisions on random candidates from `now_ns` on. That is not before the last tick: the live state
 * has seen those of idle turns, which leave nothing in the log. */
void states_compare(struct state *a, struct state *b, uint64_t now_ns, uint64_t seed);

#endif
