#include "projector/sql_runner.h"

#include <stdlib.h>

#include "common/base/logger.h"
#include "common/event/upcast/upcast.h"
#include "projector/replay_link.h"
#include "projector/views_folder.h"

#define REPEAT_NS (1 * NS_PER_S) /* an unanswered request is sent again */

struct sql_runner {
    struct sql_views *views;
    struct views_folder *folder;
    struct fold *fold;
    struct keeper *keeper;
    struct log_id log_id;
    struct replay_link link;
    uint64_t number;   /* of the request; counts up */
    uint64_t asked_id; /* what it asks for; 0: there is none */
    uint64_t asked_at_ns;
    uint64_t look_due_ns; /* CLOCK_BOOTTIME */
    struct accepted_record group[VIEW_GROUP_MAX];
    struct buffer migrated; /* data of the group's events of old schema versions */
};

/* --- what the fold and the keeper say --- */

static void hear(void *owner, const struct accepted_record *records, uint32_t count)
{
    struct sql_runner *runner = owner;
    sql_views_apply(runner->views, records, count);
}

static uint32_t count(void *owner)
{
    const struct sql_runner *runner = owner;
    return sql_views_count(runner->views);
}

static const char *name(void *owner, uint32_t view)
{
    const struct sql_runner *runner = owner;
    return sql_views_name(runner->views, view);
}

static struct slice text(void *owner, uint32_t view)
{
    const struct sql_runner *runner = owner;
    return sql_views_text(runner->views, view);
}

static const char *problem(void *owner, uint32_t view)
{
    const struct sql_runner *runner = owner;
    return sql_views_problem(runner->views, view);
}

static uint64_t rows(void *owner, uint32_t view)
{
    const struct sql_runner *runner = owner;
    return sql_views_rows(runner->views, view);
}

static void answer_view(void *owner, uint32_t view, const struct control_request *asked,
                        const struct fold_position *position, struct buffer *reply)
{
    struct sql_runner *runner = owner;
    sql_views_answer(runner->views, view, asked, position, reply);
}

static bool has_news(void *owner)
{
    const struct sql_runner *runner = owner;
    return sql_views_have_news(runner->views);
}

static enum status write_progress(void *owner, struct detail *ret_detail)
{
    struct sql_runner *runner = owner;
    return sql_views_write(runner->views, ret_detail);
}

static void committed(void *owner)
{
    struct sql_runner *runner = owner;
    sql_views_committed(runner->views);
}

static void lost(void *owner)
{
    struct sql_runner *runner = owner;
    sql_views_lost(runner->views);
}

/* --- lifecycle --- */

static enum status open_parts(struct sql_runner *runner, const struct sql_runner_options *options,
                              struct detail *ret_detail)
{
    struct sql_views_options views = {.store = options->store,
                                      .log_id = options->log->log_id,
                                      .last_event_id = options->log->last_event_id,
                                      .since = fold_since(options->fold)};
    enum status status = replay_link_init(&runner->link, options->endpoints->control, ret_detail);
    if (status == STATUS_OK)
        status = sql_views_open(&views, &runner->views, ret_detail);
    if (status == STATUS_OK)
        status = views_folder_open(options->folder, runner->views, &runner->folder, ret_detail);
    return status;
}

enum status sql_runner_open(const struct sql_runner_options *options,
                            struct sql_runner **ret_runner, struct detail *ret_detail)
{
    struct sql_runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for views in SQL");
    runner->fold = options->fold;
    runner->keeper = options->keeper;
    runner->log_id = options->log->log_id;
    buffer_init(&runner->migrated, (size_t)VIEW_GROUP_MAX * UPCAST_DATA_BYTES_MAX);
    enum status status = open_parts(runner, options, ret_detail);
    if (status != STATUS_OK) {
        sql_runner_close(&runner);
        return status;
    }
    fold_invite(runner->fold,
                &(struct fold_guest){runner, hear, count, name, text, problem, rows, answer_view});
    keeper_invite(runner->keeper,
                  &(struct keeper_guest){runner, has_news, write_progress, committed, lost});
    views_folder_look(runner->folder);
    *ret_runner = runner;
    return STATUS_OK;
}

void sql_runner_close(struct sql_runner **runner)
{
    struct sql_runner *old = *runner;
    if (old == NULL)
        return;
    replay_link_fini(&old->link);
    views_folder_close(&old->folder);
    sql_views_close(&old->views);
    buffer_fini(&old->migrated);
    free(old);
    *runner = NULL;
}

struct sql_views *sql_runner_views(struct sql_runner *runner)
{
    return runner->views;
}

struct socket *sql_runner_socket(struct sql_runner *runner)
{
    return runner->link.control;
}

/* --- replay --- */

static void ask(struct sql_runner *runner, uint64_t from, uint64_t now_ns)
{
    runner->asked_id = from;
    runner->asked_at_ns = now_ns;
    /* What cannot be sent now is sent again in time. */
    (void)!replay_link_ask(&runner->link, ++runner->number, STREAM_ACCEPTED, from,
                           REPLAY_RECORDS_MAX);
}

static void ask_for_what_is_missing(struct sql_runner *runner, uint64_t now_ns)
{
    uint64_t from = sql_views_behind(runner->views, fold_position(runner->fold).event_id);
    if (from == 0)
        runner->asked_id = 0;
    else if (runner->asked_id == 0 || now_ns >= runner->asked_at_ns + REPEAT_NS)
        ask(runner, from, now_ns);
}

/* As the fold does: what cannot be migrated is shown as it is. */
static void migrate(struct sql_runner *runner, struct event *event)
{
    if (upcast_is_due(event) &&
        buffer_reserve(&runner->migrated, runner->migrated.bytes_max - runner->migrated.size) ==
            STATUS_OK)
        (void)!upcast_event(event, &runner->migrated, NULL);
}

static void apply(struct sql_runner *runner, uint64_t count)
{
    struct mp_reader reader = mp_reader_of(frame_slice(&runner->link.reply.body));
    while (count > 0) {
        uint32_t group = 0;
        buffer_clear(&runner->migrated);
        while (group < VIEW_GROUP_MAX && group < count &&
               accepted_record_read(&reader, &runner->group[group]) == STATUS_OK)
            migrate(runner, &runner->group[group++].event);
        if (group == 0)
            return;
        sql_views_apply(runner->views, runner->group, group);
        count -= group;
    }
}

static void handle_replay(struct sql_runner *runner, uint64_t now_ns)
{
    struct replay_reply reply;
    struct detail why = {.text = ""};
    enum status status = replay_reply_read(frame_slice(&runner->link.reply.frame), &reply, &why);
    if (status == STATUS_GONE)
        sql_views_gone(runner->views, runner->asked_id);
    if (status != STATUS_OK || !log_id_equal(&reply.log_id, &runner->log_id))
        return; /* asked again in time; another log is the follower's business */
    runner->asked_id = 0;
    uint64_t next = reply.first_id + reply.count;
    if (reply.count > 0 && next <= fold_position(runner->fold).event_id)
        ask(runner, next, now_ns); /* the processor reads on while we apply */
    apply(runner, reply.count);
}

/* --- turns --- */

uint64_t sql_runner_due_ns(const struct sql_runner *runner)
{
    uint64_t due_ns = runner->look_due_ns;
    if (runner->asked_id > 0 && runner->asked_at_ns + REPEAT_NS < due_ns)
        due_ns = runner->asked_at_ns + REPEAT_NS;
    return due_ns;
}

void sql_runner_turn(struct sql_runner *runner, uint64_t now_ns)
{
    if (now_ns >= runner->look_due_ns) {
        sql_views_retry(runner->views);
        views_folder_look(runner->folder);
        runner->look_due_ns = now_ns + VIEWS_FOLDER_EVERY_NS;
    }
    if (reply_receive(runner->link.control, &runner->link.reply) == STATUS_OK &&
        runner->asked_id > 0 && runner->link.reply.number == runner->number)
        handle_replay(runner, now_ns);
    ask_for_what_is_missing(runner, now_ns);
    if (sql_views_take_loss(runner->views))
        keeper_lose(runner->keeper);
    if (sql_views_want_commit(runner->views))
        keeper_finish(runner->keeper);
}
