/* sender: takes lines from a file or a stream, turns them into events, hands them in and, for a
 * file, keeps the record that lets an upload go on.
 *
 * A file's upload can be killed at any moment: an event's sequence is its place among the lines of
 * its source, the processor knows the last one it decided, and before a source's first event is
 * sent the record on disk says that the source is this file's (common/upload/upload.h). A stream
 * goes on from the sources' last sequences. Belongs to one thread.
 */
#ifndef WEIR_PRODUCER_SENDER_H
#define WEIR_PRODUCER_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/upload/lines.h"
#include "common/upload/upload.h"
#include "common/upload/upload_file.h"
#include "producer/producer.h"
#include "producer/progress.h"

struct sender_options {
    struct endpoint_options endpoints;
    const char *path;   /* "-": standard input */
    const char *source; /* NULL: the lines' own */
    bool append;
};

struct sender {
    struct sender_options options;
    struct producer *producer;
    struct lines *lines;
    struct progress progress;
    struct upload upload;
    struct upload_file *record; /* NULL: a stream, nothing to go on from */
    uint64_t record_due_ns;     /* when the next mark is made */

    /* By the producer's index of a source: */
    uint32_t upload_index[PRODUCER_SOURCES_MAX];   /* in upload.sources */
    uint64_t decided_before[PRODUCER_SOURCES_MAX]; /* hello's last_sequence */

    struct buffer event;   /* the newest line's MessagePack */
    bool event_waits;      /* it found no room yet */
    uint32_t event_source; /* its source, the producer's index */
    uint64_t bad_lines;
    uint64_t known_lines; /* events that were decided before this run */
};

/* Opens the input, connects and, for a file, finds where the last run stopped. Afterwards, whatever
 * the status, sender_fini. */
MUST_USE enum status sender_init(struct sender *sender, const struct sender_options *options,
                                 struct detail *ret_detail);
void sender_fini(struct sender *sender);

/* Until the input is over and every event has its verdict, or a stop was asked for and the verdicts
 * are there or have been waited for. A bad line is reported on stderr and counted. */
MUST_USE enum status sender_run(struct sender *sender, struct detail *ret_detail);

#endif
