/* follow: how a projector keeps up with the log, as pure logic: replay from where it stands, then
 * live; a hole, or a heartbeat that says another position, and it replays again.
 *
 *     FOLLOW_REPLAY ──both streams at their ends──▶ FOLLOW_LIVE ──hole, heartbeat──▶ (back)
 *
 * A replay fetches both streams side by side, one piece of each at a time, and plans what of them
 * is applied next so that they stay together: when event N is in the views, so are the rejections
 * that were known before it (after_event_id < N); and behind each piece of events that is applied
 * whole, none but those (behind a part of one: none that are known behind later events). So a view
 * as it is then can stand for any later moment. One request is under way at a time, for the stream
 * whose piece is used up. While a replay goes on the caller leaves live messages unread in the SUB
 * queue, so that they join on afterwards; if the queue overflowed meanwhile there is one more hole
 * and one more replay. While the replay is far from its end they are of no use: the caller then
 * does without them. Every record is applied exactly once and in order.
 *
 * A replay begins with the last record applied, the anchor, and a live message that overlaps holds
 * it too: its hash must be the same. So a log that lost records which were published (a disk that
 * lied) and then gave their ids out again is found out. Two joins go without that proof: a live
 * message that begins exactly behind what was seen, and, with a processor that answers with one
 * record at a time, every second reply.
 *
 * No sockets, no clock; time is an argument (any clock that only goes forward, ns). Not
 * thread-safe.
 */
#ifndef WEIR_PROJECTOR_CORE_FOLLOW_H
#define WEIR_PROJECTOR_CORE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/control.h"
#include "common/wire/feed.h"

#define FOLLOW_REPEAT_NS (1 * 1000000000ULL) /* an unanswered request is sent again */

enum {
    FOLLOW_STREAMS = 2,
    FOLLOW_FAR = 50000, /* records: some pieces of a replay, and less than the SUB queue holds */
};
enum follow_phase { FOLLOW_REPLAY, FOLLOW_LIVE };

/* How far one stream was applied. */
struct follow_side {
    uint64_t next_id; /* the record to apply next, ≥ 1 */
    uint64_t
        anchor; /* hash_content of record next_id − 1; 0: unknown; meaningless where next_id is 1 */
};

/* What a replay has of one stream. */
struct follow_replay {
    bool is_known;    /* a reply came */
    uint64_t log_end; /* last id of the log, as the last reply said */
    uint64_t kept;    /* records that the caller keeps: those behind what was applied */
};

/* A replay request. The same number means the same request, sent again. */
struct follow_ask {
    uint64_t number;
    enum stream stream;
    uint64_t from; /* first id wanted, inclusive */
};

/* What to do with the body of a message or reply: pass over `skip` records; the next `count`, which
 * are all others, are new. Where `anchored`, record skip − 1 of the body is the last one applied:
 * call follow_check_anchor before anything is applied. New records of a message are applied at
 * once, those of a reply kept. */
struct follow_step {
    enum stream stream;
    uint64_t skip;
    uint64_t count; /* 0: nothing is new */
    bool anchored;
};

/* What of the kept records is applied next: those rejections, then so many events. */
struct follow_plan {
    uint64_t rejections_below; /* with a lower after_event_id; UINT64_MAX: all */
    uint64_t events;
};

struct follow {
    struct log_id log_id;
    struct follow_side sides[FOLLOW_STREAMS]; /* by enum stream */
    enum follow_phase phase;
    struct follow_replay replay[FOLLOW_STREAMS]; /* by enum stream */
    uint64_t covered;      /* rejections with a lower after_event_id are kept or applied */
    struct follow_ask ask; /* the last request */
    uint64_t ask_covers;   /* `covered` if the request, for rejections, finds their end */
    bool is_asking;        /* the reply to it is wanted */
    bool ask_is_new;       /* not sent yet */
    uint64_t asked_at_ns;  /* when it was last sent */
    uint64_t replays;      /* times that following went back to replay; the first is the start */
};

/* Stands behind `sides` (checkpoints; {.next_id = 1} for a beginning) and wants a replay. */
void follow_init(struct follow *follow, const struct log_id *log_id,
                 const struct follow_side sides[FOLLOW_STREAMS]);

/* May the caller read live messages now? */
bool follow_is_live(const struct follow *follow);
/* Far from live: more than FOLLOW_FAR records of a stream are known to be missing, so live messages
 * need not even be sent to us. Near: it is known that they are not. Before the first reply to a
 * replay it is neither. */
bool follow_is_far(const struct follow *follow);
bool follow_is_near(const struct follow *follow);
/* The caller does without live messages from now on: replays, until it is near again. */
void follow_leave(struct follow *follow);

/* The request to send at `now_ns`, if there is one. */
bool follow_asks(struct follow *follow, uint64_t now_ns, struct follow_ask *ret_ask);
/* When follow_asks may have one, if nothing else happens before; UINT64_MAX: never. */
uint64_t follow_due_ns(const struct follow *follow);

/* A reply to request `number`. Replies to requests that are over give an empty step. DAMAGED: the
 * log ends before what we have seen. FENCED: another log. */
MUST_USE enum status follow_reply(struct follow *follow, uint64_t number,
                                  const struct replay_reply *reply, struct follow_step *ret_step,
                                  struct detail *ret_detail);
/* The `count` ≥ 1 new records of a reply are kept by the caller; `after_event_id`: of the last, if
 * they are rejections. */
void follow_keep(struct follow *follow, enum stream stream, uint64_t count,
                 uint64_t after_event_id);
/* What to apply of what is kept; false: nothing before the next reply, or it is live now. Again
 * after each reply and each plan that was carried out. follow_asks then has the next request: send
 * it before the plan is carried out, and the processor reads while we apply. */
bool follow_plan(struct follow *follow, struct follow_plan *ret_plan);
/* A live message; only while follow_is_live. FENCED: another log. */
MUST_USE enum status follow_message(struct follow *follow, enum stream stream,
                                    const struct feed_header *header, struct follow_step *ret_step,
                                    struct detail *ret_detail);
/* A live heartbeat; only while follow_is_live. FENCED: another log. */
MUST_USE enum status follow_heartbeat(struct follow *follow, const struct heartbeat *heartbeat,
                                      struct detail *ret_detail);

/* `hash`: of the record that ought to be the last one applied. DAMAGED if it is another. */
MUST_USE enum status follow_check_anchor(const struct follow *follow, enum stream stream,
                                         uint64_t hash, struct detail *ret_detail);
/* `count` ≥ 1 records were applied; `hash` is that of the last. */
void follow_applied(struct follow *follow, enum stream stream, uint64_t count, uint64_t hash);

#endif
