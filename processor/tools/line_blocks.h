/* line_blocks: the lines of a recorded file as blocks of events, read and parsed by a thread of its
 * own: parsing takes longer than deciding, so the two run side by side.
 *
 *     line_blocks_new → line_blocks_start → (line_blocks_next → line_blocks_return) … →
 *     line_blocks_destroy
 *
 * A few blocks go round; the thread waits when all of them are full. At a stop (lifecycle) it ends
 * with what it has.
 */
#ifndef WEIR_PROCESSOR_TOOLS_LINE_BLOCKS_H
#define WEIR_PROCESSOR_TOOLS_LINE_BLOCKS_H

#include "common/upload/lines.h"

enum {
    BLOCK_LINES_MAX = 1024,
    BLOCK_BYTES_MAX = 6 * 1024 * 1024, /* events, names and reasons; a line never needs as much */
};

/* One line that is not blank. Places are offsets into the block's bytes. */
struct block_line {
    uint64_t number;      /* in the file, from 1 */
    uint32_t event_at;    /* the event, or, of a bad line, the reason (NUL-terminated) */
    uint32_t event_bytes; /* 0: the line is bad */
    uint32_t source_at;
    uint32_t source_bytes;
};

struct line_block {
    struct buffer bytes;
    struct block_line lines[BLOCK_LINES_MAX];
    uint32_t count;
    struct upload_prefix end; /* of the file, with all lines up to here */
    bool over;                /* the input has ended behind it */
    enum status status;       /* OK; IO: the input failed behind it */
    struct detail detail;
};

struct line_blocks;

/* Takes over nothing: `lines` and `source` (--source, or NULL) are borrowed. A line without a time
 * is bad: there would be nothing to decide it by. NULL when out of memory. */
struct line_blocks *line_blocks_new(struct lines *lines, const char *source);
/* Stops the thread where it is. */
void line_blocks_destroy(struct line_blocks **blocks);
MUST_USE enum status line_blocks_start(struct line_blocks *blocks, struct detail *ret_detail);

/* The next block, waited for; NULL when no more comes. */
struct line_block *line_blocks_next(struct line_blocks *blocks);
void line_blocks_return(struct line_blocks *blocks, struct line_block *block);

static inline struct slice block_slice(const struct line_block *block, uint32_t at, uint32_t bytes)
{
    return (struct slice){block->bytes.data + at, bytes};
}

#endif
