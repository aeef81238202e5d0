/* upload: how far a file has been sent, so that an upload can be killed and go on. Pure.
 *
 * An event's sequence is its place among the lines of its source: base + 1, base + 2, …. The record
 * says which log, which file, which sources, and how long a beginning of the file (its prefix) has
 * a verdict for every line. Three positions move through the file:
 *
 *     saved ≤ marked ≤ read          marked becomes saved once every line before it is decided
 *
 * The record, as text (one item a line, ends with the CRC-32C of what stands before):
 *
 *     weir-upload 1
 *     log 32 hexadecimal digits
 *     file PATH                      bytes outside !-~, and %, as %XX
 *     prefix BYTES HASH LINES
 *     source BASE EVENTS NAME        any number; EVENTS: in the prefix
 *     crc 8 hexadecimal digits
 */
#ifndef WEIR_COMMON_UPLOAD_UPLOAD_H
#define WEIR_COMMON_UPLOAD_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/table.h"
#include "common/event/event.h"
#include "common/wire/message.h"

enum {
    UPLOAD_SOURCES_MAX = 16384,
    UPLOAD_PATH_BYTES_MAX = 4096,
    UPLOAD_RECORD_BYTES_MAX = 4 * 1024 * 1024,
};

/* A beginning of a file. */
struct upload_prefix {
    uint64_t bytes;
    uint64_t hash; /* of these bytes, see lines.h */
    uint64_t lines;
};

struct upload_source {
    char name[EVENT_SOURCE_BYTES_MAX + 1];
    uint64_t base;          /* last sequence before the file's first event of this source */
    uint64_t events_read;   /* in the part read */
    uint64_t events_marked; /* in the part marked */
    uint64_t events_saved;  /* in the part saved */
};

struct upload {
    struct log_id log_id;
    char path[UPLOAD_PATH_BYTES_MAX]; /* absolute */
    struct upload_prefix saved, marked;
    struct upload_source *sources; /* owned */
    uint32_t source_count;
    uint32_t source_capacity;
    struct hash_seed seed;
    struct table table; /* name → index */
    bool is_marked;     /* `marked` waits for its verdicts */
};

void upload_init(struct upload *upload);
void upload_fini(struct upload *upload);

/* The index of a source, or UPLOAD_SOURCES_MAX. */
uint32_t upload_find(const struct upload *upload, struct slice name);
/* Enters a source with no events so far. FULL above UPLOAD_SOURCES_MAX; NO_MEMORY. */
MUST_USE enum status upload_add(struct upload *upload, struct slice name, uint64_t base,
                                uint32_t *ret_index);
/* The sequence of the newest event read. */
uint64_t upload_sequence(const struct upload_source *source);

/* Marks all that has been read so far, `prefix` long. */
void upload_mark(struct upload *upload, const struct upload_prefix *prefix);
/* Every line before the mark is decided: the next record says so. */
void upload_save_mark(struct upload *upload);

void upload_record_write(struct buffer *buffer, const struct upload *upload);
/* Fills an initialised, empty upload; `read` stands where `saved` does. DAMAGED with a detail. */
MUST_USE enum status upload_record_read(struct slice text, struct upload *upload,
                                        struct detail *ret_detail);

#endif
