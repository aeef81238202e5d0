/* follower: keeps a fold level with a processor's log: the sockets around `follow`.
 *
 * SUB on events and DEALER on control. It reads, asks follow what to do, and does it; waiting and
 * stopping are the caller's. A processor that goes away is waited for. Belongs to one thread.
 */
#ifndef WEIR_PROJECTOR_FOLLOWER_H
#define WEIR_PROJECTOR_FOLLOWER_H

#include "common/wire/endpoint.h"
#include "common/wire/socket.h"
#include "projector/core/fold.h"
#include "projector/core/follow.h"

struct follower;

enum { FOLLOWER_SOCKETS = 2 };

/* What a processor says of its log. */
struct follower_log {
    struct log_id log_id;
    uint64_t last_event_id, last_rejection_id;
    uint64_t first_event_id, first_rejection_id; /* that are kept */
    char policy[POLICY_TEXT_BYTES_MAX];          /* that of the genesis, INI */
    char first_policy[POLICY_TEXT_BYTES_MAX];    /* in force just before the first that are kept */
};

/* Just before what is kept. */
struct fold_mark follower_log_first(const struct follower_log *log);

struct follower_progress {
    bool live;
    uint64_t replays;         /* times that following fell back to replay, the start not counted */
    uint64_t newest_event_id; /* newest id that the processor is known to have */
};

/* Connects; the processor need not be there yet. */
MUST_USE enum status follower_open(const struct endpoints *endpoints,
                                   struct follower **ret_follower, struct detail *ret_detail);
void follower_close(struct follower **follower);

/* Asks for the log, waiting for the processor. UNAVAILABLE: not there in time. INTERRUPTED. */
MUST_USE enum status follower_ask_log(struct follower *follower, struct follower_log *ret_log,
                                      struct detail *ret_detail);
/* Begins to follow that log into `fold`, from where it stands; it outlives the follower. */
void follower_start(struct follower *follower, const struct log_id *log_id, struct fold *fold);

/* One live message, just applied: when it was accepted and published, in log time. */
struct follower_seen {
    enum stream stream;
    uint64_t count;         /* records */
    uint64_t decided_at_ns; /* of the first of them */
    uint64_t published_at_ns;
};
typedef void follower_seen_fn(void *owner, const struct follower_seen *seen);
/* Calls `see` after each live message that brought something; one watcher, NULL: none. */
void follower_watch(struct follower *follower, follower_seen_fn *see, void *owner);

/* The sockets to wait on now; returns how many. */
int follower_wait_on(struct follower *follower, struct socket_wait ret_items[FOLLOWER_SOCKETS]);
/* CLOCK_BOOTTIME in ns at which a turn is due whatever comes; UINT64_MAX: none. */
uint64_t follower_due_ns(const struct follower *follower);
/* Reads what has come, a bounded amount, and asks for what is missing. DAMAGED, FENCED, GONE: this
 * log cannot be followed any more, and why. */
MUST_USE enum status follower_turn(struct follower *follower, uint64_t now_ns,
                                   struct detail *ret_detail);

/* Nothing live is sent to us until a replay, by the next turns, has come near the log's end. */
void follower_leave(struct follower *follower);

/* Tells the processor that a projector of this name follows it; what cannot be sent now is left
 * out. */
void follower_announce(struct follower *follower, const char *name);

struct follower_progress follower_progress(const struct follower *follower);

#endif
