/* http: a projector over HTTP: its views, events of the log, what it measures, and the dashboard.
 *
 *     /  /views  /views/NAME  /events  /live  /status  /samples  /metrics  /healthz  /readyz
 *
 * Reads only. Runs in the thread of the fold, between two pieces of the log, so each answer shows
 * one position; the work of a turn is bounded (HTTP_VIEWS_PER_TURN). What takes longer (events,
 * views as of then) is asked for elsewhere and answered when it is there.
 */
#ifndef WEIR_PROJECTOR_HTTP_HTTP_H
#define WEIR_PROJECTOR_HTTP_HTTP_H

#include "projector/follower.h"
#include "projector/http/view_replies.h"

enum { HTTP_SOCKETS = 2 }; /* to wait on */

struct http;

/* Borrowed; all outlive it. */
struct http_options {
    const char *address; /* ADDR:PORT */
    const char *name;    /* of this projector */
    const struct endpoints *endpoints;
    struct log_id log_id;
    uint64_t kept_event_id; /* of the newest checkpoint */
    struct fold *fold;
    struct follower *follower;
    http_ask_fn *ask; /* so that HTTP knows of views only what the query socket knows */
    http_ask_then_fn *ask_then;
    void *ask_owner;
};

MUST_USE enum status http_open(const struct http_options *options, struct http **ret_http,
                               struct detail *ret_detail);
void http_close(struct http **http);
/* Where it listens. */
const char *http_address(const struct http *http);

/* A checkpoint up to this event was committed; it took so long. */
void http_note_checkpoint(struct http *http, uint64_t event_id, uint64_t took_ns);

void http_wait_on(struct http *http, struct socket_wait ret_items[HTTP_SOCKETS]);
/* CLOCK_BOOTTIME in ns at which a turn is due whatever comes. */
uint64_t http_due_ns(struct http *http);
void http_turn(struct http *http, uint64_t now_ns);

#endif
