/* sql_views: the views in SQL of one projector, in its database.
 *
 *     offered text ──▶ live version ◀── queries              the view's tables
 *     another text ──▶ next version, made beside it from the log; once it has come as far as the
 *                      live one it takes its place           the same with "~next" behind
 *
 * A text that cannot be used, or an event that fails, parks that version: the reason is shown, the
 * live version before it goes on, the other views are not touched. Each version has its own place
 * in the log (weir_checkpoints) and its text and counts (weir_sql_views); both are written in the
 * transaction that holds the rows. Transactions are the keeper's to commit: this is its guest.
 *
 * They begin with event `since`; what began with another is made anew. Versions that stand behind
 * the others (new ones, or all of them after a transaction was lost) are fed by sql_views_apply
 * with what was replayed for them. Belongs to one thread, that of the store.
 */
#ifndef WEIR_PROJECTOR_SQL_VIEWS_H
#define WEIR_PROJECTOR_SQL_VIEWS_H

#include "common/wire/control.h"
#include "common/wire/record.h"
#include "projector/core/fold.h"
#include "projector/store/store.h"

enum { SQL_VIEWS_MAX = 64 };

struct sql_views;

struct sql_views_options {
    struct store *store; /* outlives them */
    struct log_id log_id;
    uint64_t last_event_id; /* of the log; what has seen more was made from another one */
    uint64_t since;         /* the event that they begin with; 0 or 1: the log's first */
};

/* Loads what the database has; a version that is damaged or was made by another program is made
 * anew, and the log says so. FENCED: it was made from another log. DAMAGED: it is ahead of this
 * log. */
MUST_USE enum status sql_views_open(const struct sql_views_options *options,
                                    struct sql_views **ret_views, struct detail *ret_detail);
void sql_views_close(struct sql_views **views);

/* --- files --- */

/* Is the text of this file known, so that it need not be offered until it changes? */
bool sql_views_knows(const struct sql_views *views, const char *name);
/* There is a file NAME.sql with this text; nothing if that is known. */
void sql_views_offer(struct sql_views *views, const char *name, struct slice text);
/* There is such a file, but it cannot be read: `why`. */
void sql_views_offer_unreadable(struct sql_views *views, const char *name, const char *why);
/* The file is gone: so are the view and its tables. */
void sql_views_withdraw(struct sql_views *views, const char *name);

/* --- the log --- */

/* Records that come next for some versions; those that stand elsewhere pass over what they have
 * seen or cannot use yet. Never fails: what goes wrong is shown as a problem. */
void sql_views_apply(struct sql_views *views, const struct accepted_record *records,
                     uint32_t count);
/* The event to begin with, to feed the version that is furthest behind `event_id`; 0: none is. */
uint64_t sql_views_behind(const struct sql_views *views, uint64_t event_id);
/* The log has let go of this event: parks the versions that need it, or one before it. */
void sql_views_gone(struct sql_views *views, uint64_t event_id);

/* --- transactions --- */

/* Is there anything that was not committed? */
bool sql_views_have_news(const struct sql_views *views);
/* Should it be committed now, for tables came or went? */
bool sql_views_want_commit(const struct sql_views *views);
/* Writes how far each version is; just before a commit. */
MUST_USE enum status sql_views_write(struct sql_views *views, struct detail *ret_detail);
void sql_views_committed(struct sql_views *views);
/* The transaction was rolled back. */
void sql_views_lost(struct sql_views *views);
/* After the database failed nothing is tried until this is called. */
void sql_views_retry(struct sql_views *views);
/* Was it lost here since the last call? Whoever else had written in it must know. */
bool sql_views_take_loss(struct sql_views *views);

/* --- questions --- */

uint32_t sql_views_count(const struct sql_views *views);
const char *sql_views_name(const struct sql_views *views, uint32_t view);
/* The place of the view with this name; sql_views_count if there is none. */
uint32_t sql_views_find(const struct sql_views *views, struct slice name);
/* What is wrong with the file, or with the view; NULL: nothing. */
const char *sql_views_problem(const struct sql_views *views, uint32_t view);
/* Of the version that answers, or is parked; 0: there is none. */
uint64_t sql_views_rows(const struct sql_views *views, uint32_t view);
/* The text of the version that answers; size 0: none does. */
struct slice sql_views_text(const struct sql_views *views, uint32_t view);

/* Appends the whole reply to a request for this view as of now (docs/protocol.md, "Query");
 * `position` is the projector's. */
void sql_views_answer(struct sql_views *views, uint32_t view, const struct control_request *asked,
                      const struct fold_position *position, struct buffer *reply);

#endif
