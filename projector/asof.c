#include "projector/asof.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "projector/asof_replay.h"
#include "projector/sql/sql_file.h"

enum {
    CACHE_ANSWERS_MAX = 16,
    CACHED_BYTES_MAX = 1024 * 1024, /* of one answer; larger ones are not kept */
};

/* A question on its way through the thread; its answer on the way back. */
struct job {
    struct job *next;
    struct asof_question question;
    char view[CONTROL_NAME_BYTES_MAX];
    struct buffer text;
    asof_answer_fn *answer;
    void *owner;
    struct buffer reply;
};

struct job_list {
    struct job *first;
    struct job **end;
};

struct cached {
    struct asof_question question;
    char view[CONTROL_NAME_BYTES_MAX];
    struct buffer text;
    struct buffer reply;
};

struct asof {
    struct asof_options options;
    struct endpoints endpoints;
    char *database, *policy;
    pthread_t thread;
    bool has_thread;
    atomic_bool stop;
    pthread_mutex_t mutex; /* over the lists */
    pthread_cond_t asked;
    struct job_list questions, answers;
    uint32_t waiting; /* jobs anywhere; the caller's thread only */
    int fd;
    struct cached cache[CACHE_ANSWERS_MAX]; /* the thread's */
    uint32_t cache_next;
};

/* --- lists --- */

static void list_init(struct job_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_append(struct job_list *list, struct job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

static struct job *list_take(struct job_list *list)
{
    struct job *job = list->first;
    if (job == NULL)
        return NULL;
    list->first = job->next;
    if (list->first == NULL)
        list->end = &list->first;
    return job;
}

static void job_free(struct job *job)
{
    buffer_fini(&job->text);
    buffer_fini(&job->reply);
    free(job);
}

/* --- the thread --- */

static bool is_same(const struct asof_question *a, const struct asof_question *b)
{
    return a->at == b->at && a->event_id == b->event_id && a->time_ns == b->time_ns &&
           slice_equal(a->view, b->view) && slice_equal(a->text, b->text);
}

static const struct cached *cache_find(const struct asof *asof, const struct asof_question *asked)
{
    for (uint32_t i = 0; i < CACHE_ANSWERS_MAX; i++)
        if (asof->cache[i].reply.size > 0 && is_same(&asof->cache[i].question, asked))
            return &asof->cache[i];
    return NULL;
}

static void cache_keep(struct asof *asof, const struct job *job)
{
    if (job->reply.status != STATUS_OK || job->reply.size > CACHED_BYTES_MAX)
        return;
    struct cached *place = &asof->cache[asof->cache_next++ % CACHE_ANSWERS_MAX];
    buffer_clear(&place->reply);
    buffer_append(&place->reply, job->reply.data, job->reply.size);
    buffer_clear(&place->text);
    buffer_append(&place->text, job->text.data, job->text.size);
    if (place->reply.status != STATUS_OK || place->text.status != STATUS_OK)
        buffer_clear(&place->reply);
    place->question = job->question;
    place->question.text = buffer_slice(&place->text);
    memcpy(place->view, job->view, sizeof place->view);
    place->question.view.data = (const uint8_t *)place->view;
}

static void work(struct asof *asof, struct asof_replay *replay, struct job *job)
{
    const struct cached *cached = cache_find(asof, &job->question);
    if (cached != NULL)
        buffer_append(&job->reply, cached->reply.data, cached->reply.size);
    else if (asof_replay_answer(replay, &job->question, &job->reply))
        cache_keep(asof, job);
    if (job->reply.status != STATUS_OK) {
        buffer_clear(&job->reply);
        control_error_write(&job->reply, CONTROL_CODE_UNAVAILABLE, "no memory for the answer");
    }
}

/* The next question; NULL: the end. */
static struct job *next_job(struct asof *asof)
{
    pthread_mutex_lock(&asof->mutex);
    while (asof->questions.first == NULL && !atomic_load(&asof->stop))
        pthread_cond_wait(&asof->asked, &asof->mutex);
    struct job *job = atomic_load(&asof->stop) ? NULL : list_take(&asof->questions);
    pthread_mutex_unlock(&asof->mutex);
    return job;
}

static void hand_back(struct asof *asof, struct job *job)
{
    pthread_mutex_lock(&asof->mutex);
    list_append(&asof->answers, job);
    pthread_mutex_unlock(&asof->mutex);
    (void)eventfd_write(asof->fd, 1);
}

static void *run(void *argument)
{
    struct asof *asof = argument;
    struct asof_replay *replay = NULL;
    struct detail detail = {.text = ""};
    struct job *job;
    enum status status = asof_replay_open(&asof->options, &asof->stop, &replay, &detail);
    while ((job = next_job(asof)) != NULL) {
        if (status == STATUS_OK)
            work(asof, replay, job);
        else
            control_error_write(&job->reply, CONTROL_CODE_UNAVAILABLE, detail.text);
        hand_back(asof, job);
    }
    asof_replay_close(&replay);
    return NULL;
}

/* --- the caller's side --- */

static enum status copy_options(struct asof *asof, const struct asof_options *options)
{
    asof->options = *options;
    asof->endpoints = *options->endpoints;
    asof->options.endpoints = &asof->endpoints;
    asof->policy = strdup(options->first_policy);
    asof->options.first_policy = asof->policy;
    if (options->database != NULL) {
        asof->database = strdup(options->database);
        asof->options.database = asof->database;
        if (asof->database == NULL)
            return STATUS_NO_MEMORY;
    }
    return asof->policy != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status asof_open(const struct asof_options *options, struct asof **ret_asof,
                      struct detail *ret_detail)
{
    struct asof *asof = calloc(1, sizeof *asof);
    if (asof == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for earlier moments");
    list_init(&asof->questions);
    list_init(&asof->answers);
    pthread_mutex_init(&asof->mutex, NULL);
    pthread_cond_init(&asof->asked, NULL);
    for (uint32_t i = 0; i < CACHE_ANSWERS_MAX; i++) {
        buffer_init(&asof->cache[i].text, SQL_FILE_BYTES_MAX);
        buffer_init(&asof->cache[i].reply, CACHED_BYTES_MAX);
    }
    asof->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum status status = copy_options(asof, options);
    if (status == STATUS_OK && asof->fd < 0)
        status = STATUS_IO;
    if (status == STATUS_OK && pthread_create(&asof->thread, NULL, run, asof) != 0)
        status = STATUS_NO_MEMORY;
    asof->has_thread = status == STATUS_OK;
    if (status == STATUS_OK)
        *ret_asof = asof;
    else
        asof_close(&asof);
    return status == STATUS_OK ? status
                               : detail_set(ret_detail, status, "no thread for earlier moments");
}

static void answer_unavailable(struct job *job)
{
    buffer_clear(&job->reply);
    control_error_write(&job->reply, CONTROL_CODE_UNAVAILABLE, "the projector ends");
    job->answer(job->owner, buffer_slice(&job->reply));
    job_free(job);
}

void asof_close(struct asof **asof)
{
    struct asof *old = *asof;
    struct job *job;
    if (old == NULL)
        return;
    if (old->has_thread) {
        pthread_mutex_lock(&old->mutex);
        atomic_store(&old->stop, true);
        pthread_cond_signal(&old->asked);
        pthread_mutex_unlock(&old->mutex);
        pthread_join(old->thread, NULL);
    }
    while ((job = list_take(&old->answers)) != NULL || (job = list_take(&old->questions)) != NULL)
        answer_unavailable(job);
    for (uint32_t i = 0; i < CACHE_ANSWERS_MAX; i++) {
        buffer_fini(&old->cache[i].text);
        buffer_fini(&old->cache[i].reply);
    }
    if (old->fd >= 0)
        close(old->fd);
    pthread_mutex_destroy(&old->mutex);
    pthread_cond_destroy(&old->asked);
    free(old->database);
    free(old->policy);
    free(old);
    *asof = NULL;
}

enum status asof_ask(struct asof *asof, const struct asof_question *question,
                     asof_answer_fn *on_answer, void *owner)
{
    if (asof->waiting == ASOF_QUESTIONS_MAX || question->view.size > CONTROL_NAME_BYTES_MAX)
        return STATUS_FULL;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return STATUS_NO_MEMORY;
    job->question = *question;
    memcpy(job->view, question->view.data, question->view.size);
    job->question.view.data = (const uint8_t *)job->view;
    buffer_init(&job->text, SQL_FILE_BYTES_MAX);
    buffer_append(&job->text, question->text.data, question->text.size);
    job->question.text = buffer_slice(&job->text);
    job->answer = on_answer;
    job->owner = owner;
    buffer_init(&job->reply, ANSWER_BYTES_MAX);
    if (job->text.status != STATUS_OK) {
        job_free(job);
        return STATUS_NO_MEMORY;
    }
    asof->waiting++;
    pthread_mutex_lock(&asof->mutex);
    list_append(&asof->questions, job);
    pthread_cond_signal(&asof->asked);
    pthread_mutex_unlock(&asof->mutex);
    return STATUS_OK;
}

int asof_fd(const struct asof *asof)
{
    return asof->fd;
}

void asof_turn(struct asof *asof)
{
    eventfd_t count;
    if (eventfd_read(asof->fd, &count) != 0)
        return;
    for (;;) {
        pthread_mutex_lock(&asof->mutex);
        struct job *job = list_take(&asof->answers);
        pthread_mutex_unlock(&asof->mutex);
        if (job == NULL)
            return;
        asof->waiting--;
        job->answer(job->owner, buffer_slice(&job->reply));
        job_free(job);
    }
}
