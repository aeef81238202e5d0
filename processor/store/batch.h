/* batch: the bytes of one batch on disk, written and checked. Pure: no I/O.
 *
 *     header (BATCH_HEADER_BYTES) | sources | accepted | rejected | zeros up to a multiple of 8
 *
 * The header is under its own CRC-32C and holds that of the payload and that of the header before,
 * so the batches form a chain. Field by field: docs/log-format.md, whose offsets stand here once,
 * in batch.c. Bytes are from a disk: whatever they are, the answer is a status.
 */
#ifndef WEIR_PROCESSOR_STORE_BATCH_H
#define WEIR_PROCESSOR_STORE_BATCH_H

#include "processor/store/log.h"

enum {
    BATCH_ALIGNMENT_BYTES = 8,
    BATCH_FORMAT_VERSION = 2, /* written */
    BATCH_FORMAT_OLDEST = 1,  /* read */
    BATCH_PARTS = 3,
};

/* What a header says besides struct batch_header. */
struct batch_seal {
    uint64_t salt;          /* random, one per log, in every header, never published */
    uint64_t write_first;   /* first batch of the write that brought this one: batches below it
                               were durable before this header was made */
    uint64_t segment_bytes; /* size of the file that holds the batch */
    uint32_t previous_crc;  /* header CRC of the batch before; 0 for the genesis */
    uint32_t payload_crc;
    uint32_t header_crc;
};

struct batch_disk {
    struct batch_header header;
    struct batch_seal seal;
    uint32_t part_bytes[BATCH_PARTS]; /* sources, accepted, rejected */
};

/* What the next batch must continue. */
struct batch_chain {
    uint64_t next_number;
    uint64_t next_event_id;
    uint64_t next_rejection_id;
    uint64_t last_time_ns;
    uint64_t salt;
    uint64_t write_first;  /* of the last batch */
    uint64_t state_digest; /* behind the last batch */
    uint32_t last_crc;     /* header CRC of the last batch */
};

/* A batch that is due somewhere: where, and what it must continue. */
struct log_start {
    uint64_t segment; /* where the batch before it ends (or 0): its number, and the offset there */
    uint64_t offset;
    struct batch_chain chain;
};

/* The chain before the genesis. */
void batch_chain_init(struct batch_chain *chain, uint64_t salt);
/* Number, kind, ids and times are the next ones. OUT_OF_ORDER, with the reason. */
MUST_USE enum status batch_chain_check(const struct batch_chain *chain,
                                       const struct batch_header *header,
                                       struct detail *ret_detail);
void batch_chain_advance(struct batch_chain *chain, const struct batch_disk *batch);

/* Counts and sizes are within their limits and fit one another. TOO_LARGE, INVALID. */
MUST_USE enum status batch_check(const struct batch_view *batch, struct detail *ret_detail);
/* Bytes on disk, header and padding included; of a batch that batch_check passed. */
uint64_t batch_bytes(const struct batch_view *batch);
/* Bytes on disk of the batch whose header this is. */
uint64_t batch_disk_bytes(const struct batch_disk *batch);

/* Writes the header of `batch`. The caller gives salt, write_first, segment_bytes and previous_crc
 * in `seal`; ret_disk is what was written. */
void batch_encode(const struct batch_view *batch, const struct batch_seal *seal,
                  uint8_t ret_bytes[BATCH_HEADER_BYTES], struct batch_disk *ret_disk);

/* Reads a header. END: all its bytes are zero. DAMAGED, with the reason: anything else that
 * batch_encode did not write. */
MUST_USE enum status batch_decode(const uint8_t bytes[BATCH_HEADER_BYTES],
                                  struct batch_disk *ret_disk, struct detail *ret_detail);
/* A decoded header continues the chain. DAMAGED, with the reason. */
MUST_USE enum status batch_follows(const struct batch_disk *batch, const struct batch_chain *chain,
                                   struct detail *ret_detail);
/* Checks and splits all batch_disk_bytes of a batch whose header was decoded. DAMAGED. */
MUST_USE enum status batch_open(const struct batch_disk *batch, struct slice bytes,
                                struct batch_view *ret_view, struct detail *ret_detail);

bool bytes_are_zero(const uint8_t *bytes, size_t size);

#endif
