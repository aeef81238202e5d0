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

#include "processor/store/segment.h"

enum { RETRY_S = 1 };

enum phase {
    PHASE_WORKING, /* the thread is filling a spare */
    PHASE_READY,   /* the spare waits to be taken */
    PHASE_TAKEN,   /* the log is giving it its name */
    PHASE_FULL,    /* no space; the thread sleeps until the next attempt */
    PHASE_FAILED,  /* input or output failed; for good */
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
    struct file spare;
    struct file full; /* to be let go of; fd −1: none */
    struct detail failure;
};

/* Zeros one piece. Past the page cache while `direct`, until the file system does not take that:
 * then through it, and synced by itself: one sync of 64 MiB would hold up the log's own fdatasyncs
 * for 30 ms, and is not faster (measured). */
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

/* Zeros [0, segment_bytes) piece by piece and syncs. */
static enum status fill(const struct file *file, uint64_t segment_bytes,
                        prepare_keep_going_fn *keep_going, void *context, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    bool direct = file_set_direct(file, true);
    for (uint64_t at = 0; status == STATUS_OK && at < segment_bytes; at += FILE_ZERO_BYTES_MAX) {
        if (keep_going != NULL && !keep_going(context))
            return STATUS_INTERRUPTED;
        const uint64_t left = segment_bytes - at;
        status = fill_piece(file, at, left < FILE_ZERO_BYTES_MAX ? left : FILE_ZERO_BYTES_MAX,
                            &direct, ret_detail);
    }
    if (status == STATUS_OK && direct && !file_set_direct(file, false))
        status = detail_set(ret_detail, STATUS_IO, "%s/%s: cannot go back to the page cache",
                            file->folder->path, file->name);
    return status == STATUS_OK ? file_sync(file, ret_detail) : status;
}

enum status prepare_segment(struct file *ret_file, const struct folder *folder,
                            uint64_t segment_bytes, prepare_keep_going_fn *keep_going,
                            void *context, struct detail *ret_detail)
{
    struct file file;
    enum status status = file_open(&file, folder, SEGMENT_SPARE_NAME, O_RDWR | O_CREAT, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (file.bytes > segment_bytes && ftruncate(file.fd, (off_t)segment_bytes) != 0)
        status = detail_set(ret_detail, STATUS_IO, "%s/%s: cannot truncate: %s", folder->path,
                            SEGMENT_SPARE_NAME, strerror(errno));
    if (status == STATUS_OK)
        status = fill(&file, segment_bytes, keep_going, context, ret_detail);
    if (status != STATUS_OK) {
        file_close(&file);
        if (status == STATUS_NO_SPACE)
            (void)unlinkat(folder->fd, SEGMENT_SPARE_NAME, 0);
        return status;
    }
    file.bytes = segment_bytes;
    *ret_file = file;
    return STATUS_OK;
}

static bool not_stopped(void *context)
{
    const struct preparer *preparer = context;
    return !atomic_load(&preparer->stop);
}

/* Under the mutex: takes in what an attempt brought. */
static void settle(struct preparer *preparer, enum status status, const struct file *file,
                   const struct detail *detail)
{
    atomic_store(&preparer->no_space, status == STATUS_NO_SPACE);
    if (status == STATUS_OK) {
        preparer->spare = *file;
        atomic_store(&preparer->phase, PHASE_READY);
    } else if (status == STATUS_NO_SPACE) {
        preparer->failure = *detail;
        atomic_store(&preparer->phase, PHASE_FULL);
    } else if (status != STATUS_INTERRUPTED) {
        preparer->failure = *detail;
        atomic_store(&preparer->phase, PHASE_FAILED);
    }
    (void)pthread_cond_broadcast(&preparer->changed);
}

/* Under the mutex: sleeps until there is something to do; false when asked to stop. */
static bool wait_for_work(struct preparer *preparer)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_S;
    while (!preparer->stop && preparer->phase != PHASE_WORKING) {
        if (preparer->phase != PHASE_FULL)
            (void)pthread_cond_wait(&preparer->changed, &preparer->mutex);
        else if (pthread_cond_timedwait(&preparer->changed, &preparer->mutex, &until) == ETIMEDOUT)
            atomic_store(&preparer->phase, PHASE_WORKING);
    }
    return !preparer->stop;
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
        const enum status status = prepare_segment(&file, preparer->folder, preparer->segment_bytes,
                                                   not_stopped, preparer, &detail);
        (void)pthread_mutex_lock(&preparer->mutex);
        settle(preparer, status, &file, &detail);
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
    const enum phase phase = atomic_load(&preparer->phase);
    return phase == PHASE_READY || phase == PHASE_FAILED;
}

bool preparer_no_space(const struct preparer *preparer)
{
    return atomic_load(&preparer->no_space);
}

enum status preparer_wait(struct preparer *preparer, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&preparer->mutex);
    while (preparer->phase == PHASE_WORKING && !preparer->no_space)
        (void)pthread_cond_wait(&preparer->changed, &preparer->mutex);
    if (preparer->phase == PHASE_FAILED)
        status = detail_set(ret_detail, STATUS_IO, "%s", preparer->failure.text);
    else if (preparer->phase != PHASE_READY)
        status = detail_set(ret_detail, STATUS_NO_SPACE, "%s", preparer->failure.text);
    (void)pthread_mutex_unlock(&preparer->mutex);
    return status;
}

void preparer_take(struct preparer *preparer, struct file *ret_file)
{
    (void)pthread_mutex_lock(&preparer->mutex);
    assert(preparer->phase == PHASE_READY);
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
    atomic_store(&preparer->phase, PHASE_WORKING);
    (void)pthread_cond_broadcast(&preparer->changed);
    (void)pthread_mutex_unlock(&preparer->mutex);
}
