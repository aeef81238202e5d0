/* reader: reading the durable part of the log by id and by time, with pread, while another thread
 * appends.
 *
 * It never goes past the `durable` it is given, checks every checksum before it gives out a byte,
 * and keeps a few cursors so that readers who go on where they stopped cost no search. Segments by
 * binary search over their first headers; within one, from batch header to batch header. Not
 * thread-safe: one reader per thread.
 */
#ifndef WEIR_PROCESSOR_STORE_READER_H
#define WEIR_PROCESSOR_STORE_READER_H

#include "common/wire/control.h"
#include "processor/store/batch.h"

struct reader;

/* IO, NO_MEMORY. */
MUST_USE enum status reader_new(const char *directory, struct reader **ret_reader,
                                struct detail *ret_detail);
void reader_destroy(struct reader **reader);

/* Appends records from id `from` on to `body`: at most `max` records and REPLAY_BODY_BYTES_MAX, at
 * least one if there is one. Past the end: count 0. Fills first_id, count and last_id of the reply
 * (log_id is the caller's). GONE with the first kept id in ret_reply->first_id; DAMAGED names file
 * and offset; IO. */
MUST_USE enum status reader_replay(struct reader *reader, const struct durable *durable,
                                   enum stream stream, uint64_t from, uint64_t max,
                                   struct buffer *body, struct replay_reply *ret_reply,
                                   struct detail *ret_detail);

/* First id of the stream with time ≥ time_ns, or last + 1. */
MUST_USE enum status reader_seek(struct reader *reader, const struct durable *durable,
                                 enum stream stream, uint64_t time_ns, uint64_t *ret_id,
                                 struct detail *ret_detail);

/* The first batch that is kept; number 0: nothing was ever dropped. DAMAGED, IO. */
MUST_USE enum status reader_first(struct reader *reader, const struct durable *durable,
                                  struct batch_header *ret_first, struct detail *ret_detail);

/* Visits the batches whose last time is ≥ from_ns, in order, up to `durable`. */
MUST_USE enum status reader_visit(struct reader *reader, const struct durable *durable,
                                  uint64_t from_ns, log_visit_fn *visit, void *context,
                                  struct detail *ret_detail);

/* What to do about a batch of which only the header was read. */
enum reader_wish { READER_TAKE, READER_PASS, READER_STOP };
struct reader_choice {
    enum reader_wish (*wish)(void *context, const struct batch_header *header);
    log_visit_fn *visit; /* of those to take */
    void *context;
};
/* As reader_visit, but only the batches that are wished for: the others cost their headers. */
MUST_USE enum status reader_visit_chosen(struct reader *reader, const struct durable *durable,
                                         uint64_t from_ns, const struct reader_choice *choice,
                                         struct detail *ret_detail);

/* Goes on from `start` (a zeroed one: from the genesis) and visits every batch up to `durable`,
 * each checked to continue the one before; `start` moves behind each batch whose visit returned OK.
 * A visit that returns END ends it, and so does reader_follow. OK: all were visited. GONE where the
 * log no longer has that segment; DAMAGED, IO, what `visit` returned. */
MUST_USE enum status reader_follow(struct reader *reader, const struct durable *durable,
                                   struct log_start *start, log_visit_fn *visit, void *context,
                                   struct detail *ret_detail);

#endif
