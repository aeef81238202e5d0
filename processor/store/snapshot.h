/* snapshot: files that hold the state as of a place in the log, DIRECTORY/snapshots/
 * NNNNNNNNNNNNNNNNNNNN.snap, each named by the number of the batch that comes next.
 *
 *     header (SNAPSHOT_HEADER_BYTES) | block, block, … | end
 *     block: bytes, 4; CRC-32C, 4; the bytes               end: a block of 0 bytes
 *
 * The first block is the log's genesis record, the others are the state's image (state_image.h),
 * which this folder does not look into. Each CRC goes on from that of the block before and the
 * first from that of the header, so blocks cannot be left out or moved. A snapshot is written under
 * another name and renamed when it is durable: a name that is there stands for the whole file.
 * Nothing depends on snapshots but time: the log alone is the authority, and a bad one is passed
 * over. Byte by byte: docs/log-format.md.
 */
#ifndef WEIR_PROCESSOR_STORE_SNAPSHOT_H
#define WEIR_PROCESSOR_STORE_SNAPSHOT_H

#include "processor/store/scan.h"
#include "processor/store/segment.h"

#define SNAPSHOT_FOLDER    "snapshots"
#define SNAPSHOT_TEMP_NAME "new.snap.part" /* being written; holds nothing of value */

enum {
    SNAPSHOT_FORMAT_VERSION = 1,
    SNAPSHOT_HEADER_BYTES = 128,
    SNAPSHOT_BLOCK_BYTES_MAX = 64 * 1024,
};

struct snapshot_header {
    struct log_start start; /* the batch that comes next */
    struct log_id log_id;
};

/* The numbers of all snapshots in a store, ascending; none where there is no folder. IO, NO_MEMORY.
 */
MUST_USE enum status snapshot_list_read(struct segment_list *list, const char *directory,
                                        struct detail *ret_detail);
/* Removes one; the name is gone for good when the folder is synced. IO. */
MUST_USE enum status snapshot_remove(const char *directory, uint64_t number,
                                     struct detail *ret_detail);

struct snapshot_writer;
/* Begins a snapshot; `genesis` is the log's genesis record. IO, NO_SPACE, NO_MEMORY. */
MUST_USE enum status snapshot_writer_new(const char *directory,
                                         const struct snapshot_header *header, struct slice genesis,
                                         struct snapshot_writer **ret_writer,
                                         struct detail *ret_detail);
/* An image_sink's put: appends at most SNAPSHOT_BLOCK_BYTES_MAX. IO, NO_SPACE. */
enum status snapshot_put(void *context, struct slice bytes, struct detail *ret_detail);
/* Makes it durable and gives it its name; ret_bytes is its size. IO, NO_SPACE. */
MUST_USE enum status snapshot_finish(struct snapshot_writer *writer, uint64_t *ret_bytes,
                                     struct detail *ret_detail);
/* Removes what was not finished. Safe on NULL. */
void snapshot_writer_destroy(struct snapshot_writer **writer);

struct snapshot_reader;
/* Opens one and checks its header; it must have the name of its number. NOT_FOUND, DAMAGED, IO,
 * NO_MEMORY. */
MUST_USE enum status snapshot_reader_new(const char *directory, uint64_t number,
                                         struct snapshot_reader **ret_reader,
                                         struct detail *ret_detail);
void snapshot_reader_destroy(struct snapshot_reader **reader);
const struct snapshot_header *snapshot_header(const struct snapshot_reader *reader);
uint64_t snapshot_bytes(const struct snapshot_reader *reader);
/* An image_source's take: the next block, checked; the genesis comes first. END behind the last,
 * where the file must end too. DAMAGED, IO. */
enum status snapshot_take(void *context, struct slice *ret_bytes, struct detail *ret_detail);

#endif
