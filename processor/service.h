/* service: what the processor's threads share, and nothing else: queues, the log's room and durable
 * position, counters, and what was settled before they started.
 *
 *   core     pull, check, decode, decide, apply, append to the draft            ingest.h, intake.h
 *   commit   write, fdatasync, publish, acknowledge, heartbeat, stats           commit.h
 *   control  hello and policy set (through the core), replay, seek, status      control.h
 *   filler   reads the log for a change of the policies                         filler.h
 *   snapshots  folds the log behind the others, drops what is old               snapshots.h
 *
 * Counters are written by one thread each and read by any; they are relaxed atomics because nothing
 * is decided by them.
 */
#ifndef WEIR_PROCESSOR_SERVICE_H
#define WEIR_PROCESSOR_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/event/reason.h"
#include "common/policy/policy.h"
#include "common/wire/endpoint.h"
#include "common/wire/record.h"
#include "processor/batch.h"
#include "processor/core/state.h"
#include "processor/pin.h"
#include "processor/queue.h"
#include "processor/store/log.h"

enum {
    BATCHES_IN_FLIGHT_MAX = 16, /* sealed, not yet durable: then the core waits */
    CALLS_WAITING_MAX = 1024,   /* beyond: answered unavailable at once */
    CHANGES_WAITING_MAX = 2,    /* there is one at a time */
};

typedef _Atomic uint64_t counter;

struct counters {
    counter submissions;                /* frames taken from ingest */
    counter accepted;                   /* events */
    counter refused[REASON_COUNT];      /* events; duplicates and out-of-order ones too */
    counter accepted_bytes;             /* of events */
    counter batches;                    /* durable */
    counter groups;                     /* fdatasyncs */
    counter publish_failures;           /* messages that the events socket did not take */
    counter in_flight;                  /* batches sealed, not yet durable */
    counter sources;                    /* known */
    counter holding;                    /* 1: no room, no space: nothing is taken in */
    counter filled;                     /* events read for changes of the policies */
    counter drops;                      /* times that retention has dropped segments */
    counter window_ns;                  /* the longest in force */
    counter policy_keys[POLICIES_MAX];  /* live keys */
    counter policy_units[POLICIES_MAX]; /* stamps kept */
};

static inline void counter_add(counter *value, uint64_t by)
{
    atomic_fetch_add_explicit(value, by, memory_order_relaxed);
}
static inline void counter_set(counter *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}
static inline uint64_t counter_get(const counter *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

struct service {
    /* settled before the threads start */
    struct endpoints endpoints;
    const char *store_directory;
    struct log *log;
    struct log_id log_id;
    struct log_clock clock; /* the core thread stamps; others only read the anchor */
    uint64_t started_at_ns;
    const char *genesis_policy; /* canonical text of the first ones */
    uint32_t records_per_s;     /* of refusals */

    /* between the threads */
    struct batch_pool *pool;
    struct queue *to_commit;  /* struct batch, core → commit */
    struct queue *to_core;    /* struct call, control and filler → core */
    struct queue *to_control; /* struct call, answered */
    struct queue *to_filler;  /* struct call, core → filler */
    struct pin pin;           /* filler and control, against the thread of the snapshots */
    struct counters counters;
    atomic_int failure;           /* enum status; not OK: a thread gave up, the process ends */
    struct detail failure_detail; /* written once, before `failure` */
};

/* A thread gives up: remembers the first failure and asks the process to stop. */
void service_fail(struct service *service, enum status status, const struct detail *detail);

#endif
