/* upstream: questions of a projector's HTTP side to the processor: replay, seek, status. Many may
 * be open at once; each is answered once, by a reply or after UPSTREAM_LIMIT_NS by UNAVAILABLE.
 *
 * A DEALER of its own, beside the follower's, so that readers of old events never stand in the way
 * of following. Belongs to one thread.
 */
#ifndef WEIR_PROJECTOR_HTTP_UPSTREAM_H
#define WEIR_PROJECTOR_HTTP_UPSTREAM_H

#include "common/base/clock.h"
#include "common/wire/control.h"
#include "common/wire/socket.h"

#define UPSTREAM_LIMIT_NS (5 * NS_PER_S)

enum { UPSTREAM_ASKS_MAX = 64 };

struct upstream;

/* `reply` and `body` are frames and live until the call returns; both empty where status is not OK:
 * UNAVAILABLE, the processor did not answer. */
typedef void upstream_done_fn(void *owner, enum status status, struct slice reply,
                              struct slice body);

MUST_USE enum status upstream_open(const char *endpoint, struct upstream **ret_upstream,
                                   struct detail *ret_detail);
/* Open questions are not answered any more. */
void upstream_close(struct upstream **upstream);
struct socket *upstream_socket(struct upstream *upstream);

/* `done` is called later, from upstream_turn. FULL: too many are open; UNAVAILABLE: cannot be sent.
 */
MUST_USE enum status upstream_ask(struct upstream *upstream, const struct control_request *request,
                                  uint64_t now_ns, upstream_done_fn *done, void *owner);
/* Questions of this owner are not answered any more. */
void upstream_forget(struct upstream *upstream, const void *owner);

/* Takes a bounded number of replies. `now_ns`: CLOCK_BOOTTIME. */
void upstream_turn(struct upstream *upstream, uint64_t now_ns);
/* When the next question is given up; UINT64_MAX: none is open. */
uint64_t upstream_due_ns(const struct upstream *upstream);

#endif
