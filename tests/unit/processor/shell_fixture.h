/* shell_fixture: the processor's core thread with a real log and a real socket; the test stands in
 * for the commit thread. For the tests of processor/. */
#ifndef WEIR_TESTS_SHELL_FIXTURE_H
#define WEIR_TESTS_SHELL_FIXTURE_H

#include <pthread.h>

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

#endif
