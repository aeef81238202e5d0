/* store_view: a store as a tool sees it: read only, up to its durable end.
 *
 * Nobody holds the store: the end is found by a scan of the last segment; a torn tail is left where
 * it is and not shown, with a warning. A processor holds it: the end is what that answers to
 * `status`, for bytes beyond may not be durable yet (the lock file says where to ask). Nothing is
 * written, no lock is kept. lifecycle_start was called. Belongs to one thread.
 */
#ifndef WEIR_PROCESSOR_TOOLS_STORE_VIEW_H
#define WEIR_PROCESSOR_TOOLS_STORE_VIEW_H

#include "common/app/moment.h"
#include "processor/store/log.h"
#include "processor/store/reader.h"

struct store_view;

/* IO: no store there. DAMAGED names file and offset. UNAVAILABLE: the processor that holds the
 * store does not answer within 5 s. BUSY: held by a process that answers no questions (batch).
 * INTERRUPTED. */
MUST_USE enum status store_view_open(const char *directory, struct store_view **ret_view,
                                     struct detail *ret_detail);
/* The same for a question about the log up to an event id or a time, which is quicker where that is
 * far enough back: the view may end anywhere behind `until`, and what is there is not looked at
 * (nor is the processor asked that may hold the store). Of store_view_durable the last time is then
 * not that of the log. */
MUST_USE enum status store_view_open_until(const char *directory, const struct moment *until,
                                           struct store_view **ret_view, struct detail *ret_detail);
void store_view_close(struct store_view **view);

/* Where the log ends for this view. */
const struct durable *store_view_durable(const struct store_view *view);
/* Looks again; the end never moves back (DAMAGED if the log lost what was shown: a reader that is
 * ahead of the log). As store_view_open. */
MUST_USE enum status store_view_refresh(struct store_view *view, struct detail *ret_detail);

/* To read up to store_view_durable; owned by the view. */
struct reader *store_view_reader(struct store_view *view);
const char *store_view_directory(const struct store_view *view);
/* Was a running processor asked for the end? Then its log time now, else 0. */
uint64_t store_view_now_ns(const struct store_view *view);

#endif
