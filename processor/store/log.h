/* log: the append-only store. One batch = one group commit, a self-contained byte string with a
 * number.
 *
 * Segments of SEGMENT_BYTES named by their first batch number; a new one has its space reserved, is
 * fdatasynced, renamed into place and its folder fsynced before it takes its first batch (a thread
 * of the log prepares the next one ahead of need). Bytes on disk: docs/log-format.md. Batch 0 is
 * the genesis: log id, time of creation, first policies.
 *
 * log_open, log_append and log_close belong to one thread at a time; log_room and log_durable are
 * for any thread.
 */
#ifndef WEIR_PROCESSOR_STORE_LOG_H
#define WEIR_PROCESSOR_STORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/wire/record.h"

enum {
    SEGMENT_BYTES = 64 * 1024 * 1024,
    SEGMENT_BYTES_MIN = 4 * 1024 * 1024,
    SEGMENT_BYTES_LARGEST = 1024 * 1024 * 1024,
    BATCH_BYTES_MAX = 2 * 1024 * 1024, /* header and payload, with padding */
    BATCH_HEADER_BYTES = 128,
    BATCH_EVENTS_MAX = 65536,
    LOG_APPEND_BATCHES_MAX = 64, /* in one group */
};

enum batch_kind { BATCH_GENESIS = 1, BATCH_ORDINARY = 2 };

struct batch_header {
    enum batch_kind kind;
    uint64_t number;             /* 0, 1, 2, … */
    uint64_t first_event_id;     /* also where event_count is 0: the next id */
    uint64_t first_rejection_id; /* likewise */
    uint32_t event_count;
    uint32_t rejection_count;
    uint64_t first_time_ns;
    uint64_t last_time_ns;
    uint64_t state_digest; /* of the state behind the batch; 0: not kept */
};

/* A batch in memory: the parts lie one after another on disk in this order. For the genesis,
 * `sources` is the genesis record and the others are empty. */
struct batch_view {
    struct batch_header header;
    struct slice sources; /* source records, see processor/store/source_record.h */
    struct slice
        accepted; /* accepted records one after another: the body of the topic `accepted` */
    struct slice rejected; /* rejection records one after another */
    uint64_t segment;      /* on reading: the segment it lies in, and where it ends there */
    uint64_t end_offset;   /* bytes */
    uint64_t salt;         /* on reading: the log's, secret (state_seed) */
};

struct log_options {
    const char *directory;
    uint64_t segment_bytes;        /* 0: SEGMENT_BYTES */
    struct slice genesis;          /* payload of batch 0, used only when the store is new */
    uint64_t created_at_ns;        /* time of batch 0 */
    const struct log_start *start; /* what is before it is not read; NULL: all is (scan.h) */
};

/* Called for each batch in order, verified; the views die with the call. A failure stops the
 * opening. */
typedef enum status log_visit_fn(void *context, const struct batch_view *batch,
                                 struct detail *ret_detail);

struct log;

/* Opens or creates the store (the caller holds its lock; DIRECTORY exists) and folds all of it
 * through `visit`. A torn last write is set aside into DIRECTORY/set-aside/ (ret_warning says so,
 * else it is ""); any other damage is STATUS_DAMAGED and names file and offset (the rule: scan.h).
 * Before it returns it rewrites the last write in place and fdatasyncs it, and log_room knows
 * whether there is space for what comes next. IO, NO_SPACE (a new store that does not fit, or no
 * space to set something aside), NO_MEMORY, what `visit` returned. */
MUST_USE enum status log_open(const struct log_options *options, log_visit_fn *visit, void *context,
                              struct log **ret_log, struct detail *ret_warning,
                              struct detail *ret_detail);
void log_close(struct log **log);

/* Appends `count` batches with one write and one fdatasync (two of each where the group goes on in
 * the next segment); when it returns OK they are durable and log_durable has moved. Waits where
 * that segment is just being prepared, which never happens when log_room was heeded. OUT_OF_ORDER:
 * a number, id or time that is not the next; TOO_LARGE, INVALID: sizes and counts that no batch may
 * have; NO_SPACE: the disk is full, or the group needs more than one new segment: in all these
 * cases nothing is written. IO: the log takes nothing more; stop at once, acknowledge nothing. */
MUST_USE enum status log_append(struct log *log, const struct batch_view *batches, uint32_t count,
                                struct detail *ret_detail);

struct log_room {
    uint32_t batches; /* of BATCH_BYTES_MAX that surely fit what is reserved now; never 0 after
                         an I/O error, so that the next append tells of it */
    bool no_space; /* the last attempt to prepare a segment found the disk full (it is tried again
                      every second) */
};
struct log_room log_room(const struct log *log);

/* Where the durable part of the log ends. */
struct durable {
    uint64_t last_batch;
    uint64_t last_event_id;
    uint64_t last_rejection_id;
    uint64_t last_time_ns;
    uint64_t segment;      /* first batch number of the segment that holds the end */
    uint64_t offset;       /* in that segment: first byte behind the last durable batch */
    uint64_t state_digest; /* of the state there; 0: not kept */
};
struct durable log_durable(const struct log *log);

#endif
