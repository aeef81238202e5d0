#include "processor/batch.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct batch_pool {
    pthread_mutex_t mutex;
    struct batch *free;
    uint32_t free_count;
    uint32_t taken_count; /* out of the pool */
};

struct batch_pool *batch_pool_new(void)
{
    struct batch_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL)
        pthread_mutex_init(&pool->mutex, NULL);
    return pool;
}

static void answers_free(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->answer_count; i++)
        call_destroy(&batch->answers[i]);
    batch->answer_count = 0;
}

static void batch_free(struct batch *batch)
{
    buffer_fini(&batch->sources);
    buffer_fini(&batch->accepted);
    buffer_fini(&batch->rejected);
    buffer_fini(&batch->acks);
    free(batch);
}

void batch_pool_destroy(struct batch_pool **pool)
{
    if (*pool == NULL)
        return;
    assert((*pool)->taken_count == 0);
    while ((*pool)->free != NULL) {
        struct batch *batch = (*pool)->free;
        (*pool)->free = batch->next_free;
        batch_free(batch);
    }
    pthread_mutex_destroy(&(*pool)->mutex);
    free(*pool);
    *pool = NULL;
}

static struct batch *batch_new(struct batch_pool *pool)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    batch->pool = pool;
    buffer_init(&batch->sources, BATCH_BYTES_MAX);
    buffer_init(&batch->accepted, BATCH_BYTES_MAX);
    buffer_init(&batch->rejected, BATCH_BYTES_MAX);
    buffer_init(&batch->acks, BATCH_ACKS_BYTES_MAX);
    /* The hot path writes here without asking again: one allocation for the life of the batch. */
    if (buffer_reserve(&batch->accepted, BATCH_BYTES_MAX) != STATUS_OK) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

static void batch_reset(struct batch *batch)
{
    memset(&batch->header, 0, sizeof batch->header);
    batch->header.kind = BATCH_ORDINARY;
    buffer_clear(&batch->sources);
    buffer_clear(&batch->accepted);
    buffer_clear(&batch->rejected);
    buffer_clear(&batch->acks);
    batch->references = 1;
    batch->next_free = NULL;
}

struct batch *batch_pool_take(struct batch_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    struct batch *batch = pool->free;
    if (batch != NULL) {
        pool->free = batch->next_free;
        pool->free_count--;
    }
    pool->taken_count++;
    pthread_mutex_unlock(&pool->mutex);
    if (batch == NULL)
        batch = batch_new(pool);
    if (batch == NULL) {
        pthread_mutex_lock(&pool->mutex);
        pool->taken_count--;
        pthread_mutex_unlock(&pool->mutex);
        return NULL;
    }
    batch_reset(batch);
    return batch;
}

void batch_reference(struct batch *batch)
{
    pthread_mutex_lock(&batch->pool->mutex);
    batch->references++;
    pthread_mutex_unlock(&batch->pool->mutex);
}

/* A flood of acks must not be paid for in memory for ever. */
static void acks_shrink(struct batch *batch)
{
    if (batch->acks.capacity <= BATCH_ACKS_BYTES_KEPT)
        return;
    buffer_fini(&batch->acks);
    buffer_init(&batch->acks, BATCH_ACKS_BYTES_MAX);
}

void batch_release(struct batch *batch)
{
    struct batch_pool *pool = batch->pool;
    struct batch *surplus = NULL;
    pthread_mutex_lock(&pool->mutex);
    assert(batch->references > 0);
    if (--batch->references == 0) {
        answers_free(batch);
        acks_shrink(batch);
        pool->taken_count--;
        if (pool->free_count < BATCH_POOL_FREE_MAX) {
            batch->next_free = pool->free;
            pool->free = batch;
            pool->free_count++;
        } else {
            surplus = batch;
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    if (surplus != NULL)
        batch_free(surplus);
}

bool batch_is_durable_matter(const struct batch *batch)
{
    return batch->sources.size + batch->accepted.size + batch->rejected.size > 0;
}

bool batch_is_empty(const struct batch *batch)
{
    return !batch_is_durable_matter(batch) && batch->acks.size == 0 && batch->answer_count == 0;
}

struct batch_view batch_view_of(const struct batch *batch)
{
    return (struct batch_view){.header = batch->header,
                               .sources = buffer_slice(&batch->sources),
                               .accepted = buffer_slice(&batch->accepted),
                               .rejected = buffer_slice(&batch->rejected)};
}

/* In memory only: source size and frame size as native uint32_t, then the two. */
void batch_ack_add(struct batch *batch, struct slice source, struct slice ack_frame)
{
    uint32_t sizes[2] = {(uint32_t)source.size, (uint32_t)ack_frame.size};
    /* An ack that does not fit is left out whole: its sender asks again. */
    if (buffer_reserve(&batch->acks, sizeof sizes + source.size + ack_frame.size) != STATUS_OK)
        return;
    buffer_append(&batch->acks, sizes, sizeof sizes);
    buffer_append(&batch->acks, source.data, source.size);
    buffer_append(&batch->acks, ack_frame.data, ack_frame.size);
}

bool batch_ack_next(const struct batch *batch, size_t *offset, struct slice *ret_source,
                    struct slice *ret_ack_frame)
{
    if (*offset >= batch->acks.size)
        return false;
    uint32_t sizes[2];
    const uint8_t *at = batch->acks.data + *offset;
    memcpy(sizes, at, sizeof sizes);
    at += sizeof sizes;
    *ret_source = (struct slice){at, sizes[0]};
    *ret_ack_frame = (struct slice){at + sizes[0], sizes[1]};
    *offset += sizeof sizes + sizes[0] + sizes[1];
    return true;
}
