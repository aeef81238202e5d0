#include "processor/tools/line_blocks.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/event/json.h"
#include "common/upload/line_event.h"
#include "processor/queue.h"

enum {
    BLOCKS = 4,
    BLOCK_BYTES_AIM = 256 * 1024, /* a block goes on its way when it has so many */
    WAIT_MS = 1000,
};

struct line_blocks {
    struct lines *lines;
    const char *source;
    struct queue *empty, *full; /* struct line_block */
    struct line_block *blocks[BLOCKS];
    pthread_t thread;
    bool running;
    atomic_bool ending;
};

/* ---- one block ---- */

static void block_clear(struct line_block *block)
{
    buffer_clear(&block->bytes);
    block->count = 0;
    block->over = false;
    block->status = STATUS_OK;
}

static uint32_t bytes_put(struct line_block *block, const void *bytes, size_t size)
{
    uint32_t at = (uint32_t)block->bytes.size;
    buffer_append(&block->bytes, bytes, size);
    return at;
}

static void bad_line_put(struct line_block *block, struct block_line *line, const char *reason)
{
    line->event_bytes = 0;
    line->event_at = bytes_put(block, reason, strlen(reason) + 1);
    block->count++;
}

static void line_put(struct line_blocks *blocks, struct line_block *block, struct slice text)
{
    char name[EVENT_SOURCE_BYTES_MAX + 1];
    struct detail reason;
    struct block_line *line = &block->lines[block->count];
    line->number = lines_number(blocks->lines);
    line->event_at = (uint32_t)block->bytes.size;
    enum status status =
        line_event_read(text, blocks->source, JSON_TIME_REQUIRED, &block->bytes, name, &reason);
    if (status == STATUS_END)
        return;
    if (status != STATUS_OK) {
        bad_line_put(block, line, reason.text);
        return;
    }
    line->event_bytes = (uint32_t)block->bytes.size - line->event_at;
    line->source_bytes = (uint32_t)strlen(name);
    line->source_at = bytes_put(block, name, line->source_bytes);
    block->count++;
}

/* ---- the thread ---- */

static bool is_ending(const struct line_blocks *blocks)
{
    return atomic_load(&blocks->ending) || lifecycle_stopping();
}

/* Is there something to read now? Waits for it, unless there is something to hand over first. */
static bool input_waits(const struct line_blocks *blocks, bool have_lines)
{
    struct pollfd fds[] = {{.fd = lines_fd(blocks->lines), .events = POLLIN},
                           {.fd = lifecycle_fd(), .events = POLLIN}};
    if (lines_is_file(blocks->lines))
        return true;
    return poll(fds, 2, have_lines ? 0 : WAIT_MS) > 0 && fds[0].revents != 0;
}

/* Fills a block until it is full or the input pauses or ends. */
static void block_fill(struct line_blocks *blocks, struct line_block *block)
{
    struct slice line;
    while (block->count < BLOCK_LINES_MAX && block->bytes.size < BLOCK_BYTES_AIM) {
        enum status status = lines_next(blocks->lines, &line);
        if (status == STATUS_OK) {
            line_put(blocks, block, line);
        } else if (status == STATUS_TOO_LARGE) {
            struct block_line *bad = &block->lines[block->count];
            bad->number = lines_number(blocks->lines);
            bad_line_put(block, bad, "longer than 1 MiB");
        } else if (lines_over(blocks->lines)) {
            block->over = true;
            break;
        } else if (!input_waits(blocks, block->count > 0)) {
            break;
        } else {
            block->status = lines_read(blocks->lines, &block->detail);
            if (block->status != STATUS_OK)
                break;
        }
    }
    if (block->bytes.status != STATUS_OK)
        block->status = detail_set(&block->detail, block->bytes.status, "out of memory");
    block->end = lines_taken(blocks->lines);
}

static void *thread_main(void *context)
{
    struct line_blocks *blocks = context;
    bool goes_on = true;
    while (goes_on && !is_ending(blocks)) {
        void *item;
        if (queue_pop(blocks->empty, &item, 1, WAIT_MS) == 0)
            continue;
        struct line_block *block = item;
        block_clear(block);
        block_fill(blocks, block);
        goes_on = !block->over && block->status == STATUS_OK;
        queue_push(blocks->full, block);
    }
    queue_close(blocks->full);
    return NULL;
}

/* ---- life ---- */

static bool blocks_make(struct line_blocks *blocks)
{
    blocks->empty = queue_new(BLOCKS, false);
    blocks->full = queue_new(BLOCKS, false);
    if (blocks->empty == NULL || blocks->full == NULL)
        return false;
    for (int i = 0; i < BLOCKS; i++) {
        blocks->blocks[i] = malloc(sizeof *blocks->blocks[i]);
        if (blocks->blocks[i] == NULL)
            return false;
        buffer_init(&blocks->blocks[i]->bytes, BLOCK_BYTES_MAX);
        block_clear(blocks->blocks[i]);
        queue_push(blocks->empty, blocks->blocks[i]);
    }
    return true;
}

struct line_blocks *line_blocks_new(struct lines *lines, const char *source)
{
    struct line_blocks *blocks = calloc(1, sizeof *blocks);
    if (blocks == NULL)
        return NULL;
    blocks->lines = lines;
    blocks->source = source;
    if (!blocks_make(blocks))
        line_blocks_destroy(&blocks);
    return blocks;
}

enum status line_blocks_start(struct line_blocks *blocks, struct detail *ret_detail)
{
    blocks->running = pthread_create(&blocks->thread, NULL, thread_main, blocks) == 0;
    return blocks->running ? STATUS_OK
                           : detail_set(ret_detail, STATUS_NO_MEMORY, "cannot start a thread");
}

void line_blocks_destroy(struct line_blocks **blocks)
{
    struct line_blocks *b = *blocks;
    if (b == NULL)
        return;
    if (b->running) {
        atomic_store(&b->ending, true);
        pthread_join(b->thread, NULL);
    }
    queue_destroy(&b->empty);
    queue_destroy(&b->full);
    for (int i = 0; i < BLOCKS; i++) {
        if (b->blocks[i] != NULL)
            buffer_fini(&b->blocks[i]->bytes);
        free(b->blocks[i]);
    }
    free(b);
    *blocks = NULL;
}

struct line_block *line_blocks_next(struct line_blocks *blocks)
{
    void *item;
    while (!queue_finished(blocks->full))
        if (queue_pop(blocks->full, &item, 1, WAIT_MS) == 1)
            return item;
    return NULL;
}

void line_blocks_return(struct line_blocks *blocks, struct line_block *block)
{
    queue_push(blocks->empty, block);
}
