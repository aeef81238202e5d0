#include "processor/store/preparer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "processor/store/segment.h"

#define RETRY_NS (1 * NS_PER_S)
/* A log that has not asked for the spare by then has time for zeros, with pauses between them. */
#define CALM_NS  (1 * NS_PER_S)
#define PAUSE_NS (2 * NS_PER_MS)

/* Asked between two pieces of zeros. */
typedef bool keep_going_fn(void *context);

enum phase {
    PHASE_WORKING,  /* the thread is making a spare */
    PHASE_RESERVED, /* it may be taken; zeros are still to come */
    PHASE_FILLING,  /* it may be taken between two pieces of them */
    PHASE_READY,    /* zero-filled, it waits to be taken */
    PHASE_TAKEN,    /* the log is giving it its name */
    PHASE_FULL,     /* no space; the thread sleeps until the next attempt */
    PHASE_FAILED,   /* input or output failed; for good */
};

struct preparer {
    const struct folder *folder;
    uint64_t segment_bytes;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    _Atomic enum phase phase; /* written under the mutex, read by anyone */
    atomic_bool no_space;     /* likewise; stays true while the next attempt is running */
    atomic_bool stop;         /* likewise */
    bool wanted;              /* the log waits for a spare */
    struct file spare;
    struct file full; /* to be let go of; fd −1: none */
    struct detail failure;
};

/* Zeros one piece. Past the page cache while `direct`, until the file system does not take that:
 * then through it, and synced by itself: one sync of 64 MiB would hold up the log's own fdatasyncs.
 */
static enum status fill_piece(const struct file *file, uint64_t at, uint64_t size, bool *direct,
                              struct detail *ret_detail)
{
    enum status status = file_write_zeros(file, at, size, ret_detail);
    if (status == STATUS_IO && *direct) {
        *direct = !file_set_direct(file, false);
        status = file_write_zeros(file, at, size, ret_detail);
    }
    return status == STATUS_OK && !*direct ? file_sync(file, ret_detail) : status;
}

/* Zeros [0, segment_bytes) piece by piece and syncs; INTERRUPTED between two pieces. */
static enum status fill(const struct file *file, uint64_t segment_bytes, keep_going_fn *keep_going,
                        void *context, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    bool direct = file_set_direct(file, true);
    for (uint64_t at = 0; status == STATUS_OK && at < segment_bytes; at += FILE_ZERO_BYTES_MAX) {
        const uint64_t left = segment_bytes - at;
        if (keep_going != NULL && !keep_going(context))
            status = STATUS_INTERRUPTED;
        else
            status = fill_piece(file, at, left < FILE_ZERO_BYTES_MAX ? left : FILE_ZERO_BYTES_MAX,
                                &direct, ret_detail);
    }
    if (direct && !file_set_direct(file, false))
        status = detail_set(ret_detail, STATUS_IO, "%s/%s: cannot go back to the page cache",
                            file->folder->path, file->name);
    return status == STATUS_OK ? file_sync(file, ret_detail) : status;
}

/* One that an earlier run left begins anew, whatever is in it. */
static enum status open_spare(struct file *file, const struct folder *folder,
                              struct detail *ret_detail)
{
    return file_open(file, folder, SEGMENT_SPARE_NAME, O_RDWR | O_CREAT | O_TRUNC, ret_detail);
}

/* The end of making a spare: hands it over, or closes it and gives back what it took of a full
 * disk. */
static enum status finish(struct file *file, uint64_t segment_bytes, enum status status,
                          struct file *ret_file)
{
    if (status == STATUS_OK) {
        file->bytes = segment_bytes;
        *ret_file = *file;
        return STATUS_OK;
    }
    const struct folder *folder = file->folder;
    file_close(file);
    if (status == STATUS_NO_SPACE)
        (void)unlinkat(folder->fd, SEGMENT_SPARE_NAME, 0);
    return status;
}

enum status prepare_segment(struct file *ret_file, const struct folder *folder,
                            uint64_t segment_bytes, struct detail *ret_detail)
{
    struct file file;
    enum status status = open_spare(&file, folder, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = fill(&file, segment_bytes, NULL, NULL, ret_detail);
    return finish(&file, segment_bytes, status, ret_file);
}

static bool not_stopped(void *context)
{
    const struct preparer *preparer = context;
    return !atomic_load(&preparer->stop);
}

/* Makes a spare that has its space on the disk, and reads as zeros; where the file system cannot
 * promise space, by zeros. */
static enum status reserve(struct preparer *preparer, struct file *ret_file, bool *ret_filled,
                           struct detail *ret_detail)
{
    struct file file;
    enum status status = open_spare(&file, preparer->folder, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = file_reserve(&file, preparer->segment_bytes, ret_detail);
    *ret_filled = status == STATUS_UNAVAILABLE;
    if (*ret_filled)
        status = fill(&file, preparer->segment_bytes, not_stopped, preparer, ret_detail);
    else if (status == STATUS_OK)
        status = file_sync(&file, ret_detail);
    return finish(&file, preparer->segment_bytes, status, ret_file);
}

static struct timespec after_ns(uint64_t ns)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    ns += (uint64_t)time.tv_nsec;
    time.tv_sec += (time_t)(ns / NS_PER_S);
    time.tv_nsec = (long)(ns % NS_PER_S);
    return time;
}

/* Under the mutex. */
static void enter(struct preparer *preparer, enum phase phase)
{
    atomic_store(&preparer->phase, phase);
    (void)pthread_cond_broadcast(&preparer->changed);
}

/* Under the mutex: takes in what an attempt brought. */
static void settle(struct preparer *preparer, enum status status, const struct file *file,
                   bool filled, const struct detail *detail)
{
    atomic_store(&preparer->no_space, status == STATUS_NO_SPACE);
    if (status == STATUS_OK) {
        preparer->spare = *file;
        enter(preparer, filled ? PHASE_READY : PHASE_RESERVED);
    } else if (status != STATUS_INTERRUPTED) {
        preparer->failure = *detail;
        enter(preparer, status == STATUS_NO_SPACE ? PHASE_FULL : PHASE_FAILED);
    }
}

/* Under the mutex: sleeps until there is something to do; false when asked to stop. */
static bool wait_for_work(struct preparer *preparer)
{
    const struct timespec until = after_ns(RETRY_NS);
    while (!preparer->stop && preparer->phase != PHASE_WORKING) {
        if (preparer->phase != PHASE_FULL)
            (void)pthread_cond_wait(&preparer->changed, &preparer->mutex);
        else if (pthread_cond_timedwait(&preparer->changed, &preparer->mutex, &until) == ETIMEDOUT)
            atomic_store(&preparer->phase, PHASE_WORKING);
    }
    return !preparer->stop;
}

/* Under the mutex: a spare that is only reserved waits for a while; is it still there then? */
static bool is_calm(struct preparer *preparer)
{
    const struct timespec until = after_ns(CALM_NS);
    int error = 0;
    while (!preparer->stop && preparer->phase == PHASE_RESERVED && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&preparer->changed, &preparer->mutex, &until);
    return !preparer->stop && preparer->phase == PHASE_RESERVED;
}

/* Between two pieces of zeros, of which none is urgent: a pause, so that a sync of the log rarely
 * has to wait for one. False when the log wants the spare, or to stop. */
static bool not_wanted(void *context)
{
    struct preparer *preparer = context;
    const struct timespec until = after_ns(PAUSE_NS);
    int error = 0;
    (void)pthread_mutex_lock(&preparer->mutex);
    while (!preparer->stop && !preparer->wanted && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&preparer->changed, &preparer->mutex, &until);
    const bool keep_going = !preparer->stop && !preparer->wanted;
    (void)pthread_mutex_unlock(&preparer->mutex);
    return keep_going;
}

/* Under the mutex, but not while it writes: zeros the spare, until the log wants it. */
static void fill_spare(struct preparer *preparer)
{
    const struct file file = preparer->spare;
    struct detail detail = {""};
    enter(preparer, PHASE_FILLING);
    (void)pthread_mutex_unlock(&preparer->mutex);
    const enum status status = fill(&file, preparer->segment_bytes, not_wanted, preparer, &detail);
    (void)pthread_mutex_lock(&preparer->mutex);
    if (status == STATUS_OK) {
        enter(preparer, PHASE_READY);
    } else if (status == STATUS_INTERRUPTED || status == STATUS_NO_SPACE) {
        enter(preparer, PHASE_RESERVED); /* as it was before */
    } else {
        preparer->failure = detail;
        enter(preparer, PHASE_FAILED);
    }
}

/* Only advice: whatever comes of it, the log is as before. */
static void let_go(struct file *full)
{
    if (full->fd >= 0)
        (void)posix_fadvise(full->fd, 0, 0, POSIX_FADV_DONTNEED);
    file_close(full);
}

static void *run(void *context)
{
    struct preparer *preparer = context;
    (void)pthread_mutex_lock(&preparer->mutex);
    while (wait_for_work(preparer)) {
        struct file full = preparer->full;
        preparer->full.fd = -1;
        (void)pthread_mutex_unlock(&preparer->mutex);
        let_go(&full);
        struct file file = {.fd = -1};
        struct detail detail = {""};
        bool filled = false;
        const enum status status = reserve(preparer, &file, &filled, &detail);
        (void)pthread_mutex_lock(&preparer->mutex);
        settle(preparer, status, &file, filled, &detail);
        if (is_calm(preparer))
            fill_spare(preparer);
    }
    (void)pthread_mutex_unlock(&preparer->mutex);
    return NULL;
}

static void init_sync(struct preparer *preparer)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&preparer->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&preparer->mutex, NULL);
}

static void fini_sync(struct preparer *preparer)
{
    (void)pthread_cond_destroy(&preparer->changed);
    (void)pthread_mutex_destroy(&preparer->mutex);
}

enum status preparer_new(const struct folder *folder, uint64_t segment_bytes,
                         struct preparer **ret_preparer, struct detail *ret_detail)
{
    struct preparer *preparer = calloc(1, sizeof *preparer);
    if (preparer == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to prepare segments");
    preparer->folder = folder;
    preparer->segment_bytes = segment_bytes;
    preparer->spare.fd = -1;
    preparer->full.fd = -1;
    init_sync(preparer);
    const int error = pthread_create(&preparer->thread, NULL, run, preparer);
    if (error != 0) {
        fini_sync(preparer);
        free(preparer);
        return detail_set(ret_detail, STATUS_IO, "cannot start a thread to prepare segments: %s",
                          strerror(error));
    }
    *ret_preparer = preparer;
    return STATUS_OK;
}

void preparer_destroy(struct preparer **preparer)
{
    struct preparer *self = *preparer;
    if (self == NULL)
        return;
    (void)pthread_mutex_lock(&self->mutex);
    atomic_store(&self->stop, true);
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->mutex);
    (void)pthread_join(self->thread, NULL);
    file_close(&self->spare);
    file_close(&self->full);
    fini_sync(self);
    free(self);
    *preparer = NULL;
}

bool preparer_settled(const struct preparer *preparer)
{
    switch (atomic_load(&preparer->phase)) {
    case PHASE_RESERVED:
    case PHASE_FILLING:
    case PHASE_READY:
    case PHASE_FAILED:
        return true;
    default:
        return false;
    }
}

bool preparer_no_space(const struct preparer *preparer)
{
    return atomic_load(&preparer->no_space);
}

/* Is the thread at something that ends in a spare, or is it not to be taken just now? */
static bool is_under_way(const struct preparer *preparer)
{
    return preparer->phase == PHASE_FILLING ||
           (preparer->phase == PHASE_WORKING && !preparer->no_space);
}

static bool may_be_taken(const struct preparer *preparer)
{
    return preparer->phase == PHASE_READY || preparer->phase == PHASE_RESERVED;
}

enum status preparer_wait(struct preparer *preparer, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&preparer->mutex);
    preparer->wanted = true;
    (void)pthread_cond_broadcast(&preparer->changed);
    while (is_under_way(preparer))
        (void)pthread_cond_wait(&preparer->changed, &preparer->mutex);
    preparer->wanted = false;
    if (preparer->phase == PHASE_FAILED)
        status = detail_set(ret_detail, STATUS_IO, "%s", preparer->failure.text);
    else if (!may_be_taken(preparer))
        status = detail_set(ret_detail, STATUS_NO_SPACE, "%s", preparer->failure.text);
    (void)pthread_mutex_unlock(&preparer->mutex);
    return status;
}

void preparer_take(struct preparer *preparer, struct file *ret_file)
{
    (void)pthread_mutex_lock(&preparer->mutex);
    assert(may_be_taken(preparer));
    *ret_file = preparer->spare;
    preparer->spare.fd = -1;
    atomic_store(&preparer->phase, PHASE_TAKEN);
    (void)pthread_mutex_unlock(&preparer->mutex);
}

void preparer_resume(struct preparer *preparer, struct file *full)
{
    (void)pthread_mutex_lock(&preparer->mutex);
    assert(preparer->phase == PHASE_TAKEN);
    assert(preparer->full.fd < 0);
    preparer->full = *full;
    full->fd = -1;
    enter(preparer, PHASE_WORKING);
    (void)pthread_mutex_unlock(&preparer->mutex);
}
