/* offline: recorded events decided in bulk, by their own times, through the very core, recorder,
 * ledger and log that decide online.
 *
 *     stamp = max (occurred_at, last stamp)        an event that comes late is counted
 *
 * An event's sequence is its place among the lines of its source, so what the log has decided is
 * not decided again; before a source's first event enters the log, the record (common/upload) says
 * that the source is this file's. A source's first event in a run raises its epoch, which fences
 * whoever else submits under that name. Every refusal is recorded one by one: there is no flood to
 * fear, for the file is as large as it is. So the same lines leave the same records, in however
 * many runs.
 *
 * Belongs to one thread.
 */
#ifndef WEIR_PROCESSOR_TOOLS_OFFLINE_H
#define WEIR_PROCESSOR_TOOLS_OFFLINE_H

#include "common/upload/upload_file.h"
#include "processor/draft.h"
#include "processor/tools/line_blocks.h"

struct offline_options {
    const char *path;           /* for people */
    struct upload_file *record; /* NULL: a stream, nothing to go on from */
    bool append;                /* events go behind those that their sources have */
};

struct offline_counts {
    uint64_t accepted;
    uint64_t refused[REASON_COUNT]; /* with the reports of shadow policies, which refuse nothing */
    uint64_t late;                  /* decided at a later time than their own */
    uint64_t known;                 /* decided before this run */
};

struct offline;

/* Takes over `state` and `upload` (what the record said, else empty) when it succeeds. The commit
 * thread of `service` runs. NULL when out of memory. */
struct offline *offline_new(struct service *service, struct state *state,
                            const struct offline_options *options, struct upload *upload);
void offline_destroy(struct offline **offline);

/* Decides the good lines of a block. BAD_INPUT: a source that is not this file's, or too many of
 * them; what the service failed with; INTERRUPTED. */
MUST_USE enum status offline_take(struct offline *offline, const struct line_block *block,
                                  struct detail *ret_detail);
/* Hands over what is open, and closes the queue to the commit thread, which ends then. */
void offline_seal(struct offline *offline);
/* Once all is durable: writes the record. With `over`, the input has ended: were the lines that
 * passed for decided really this file's? BAD_INPUT. */
MUST_USE enum status offline_finish(struct offline *offline, bool over, struct detail *ret_detail);

struct offline_counts offline_counts(const struct offline *offline);

#endif
