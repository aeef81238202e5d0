/* asof: answers for a view as of an earlier event or time, in a thread of its own.
 *
 * The nearest snapshot of that one view (a view in SQL has none: the beginning), then a replay from
 * the processor, into rows of its own: so following the log and other queries never wait for it.
 * Questions queue, at most ASOF_QUESTIONS_MAX; the answers to the last few are kept, for they never
 * change. All functions belong to the thread that opened it; answers are handed over there, by
 * asof_turn.
 */
#ifndef WEIR_PROJECTOR_ASOF_H
#define WEIR_PROJECTOR_ASOF_H

#include <stdbool.h>

#include "common/wire/control.h"
#include "common/wire/endpoint.h"
#include "projector/core/fold.h"
#include "projector/views/view.h"

enum { ASOF_QUESTIONS_MAX = 64 };

struct asof;

struct asof_options {
    const struct endpoints *endpoints; /* copied */
    struct log_id log_id;
    uint64_t since;                       /* the event that the views begin with; 1: the first */
    struct fold_mark first;               /* where a view without a snapshot begins, and … */
    const char *first_policy;             /* … the policies in force there, INI; copied */
    const char *database;                 /* path of the snapshots; NULL: none; copied */
    const struct view_type *const *types; /* outlive it */
    uint32_t type_count;
};

struct asof_question {
    struct slice view; /* its name */
    struct slice text; /* of a view in SQL (fold_view_text); size 0: a built-in view */
    enum at_kind at;   /* AT_EVENT_ID or AT_TIME */
    uint64_t event_id; /* AT_EVENT_ID */
    uint64_t time_ns;  /* AT_TIME */
};

/* `reply` is a whole reply frame as docs/protocol.md, "Query", has it: [1, "ok", map] or
 * [1, "error", code, text]; it lives until the call returns. */
typedef void asof_answer_fn(void *owner, struct slice reply);

MUST_USE enum status asof_open(const struct asof_options *options, struct asof **ret_asof,
                               struct detail *ret_detail);
/* Questions that are open are answered with `unavailable`. */
void asof_close(struct asof **asof);

/* Takes a question; `on_answer` is called for it exactly once, from asof_turn or asof_close. FULL:
 * too many wait; nothing is called. */
MUST_USE enum status asof_ask(struct asof *asof, const struct asof_question *question,
                              asof_answer_fn *on_answer, void *owner);

/* Readable while answers wait. */
int asof_fd(const struct asof *asof);
/* Hands over the answers that are there. */
void asof_turn(struct asof *asof);

#endif
