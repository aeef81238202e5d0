/* follow: how a projector keeps up with the log, as pure logic: replay from where it stands, then
 * live; a hole, or a heartbeat that says another position, and it replays again.
 *
 *     REPLAY_REJECTED ──end──▶ REPLAY_ACCEPTED ──end──▶ LIVE ──hole, heartbeat elsewhere──▶ (back)
 *
 * Rejections are fetched first: when event N is in the views, so are the rejections that were known
 * before it. While a replay goes on the caller leaves live messages unread in the SUB queue, so
 * that they join on afterwards; if the queue overflowed meanwhile there is one more hole and one
 * more replay. Every record is applied exactly once and in order.
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

enum { FOLLOW_STREAMS = 2 };
enum follow_phase { FOLLOW_REPLAY_REJECTED, FOLLOW_REPLAY_ACCEPTED, FOLLOW_LIVE };

/* How far one stream was applied. */
struct follow_side {
    uint64_t next_id; /* the record to apply next, ≥ 1 */
    uint64_t
        anchor; /* hash_content of record next_id − 1; 0: unknown; meaningless where next_id is 1 */
};

/* A replay request. The same number means the same request, sent again. */
struct follow_ask {
    uint64_t number;
    enum stream stream;
    uint64_t from; /* first id wanted, inclusive */
};

/* What to do with the body of a message or reply: pass over `skip` records, apply the next `count`,
 * then call follow_applied. Where `anchored`, record skip − 1 of the body is the last one applied:
 * call follow_check_anchor before anything is applied. */
struct follow_step {
    enum stream stream;
    uint64_t skip;
    uint64_t count; /* 0: nothing to apply */
    bool anchored;
};

struct follow {
    struct log_id log_id;
    struct follow_side sides[FOLLOW_STREAMS]; /* by enum stream */
    enum follow_phase phase;
    struct follow_ask ask; /* the request of this phase */
    bool ask_is_new;       /* not sent yet */
    uint64_t asked_at_ns;  /* when it was last sent */
    uint64_t replays;      /* times that following went back to replay; the first is the start */
};

/* Stands behind `sides` (checkpoints; {.next_id = 1} for a beginning) and wants a replay. */
void follow_init(struct follow *follow, const struct log_id *log_id,
                 const struct follow_side sides[FOLLOW_STREAMS]);

/* May the caller read live messages now? */
bool follow_is_live(const struct follow *follow);

/* The request to send at `now_ns`, if there is one. */
bool follow_asks(struct follow *follow, uint64_t now_ns, struct follow_ask *ret_ask);
/* When follow_asks may have one, if nothing else happens before; UINT64_MAX: never. */
uint64_t follow_due_ns(const struct follow *follow);

/* A reply to request `number`. Replies to requests that are over give an empty step. After it,
 * follow_asks has the next request at once: send it before the step is carried out, and the
 * processor reads while we apply. DAMAGED: the log ends before what we have seen. FENCED: another
 * log. */
MUST_USE enum status follow_reply(struct follow *follow, uint64_t number,
                                  const struct replay_reply *reply, struct follow_step *ret_step,
                                  struct detail *ret_detail);
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
/* `count` records were applied; `hash` is that of the last. */
void follow_applied(struct follow *follow, enum stream stream, uint64_t count, uint64_t hash);

#endif
