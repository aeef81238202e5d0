/* draft: the open batch while the core thread fills it, with all that belongs to it: the state on
 * which it is decided, the recorder and the ledger that are emptied into it, and the time.
 *
 *     draft_open → draft_stamp → for each input: draft_has_room → decide → draft_apply → …
 *     → draft_seal, which hands the batch to the commit thread
 *
 * With no reserved room in the log for one more batch there is no draft: nothing is taken in,
 * and calls are answered `unavailable` while the disk is full. Owned by the core thread.
 */
#ifndef WEIR_PROCESSOR_DRAFT_H
#define WEIR_PROCESSOR_DRAFT_H

#include "processor/core/admission.h"
#include "processor/ledger.h"
#include "processor/recorder.h"
#include "processor/service.h"

enum { DRAFT_RETRY_MS = 2 /* between two looks for room in the log */ };

/* How fast submissions are taken in. While the log is read for a change of the policies at most
 * half as many events are accepted as are read, so that the reading comes to an end. */
enum pace { PACE_FULL, PACE_HALF, PACE_NONE };
enum { PACE_EVENTS_AHEAD = 4096 /* accepted beyond that half, while the reading begins */ };

struct draft {
    struct service *service;
    struct state *state;
    struct ledger *ledger;
    struct recorder *recorder;
    struct batch *batch;      /* NULL while there is no room */
    struct decision decision; /* the one at hand */
    uint64_t next_batch;      /* number */
    uint64_t first_ns;        /* the first stamp of the open batch */
    uint64_t now_ns;          /* the newest: of what is decided now */
    int stop_fd;              /* readable: the process is to end */
    bool holding;             /* no room, and no space to make some */
    enum pace pace;           /* at which submissions are taken in */
    uint64_t half_from_id;    /* PACE_HALF: the last event when it began … */
    uint64_t half_filled;     /* … and how many the filler had read */
    bool offline;             /* the caller stamps, by the events' own times; a full disk is a
                                 failure, and nobody waits for an answer */
    struct buffer key;        /* scratch: a key's MessagePack */
};

/* Takes over `state` when it succeeds. NO_MEMORY: only draft_fini may follow. */
MUST_USE enum status draft_init(struct draft *draft, struct service *service, struct state *state);
void draft_fini(struct draft *draft);

/* The process is to end: the core thread cannot go on. */
void draft_fail(struct draft *draft, const char *what);
/* Is it? Then nothing more is decided, for the state may no longer be whole. */
bool draft_failing(const struct draft *draft);

/* Applies draft->decision. */
void draft_apply(struct draft *draft);
/* Reads the clock: the time of all that is decided from here on. Only while the draft is empty: a
 * batch has one time. */
void draft_stamp(struct draft *draft);
/* Offline: time is now `now_ns`, ≥ the newest stamp; a batch is open. */
void draft_stamp_at(struct draft *draft, uint64_t now_ns);

/* Opens a batch unless one is open. False when the log has no room for it now. */
bool draft_open(struct draft *draft);
/* Nothing decided, nothing to answer, or no batch? */
bool draft_is_empty(const struct draft *draft);
/* From here on PACE_HALF. */
void draft_pace_half(struct draft *draft);
/* May one more submission be taken in now? Else look again soon. */
bool draft_may_take(const struct draft *draft);
/* Makes sure that a batch is open which takes one more event of `bytes` and all that it leaves:
 * seals a full one and waits for room. False when the process ends first: then the sender, who has
 * no ack, sends again. */
bool draft_has_room(struct draft *draft, size_t bytes);
/* Closes the open batch and hands it to the commit thread; waits while too many are in flight. An
 * empty one stays open. */
void draft_seal(struct draft *draft);

/* Records a refusal or a shadow report: fills id, time and place. */
void draft_record(struct draft *draft, struct rejection *rejection);

/* Answers a call with `unavailable`, and why; a change of the policies has ended with it. */
void draft_refuse_call(struct draft *draft, struct call *call, const char *why);
/* Answers all that wait so, if the disk is full. */
void draft_tend_hold(struct draft *draft);

/* Tells the counters how large the state is. */
void draft_refresh_gauges(const struct draft *draft);

#endif
