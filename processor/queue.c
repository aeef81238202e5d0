#include "processor/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    uint32_t capacity; /* items */
    uint32_t head;     /* index of the oldest */
    uint32_t count;    /* items */
    bool closed;
    int descriptor; /* eventfd, or −1 */
    void *items[];
};

struct queue *queue_new(uint32_t capacity, bool with_descriptor)
{
    struct queue *queue = calloc(1, sizeof *queue + capacity * sizeof(void *));
    if (queue == NULL)
        return NULL;
    queue->capacity = capacity;
    queue->descriptor = with_descriptor ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (with_descriptor && queue->descriptor < 0) {
        free(queue);
        return NULL;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_empty, &attributes);
    pthread_cond_init(&queue->not_full, &attributes);
    pthread_condattr_destroy(&attributes);
    return queue;
}

void queue_destroy(struct queue **queue)
{
    if (*queue == NULL)
        return;
    pthread_mutex_destroy(&(*queue)->mutex);
    pthread_cond_destroy(&(*queue)->not_empty);
    pthread_cond_destroy(&(*queue)->not_full);
    if ((*queue)->descriptor >= 0)
        close((*queue)->descriptor);
    free(*queue);
    *queue = NULL;
}

/* With the mutex held: the descriptor is readable exactly while count > 0. */
static void descriptor_raise(struct queue *queue)
{
    if (queue->descriptor >= 0 && queue->count == 1)
        (void)eventfd_write(queue->descriptor, 1);
}

static void descriptor_lower(struct queue *queue)
{
    eventfd_t value;
    if (queue->descriptor >= 0 && queue->count == 0)
        (void)eventfd_read(queue->descriptor, &value);
}

static void append(struct queue *queue, void *item)
{
    assert(!queue->closed);
    queue->items[(queue->head + queue->count) % queue->capacity] = item;
    queue->count++;
    descriptor_raise(queue);
    pthread_cond_signal(&queue->not_empty);
}

void queue_push(struct queue *queue, void *item)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->count == queue->capacity)
        pthread_cond_wait(&queue->not_full, &queue->mutex);
    append(queue, item);
    pthread_mutex_unlock(&queue->mutex);
}

enum status queue_try_push(struct queue *queue, void *item)
{
    enum status status = STATUS_FULL;
    pthread_mutex_lock(&queue->mutex);
    if (queue->count < queue->capacity) {
        append(queue, item);
        status = STATUS_OK;
    }
    pthread_mutex_unlock(&queue->mutex);
    return status;
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

/* With the mutex held. */
static void wait_for_items(struct queue *queue, int timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms);
    int failed = 0;
    while (queue->count == 0 && !queue->closed && failed == 0)
        failed = pthread_cond_timedwait(&queue->not_empty, &queue->mutex, &deadline);
}

uint32_t queue_pop(struct queue *queue, void **ret_items, uint32_t max, int timeout_ms)
{
    pthread_mutex_lock(&queue->mutex);
    if (queue->count == 0 && timeout_ms > 0)
        wait_for_items(queue, timeout_ms);
    uint32_t taken = queue->count < max ? queue->count : max;
    for (uint32_t i = 0; i < taken; i++)
        ret_items[i] = queue->items[(queue->head + i) % queue->capacity];
    queue->head = (queue->head + taken) % queue->capacity;
    queue->count -= taken;
    if (taken > 0) {
        descriptor_lower(queue);
        pthread_cond_broadcast(&queue->not_full);
    }
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
}

bool queue_finished(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool finished = queue->closed && queue->count == 0;
    pthread_mutex_unlock(&queue->mutex);
    return finished;
}

int queue_descriptor(const struct queue *queue)
{
    return queue->descriptor;
}
