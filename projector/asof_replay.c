#include "projector/asof_replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/logger.h"
#include "projector/core/asof_search.h"
#include "projector/core/fold.h"
#include "projector/replay_link.h"
#include "projector/sql/sql_answer.h"
#include "projector/sql/sql_moment.h"
#include "projector/store/snapshot.h"

#define PATIENCE_NS (5 * NS_PER_S) /* then the processor counts as not there */

enum { WAIT_MS = 50 };

struct asof_replay {
    const struct asof_options *options;
    const atomic_bool *stop;
    struct replay_link link;
    uint64_t number;       /* of the request under way */
    bool warned_of_damage; /* in snapshots */
};

/* Where a moment is in the log. */
struct target {
    struct fold_position position;
    uint64_t last_event_id; /* of the log, as far as is known */
};

enum status asof_replay_open(const struct asof_options *options, const atomic_bool *stop,
                             struct asof_replay **ret_replay, struct detail *ret_detail)
{
    struct asof_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory");
    replay->options = options;
    replay->stop = stop;
    enum status status = replay_link_init(&replay->link, options->endpoints->control, ret_detail);
    if (status == STATUS_OK)
        *ret_replay = replay;
    else
        asof_replay_close(&replay);
    return status;
}

void asof_replay_close(struct asof_replay **replay)
{
    if (*replay == NULL)
        return;
    replay_link_fini(&(*replay)->link);
    free(*replay);
    *replay = NULL;
}

/* --- asking the processor --- */

static enum status cannot_ask(struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_UNAVAILABLE, "the processor cannot be asked now");
}

static enum status send_replay(struct asof_replay *replay, enum stream stream, uint64_t from,
                               uint64_t max, struct detail *ret_detail)
{
    enum status status = replay_link_ask(&replay->link, ++replay->number, stream, from, max);
    return status == STATUS_OK ? status : cannot_ask(ret_detail);
}

/* Waits for the answer to the request that was sent last. */
static enum status await(struct asof_replay *replay, struct detail *ret_detail)
{
    struct replay_link *link = &replay->link;
    uint64_t until_ns = clock_boot_ns() + PATIENCE_NS;
    while (!atomic_load(replay->stop) && clock_boot_ns() < until_ns) {
        struct socket_wait item = {.socket = link->control};
        if (socket_wait(&item, 1, WAIT_MS) == STATUS_OK &&
            reply_receive(link->control, &link->reply) == STATUS_OK &&
            link->reply.number == replay->number)
            return STATUS_OK;
    }
    return detail_set(ret_detail, STATUS_UNAVAILABLE, "the processor does not answer: ask again");
}

static enum status await_replay(struct asof_replay *replay, struct replay_reply *ret_reply,
                                struct detail *ret_detail)
{
    enum status status = await(replay, ret_detail);
    if (status == STATUS_OK)
        status = replay_reply_read(frame_slice(&replay->link.reply.frame), ret_reply, ret_detail);
    if (status == STATUS_OK && !log_id_equal(&ret_reply->log_id, &replay->options->log_id))
        status = detail_set(ret_detail, STATUS_UNAVAILABLE, "the processor serves another log");
    return status;
}

static enum status ask_replay(struct asof_replay *replay, enum stream stream, uint64_t from,
                              uint64_t max, struct replay_reply *ret_reply,
                              struct detail *ret_detail)
{
    enum status status = send_replay(replay, stream, from, max, ret_detail);
    return status == STATUS_OK ? await_replay(replay, ret_reply, ret_detail) : status;
}

/* The last id of a stream with a time ≤ time_ns. */
static enum status seek(struct asof_replay *replay, enum stream stream, uint64_t time_ns,
                        uint64_t *ret_id, struct detail *ret_detail)
{
    struct control_request request = {.verb = CONTROL_SEEK,
                                      .stream = stream,
                                      .time_ns = time_ns < EVENT_TIME_NS_MAX ? time_ns + 1
                                                                             : EVENT_TIME_NS_MAX};
    uint64_t id = 0;
    if (request_send(replay->link.control, ++replay->number, &request) != STATUS_OK)
        return cannot_ask(ret_detail);
    enum status status = await(replay, ret_detail);
    if (status == STATUS_OK)
        status = control_reply_uint_read(frame_slice(&replay->link.reply.frame), &id, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (id == 0)
        return detail_set(ret_detail, STATUS_UNAVAILABLE, "the processor's answer makes no sense");
    *ret_id = id - 1;
    return STATUS_OK;
}

/* --- the moment --- */

static enum status read_rejection(struct asof_replay *replay, uint64_t id,
                                  struct rejection *ret_record, struct detail *ret_detail)
{
    struct replay_reply reply;
    enum status status = ask_replay(replay, STREAM_REJECTED, id, 1, &reply, ret_detail);
    struct mp_reader reader = mp_reader_of(frame_slice(&replay->link.reply.body));
    if (status == STATUS_OK &&
        (reply.count != 1 || rejection_read(&reader, ret_record) != STATUS_OK))
        status =
            detail_set(ret_detail, STATUS_UNAVAILABLE, "rejection %" PRIu64 " cannot be read", id);
    return status;
}

static enum status read_accepted(struct asof_replay *replay, uint64_t id,
                                 struct accepted_record *ret_record, uint64_t *ret_last_id,
                                 struct detail *ret_detail)
{
    struct replay_reply reply;
    enum status status = ask_replay(replay, STREAM_ACCEPTED, id, 1, &reply, ret_detail);
    struct mp_reader reader = mp_reader_of(frame_slice(&replay->link.reply.body));
    if (status != STATUS_OK)
        return status;
    *ret_last_id = reply.last_id;
    if (reply.last_id < id)
        return detail_set(ret_detail, STATUS_NOT_FOUND,
                          "there is no event %" PRIu64 " yet: the last one is %" PRIu64, id,
                          reply.last_id);
    if (reply.count != 1 || accepted_record_read(&reader, ret_record) != STATUS_OK)
        return detail_set(ret_detail, STATUS_UNAVAILABLE, "event %" PRIu64 " cannot be read", id);
    return STATUS_OK;
}

/* The last rejection that was known before the event, which was accepted at `time_ns`: those of
 * before that time were, those of after it were not; among those of the same it is looked for. */
static enum status find_rejection(struct asof_replay *replay, uint64_t event_id, uint64_t time_ns,
                                  uint64_t *ret_id, struct detail *ret_detail)
{
    struct asof_search search;
    uint64_t before = 0, last = 0, id;
    enum status status = STATUS_OK;
    if (time_ns > 0)
        status = seek(replay, STREAM_REJECTED, time_ns - 1, &before, ret_detail);
    if (status == STATUS_OK)
        status = seek(replay, STREAM_REJECTED, time_ns, &last, ret_detail);
    asof_search_init(&search, event_id, before + 1, last);
    while (status == STATUS_OK && asof_search_next(&search, &id)) {
        struct rejection record;
        status = read_rejection(replay, id, &record, ret_detail);
        if (status == STATUS_OK)
            asof_search_learn(&search, record.after_event_id);
    }
    *ret_id = asof_search_result(&search);
    return status;
}

/* Log time at the target: that of its newest record. */
static enum status find_time(struct asof_replay *replay, struct target *target,
                             struct detail *ret_detail)
{
    struct fold_position *position = &target->position;
    struct accepted_record accepted;
    struct rejection rejection;
    enum status status = STATUS_OK;
    if (position->event_id > 0) {
        status = read_accepted(replay, position->event_id, &accepted, &target->last_event_id,
                               ret_detail);
        if (status == STATUS_OK)
            position->time_ns = accepted.accepted_at_ns;
    }
    if (status == STATUS_OK && position->rejection_id > 0) {
        status = read_rejection(replay, position->rejection_id, &rejection, ret_detail);
        if (status == STATUS_OK && rejection.rejected_at_ns > position->time_ns)
            position->time_ns = rejection.rejected_at_ns;
        if (status == STATUS_GONE && position->event_id > 0)
            status = STATUS_OK; /* dropped with what was before the event: the event is newer */
    }
    return status;
}

/* Is the moment one that the views know of? */
static enum status check_since(const struct asof_replay *replay, uint64_t event_id,
                               struct detail *ret_detail)
{
    uint64_t since = replay->options->since;
    if (since <= 1 || event_id >= since)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_GONE,
                      "this projector's views begin with event %" PRIu64 " (--from-id)", since);
}

static enum status find_event(struct asof_replay *replay, uint64_t event_id, struct target *target,
                              struct detail *ret_detail)
{
    struct accepted_record record;
    target->position.event_id = event_id;
    enum status status = check_since(replay, event_id, ret_detail);
    if (status != STATUS_OK || event_id == 0)
        return status;
    status = read_accepted(replay, event_id, &record, &target->last_event_id, ret_detail);
    if (status == STATUS_OK)
        status = find_rejection(replay, event_id, record.accepted_at_ns,
                                &target->position.rejection_id, ret_detail);
    return status;
}

static enum status find_moment(struct asof_replay *replay, uint64_t time_ns, struct target *target,
                               struct detail *ret_detail)
{
    struct fold_position *position = &target->position;
    enum status status = seek(replay, STREAM_ACCEPTED, time_ns, &position->event_id, ret_detail);
    if (status == STATUS_OK)
        status = check_since(replay, position->event_id, ret_detail);
    if (status == STATUS_OK)
        status = seek(replay, STREAM_REJECTED, time_ns, &position->rejection_id, ret_detail);
    return status;
}

static enum status find_target(struct asof_replay *replay, const struct asof_question *question,
                               struct target *ret_target, struct detail *ret_detail)
{
    struct target target = {0};
    enum status status = question->at == AT_TIME
                             ? find_moment(replay, question->time_ns, &target, ret_detail)
                             : find_event(replay, question->event_id, &target, ret_detail);
    if (status == STATUS_OK)
        status = find_time(replay, &target, ret_detail);
    if (status == STATUS_OK)
        *ret_target = target;
    return status;
}

/* --- the view --- */

static uint64_t position_of(const struct fold *fold, enum stream stream)
{
    struct fold_position position = fold_position(fold);
    return stream == STREAM_ACCEPTED ? position.event_id : position.rejection_id;
}

/* Applies the records up to `last`. The next piece is asked for before one is applied. */
static enum status apply_until(struct asof_replay *replay, struct fold *fold, enum stream stream,
                               uint64_t last, struct detail *ret_detail)
{
    uint64_t next = position_of(fold, stream) + 1;
    enum status status = STATUS_OK;
    if (next <= last)
        status = send_replay(replay, stream, next, last - next + 1, ret_detail);
    while (next <= last && status == STATUS_OK) {
        struct replay_reply reply;
        uint64_t hash;
        status = await_replay(replay, &reply, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (reply.count == 0 || reply.first_id != next || reply.count > last - next + 1)
            return detail_set(ret_detail, STATUS_UNAVAILABLE, "the replay makes no sense");
        next += reply.count;
        if (next <= last)
            status = send_replay(replay, stream, next, last - next + 1, ret_detail);
        if (status == STATUS_OK)
            status = fold_apply(fold, stream, frame_slice(&replay->link.reply.body), reply.count,
                                &hash, ret_detail);
    }
    return status;
}

static void warn_of_damage(struct asof_replay *replay, const struct view_type *type, uint32_t count)
{
    if (count > 0 && !replay->warned_of_damage)
        log_warn("damaged snapshots are passed over: answers as of earlier are right but slower; "
                 "--rebuild makes them anew",
                 "view=%s damaged=%" PRIu32 " db=%s", type->name, count, replay->options->database);
    replay->warned_of_damage |= count > 0;
}

/* The newest snapshot before the target; none: the beginning. */
static enum status load_start(struct asof_replay *replay, const struct view_type *type,
                              const struct target *target, const struct hash_seed *seed,
                              struct fold_start *ret_start)
{
    struct store *store = NULL;
    struct fold_position until = target->position;
    uint32_t damaged;
    if (type->apply_rejected == NULL)
        until.rejection_id = INT64_MAX;
    if (replay->options->database == NULL ||
        store_open_reader(replay->options->database, &store, NULL) != STATUS_OK)
        return STATUS_NOT_FOUND;
    enum status status = snapshot_load(store, type, &until, seed, ret_start, &damaged);
    store_close(&store);
    warn_of_damage(replay, type, damaged);
    return status;
}

static enum status make_fold(struct asof_replay *replay, const struct view_type *type,
                             const struct target *target, struct fold **ret_fold,
                             struct detail *ret_detail)
{
    struct fold_start start = {0};
    struct fold_options options = {.types = &type,
                                   .type_count = 1,
                                   .policy = replay->options->first_policy,
                                   .starts = &start,
                                   .since = replay->options->since};
    hash_seed_random(&options.seed);
    if (load_start(replay, type, target, &options.seed, &start) != STATUS_OK)
        start = (struct fold_start){.mark = replay->options->first,
                                    .policy = strdup(replay->options->first_policy)};
    if (start.policy == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a policy");
    enum status status = fold_new(&options, ret_fold, ret_detail);
    free(start.policy);
    return status;
}

static enum status fold_target(struct asof_replay *replay, const struct view_type *type,
                               const struct target *target, struct fold **ret_fold,
                               struct detail *ret_detail)
{
    enum status status = make_fold(replay, type, target, ret_fold, ret_detail);
    if (status == STATUS_OK && type->apply_rejected != NULL)
        status = apply_until(replay, *ret_fold, STREAM_REJECTED, target->position.rejection_id,
                             ret_detail);
    if (status == STATUS_OK)
        status =
            apply_until(replay, *ret_fold, STREAM_ACCEPTED, target->position.event_id, ret_detail);
    return status;
}

/* --- the answer --- */

static enum control_code code_of(enum status status)
{
    switch (status) {
    case STATUS_NOT_FOUND:
        return CONTROL_CODE_NOT_FOUND;
    case STATUS_GONE:
        return CONTROL_CODE_GONE;
    default:
        return CONTROL_CODE_UNAVAILABLE;
    }
}

static const struct view_type *type_of(const struct asof_replay *replay, struct slice view)
{
    for (uint32_t i = 0; i < replay->options->type_count; i++)
        if (slice_equal_text(view, replay->options->types[i]->name))
            return replay->options->types[i];
    return NULL;
}

static const char *note_of(const struct target *target)
{
    bool nothing = target->position.event_id == 0 && target->position.rejection_id == 0;
    return nothing ? "before the first event: there was no state yet" : NULL;
}

static void write_answer(const struct asof_replay *replay, const struct view_type *type,
                         const struct target *target, struct fold *fold, struct buffer *reply)
{
    struct answer_view view = {.name = type->name,
                               .log_id = &replay->options->log_id,
                               .rows = fold_view_rows(fold, 0),
                               .position = target->position,
                               .since = replay->options->since,
                               .note = note_of(target)};
    answer_rows(&view, reply);
}

/* A view in SQL: a fold of no views of its own, whose guest is the view. */
static enum status fold_moment(struct asof_replay *replay, const struct target *target,
                               struct sql_moment *moment, struct detail *ret_detail)
{
    struct fold *fold = NULL;
    struct fold_start start = {.mark = replay->options->first};
    struct fold_options options = {
        .policy = replay->options->first_policy, .starts = &start, .since = replay->options->since};
    struct fold_guest guest = sql_moment_guest(moment);
    enum status status = fold_new(&options, &fold, ret_detail);
    if (status != STATUS_OK)
        return status;
    fold_invite(fold, &guest);
    status = apply_until(replay, fold, STREAM_ACCEPTED, target->position.event_id, ret_detail);
    if (status == STATUS_OK)
        status = sql_moment_status(moment, ret_detail);
    fold_destroy(&fold);
    return status;
}

static enum status answer_sql(struct asof_replay *replay, const struct asof_question *question,
                              const struct target *target, struct buffer *reply,
                              struct detail *ret_detail)
{
    struct sql_moment *moment = NULL;
    enum status status = sql_moment_new(question->view, question->text, &moment, ret_detail);
    if (status == STATUS_OK)
        status = fold_moment(replay, target, moment, ret_detail);
    if (status == STATUS_OK) {
        struct sql_answer answer = {.version = sql_moment_version(moment),
                                    .log_id = &replay->options->log_id,
                                    .position = target->position,
                                    .since = replay->options->since,
                                    .note = note_of(target)};
        sql_answer_write(&answer, reply);
    }
    sql_moment_destroy(&moment);
    return status;
}

static enum status answer_built_in(struct asof_replay *replay, const struct asof_question *question,
                                   const struct target *target, struct buffer *reply,
                                   struct detail *ret_detail)
{
    const struct view_type *type = type_of(replay, question->view);
    struct fold *fold = NULL;
    if (type == NULL)
        return detail_set(ret_detail, STATUS_NOT_FOUND, "no such view");
    enum status status = fold_target(replay, type, target, &fold, ret_detail);
    if (status == STATUS_OK)
        write_answer(replay, type, target, fold, reply);
    fold_destroy(&fold);
    return status;
}

bool asof_replay_answer(struct asof_replay *replay, const struct asof_question *question,
                        struct buffer *reply)
{
    struct detail detail = {.text = ""};
    struct target target = {0};
    enum status status = find_target(replay, question, &target, &detail);
    if (status == STATUS_OK)
        status = question->text.size > 0
                     ? answer_sql(replay, question, &target, reply, &detail)
                     : answer_built_in(replay, question, &target, reply, &detail);
    if (status != STATUS_OK)
        control_error_write(reply, code_of(status), detail.text);
    return status == STATUS_OK && target.position.event_id < target.last_event_id;
}
