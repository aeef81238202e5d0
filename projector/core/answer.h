/* answer: what a projector says to a request on its query socket: frame in, frame out. Pure.
 *
 *     [1, "views"]           [1, "ok", {"views": [name, …]}], with "problems" {name: text} if any
 *     [1, "view", name, nil] [1, "ok", {view, log_id, event_id, rejection_id, time, digest, rows}]
 *
 * `rows` is a list of maps, column → value, sorted by the first columns. A request may end with an
 * offset, or an offset and a limit, in rows. Where rows follow those of the reply, which has at
 * most ANSWER_ROWS_MAX, the map also has `next`: the number of the first of them, counted from 0.
 * `since` is there where the view begins with another event than the log's first.
 * `left_out` is there when a view was full: how many records it could not count; `note` where there
 * is something to say. Whatever the request's bytes are, there is one reply. As of earlier moments
 * asof.h answers, for that needs more than is here.
 */
#ifndef WEIR_PROJECTOR_CORE_ANSWER_H
#define WEIR_PROJECTOR_CORE_ANSWER_H

#include "projector/core/fold.h"

enum {
    ANSWER_ROWS_MAX = 10000,
    ANSWER_BYTES_MAX = 32 * 1024 * 1024, /* more than so many rows can have */
};

/* A view to be shown. */
struct answer_view {
    const char *name;
    const struct log_id *log_id;
    struct rows *rows;
    struct fold_position position;
    uint64_t since;   /* the event that it begins with; 0 or 1: the log's first */
    const char *note; /* a sentence for people; NULL: none */
    uint64_t offset;  /* rows to leave out at the beginning */
    uint64_t limit;   /* rows wanted; 0: as many as a reply holds */
};
/* Appends a good reply to an empty `reply` of ANSWER_BYTES_MAX. */
void answer_rows(const struct answer_view *view, struct buffer *reply);

/* Appends the reply to an empty `reply` of ANSWER_BYTES_MAX. Only a buffer that is out of memory
 * has a status then. */
void answer(struct fold *fold, const struct log_id *log_id, struct slice request,
            struct buffer *reply);

#endif
