/* view_replies: views over HTTP: the list of them, and each of them now or as of then.
 *
 * Views may have many rows, so requests for one wait for their turn, HTTP_VIEWS_PER_TURN at a time,
 * at most HTTP_VIEWS_WAITING_MAX. What is asked as of then is asked for elsewhere and answered when
 * it is there. HTTP knows of views only what the query socket knows. Belongs to the thread of the
 * fold.
 */
#ifndef WEIR_PROJECTOR_HTTP_VIEW_REPLIES_H
#define WEIR_PROJECTOR_HTTP_VIEW_REPLIES_H

#include "projector/core/fold.h"
#include "projector/http/http_request.h"
#include "projector/http/http_server.h"

enum {
    HTTP_VIEWS_PER_TURN = 2, /* views written out in one turn */
    HTTP_VIEWS_WAITING_MAX = 64,
};

struct view_replies;

/* Appends the reply to a request of the query protocol (answer.h) to an empty buffer. */
typedef void http_ask_fn(void *owner, struct slice request, struct buffer *reply);

/* The same as of an earlier moment: `tell` is called with the reply exactly once, later; not after
 * a status other than OK. */
typedef void http_told_fn(void *owner, struct slice reply);
typedef enum status http_ask_then_fn(void *owner, const struct control_request *request,
                                     http_told_fn *tell, void *tell_owner);

/* Borrowed; all outlive it. */
struct view_replies_options {
    struct fold *fold;
    http_ask_fn *ask;
    http_ask_then_fn *ask_then;
    void *ask_owner;
};

MUST_USE enum status view_replies_open(const struct view_replies_options *options,
                                       struct view_replies **ret_replies,
                                       struct detail *ret_detail);
/* All their exchanges must be over. */
void view_replies_close(struct view_replies **replies);

/* Answers /views. */
void view_replies_list(struct view_replies *replies, struct http_exchange *exchange);
/* Answers /views/NAME later. */
void view_replies_queue(struct view_replies *replies, struct http_exchange *exchange,
                        const struct http_request *request);

/* A bounded piece of what waits. */
void view_replies_turn(struct view_replies *replies);
bool view_replies_wait(const struct view_replies *replies);

#endif
