#include "processor/tools/history.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/app/moment.h"
#include "common/app/options.h"
#include "common/base/glob.h"
#include "common/base/logger.h"
#include "common/event/json.h"
#include "common/event/upcast/upcast.h"
#include "processor/tools/store_view.h"

#define PROGRAM "weir-processor"

enum {
    OUT_BYTES = 256 * 1024,                      /* written at once */
    OUT_BYTES_MAX = OUT_BYTES + 4 * 1024 * 1024, /* with one line of any size */
    BODY_BYTES_MAX = REPLAY_BODY_BYTES_MAX + BATCH_BYTES_MAX,
    RECORDS_PER_TURN = 65536,
    MIGRATED_BYTES_MAX = 16 * UPCAST_DATA_BYTES_MAX, /* an event on its way through versions */
    FOLLOW_EVERY_MS = 50,                            /* asking a processor */
    LOOK_AGAIN_EVERY_MS = 500, /* nobody holds the store, or its holder is silent */
};

struct history_options {
    const char *store, *stream, *from, *to, *subject, *type, *source;
    bool follow, raw;
};

struct history {
    struct history_options options;
    enum stream stream;
    struct moment from, to;
    struct store_view *view;
    struct buffer body, out, migrated;
    uint64_t next_id;
    uint64_t last_id;      /* as far as is asked for; UINT64_MAX: any */
    uint64_t last_time_ns; /* likewise */
    bool done;             /* a record beyond was met */
};

/* ---- options ---- */

static enum status read_moment(const struct command *command, const char *name, const char *text,
                               struct moment *ret_moment)
{
    struct detail detail;
    if (text == NULL || moment_parse(text, ret_moment, &detail) == STATUS_OK)
        return STATUS_OK;
    return options_usage(PROGRAM, command, "--%s %s", name, detail.text);
}

static enum status check_options(struct history *history, const struct command *command)
{
    const struct history_options *o = &history->options;
    if (o->store == NULL)
        return options_usage(PROGRAM, command, "--store DIR is missing");
    if (strcmp(o->stream, stream_text(STREAM_REJECTED)) == 0)
        history->stream = STREAM_REJECTED;
    else if (strcmp(o->stream, stream_text(STREAM_ACCEPTED)) != 0)
        return options_usage(PROGRAM, command, "--stream: '%s' is not accepted or rejected",
                             o->stream);
    enum status status = read_moment(command, "from", o->from, &history->from);
    return status == STATUS_OK ? read_moment(command, "to", o->to, &history->to) : status;
}

static enum status options_read(struct history *history, int argc, char **argv)
{
    struct history_options *o = &history->options;
    const struct option_spec specs[] = {
        {"store", "DIR", "folder of the log", OPTION_TEXT, &o->store, 0},
        {"stream", "NAME", "accepted (default) or rejected", OPTION_TEXT, &o->stream, 0},
        {"from", "X", "first: '#ID', a time (RFC 3339), or -5m before the log's last time",
         OPTION_TEXT, &o->from, 0},
        {"to", "X", "last, itself included", OPTION_TEXT, &o->to, 0},
        {"subject", "S", "only this subject", OPTION_TEXT, &o->subject, 0},
        {"type", "GLOB", "only types that match: * and ?", OPTION_TEXT, &o->type, 0},
        {"source", "S", "only this source", OPTION_TEXT, &o->source, 0},
        {"follow", NULL, "go on with what comes, until stopped", OPTION_FLAG, &o->follow, 0},
        {"raw", NULL, "events as they are stored: old schema versions are not migrated",
         OPTION_FLAG, &o->raw, 0},
    };
    const struct command command = {.name = "history",
                                    .help = "print what was accepted or refused, as JSON Lines",
                                    .options = specs,
                                    .option_count = sizeof specs / sizeof specs[0]};
    char **operands;
    int operand_count;
    o->stream = stream_text(STREAM_ACCEPTED);
    enum status status = options_parse(PROGRAM, &command, argc, argv, &operands, &operand_count);
    return status == STATUS_OK ? check_options(history, &command) : status;
}

/* ---- output ---- */

/* END: whoever read the output has closed it. */
static enum status flush_out(struct history *history, struct detail *ret_detail)
{
    const uint8_t *at = history->out.data;
    size_t left = history->out.size;
    while (left > 0) {
        ssize_t written = write(STDOUT_FILENO, at, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EPIPE)
            return STATUS_END;
        if (written < 0)
            return detail_set(ret_detail, STATUS_IO, "cannot write the output: %s",
                              strerror(errno));
        at += written;
        left -= (size_t)written;
    }
    buffer_clear(&history->out);
    return STATUS_OK;
}

static enum status write_accepted(struct history *history, const struct accepted_record *record)
{
    return json_write_accepted(record->event_id, record->accepted_at_ns, record->source,
                               record->sequence, &record->event, &history->out);
}

/* ---- records ---- */

static bool wanted(const struct history_options *o, struct slice source, struct slice type,
                   struct slice subject)
{
    return (o->source == NULL || slice_equal_text(source, o->source)) &&
           (o->subject == NULL || slice_equal_text(subject, o->subject)) &&
           (o->type == NULL || glob_matches(o->type, type));
}

static bool beyond(const struct history *history, uint64_t id, uint64_t time_ns)
{
    return id > history->last_id || time_ns > history->last_time_ns;
}

/* One that cannot be migrated is printed as it is stored, with a warning. */
static void migrate(struct history *history, struct accepted_record *record)
{
    struct detail detail;
    buffer_clear(&history->migrated);
    if (upcast_event(&record->event, &history->migrated, &detail) != STATUS_OK)
        log_warn("an event of an old schema version could not be migrated and is shown as it is",
                 "event_id=%" PRIu64 " what=\"%s\"", record->event_id, detail.text);
}

/* Moves past one record; what is wanted of it is appended to `out`. */
static enum status take_record(struct history *history, struct mp_reader *reader)
{
    struct accepted_record accepted;
    struct rejection rejected;
    enum status status;
    size_t before = history->out.size;
    if (history->stream == STREAM_ACCEPTED) {
        status = accepted_record_read(reader, &accepted);
        if (status != STATUS_OK)
            return status;
        history->done = beyond(history, accepted.event_id, accepted.accepted_at_ns);
        if (!history->done && !history->options.raw)
            migrate(history, &accepted);
        if (!history->done &&
            wanted(&history->options, accepted.source, accepted.event.type, accepted.event.subject))
            status = write_accepted(history, &accepted);
    } else {
        status = rejection_read(reader, &rejected);
        if (status != STATUS_OK)
            return status;
        history->done = beyond(history, rejected.rejection_id, rejected.rejected_at_ns);
        if (!history->done &&
            wanted(&history->options, rejected.source, rejected.type, rejected.subject))
            status = rejection_write_json(&rejected, &history->out);
    }
    if (status == STATUS_OK && history->out.size > before)
        buffer_append(&history->out, "\n", 1);
    return status;
}

static enum status take_body(struct history *history, uint64_t count, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&history->body));
    for (uint64_t i = 0; i < count && !history->done; i++) {
        enum status status = take_record(history, &reader);
        if (status != STATUS_OK)
            return detail_set(ret_detail, STATUS_DAMAGED,
                              "%s: %s record %" PRIu64 " cannot be read: %s",
                              history->options.store, stream_text(history->stream),
                              history->next_id + i, status_text(status));
        if (history->out.size >= OUT_BYTES) {
            status = flush_out(history, ret_detail);
            if (status != STATUS_OK)
                return status;
        }
    }
    return STATUS_OK;
}

/* Prints what is durable, from next_id on. END: the output was closed. INTERRUPTED. */
static enum status print_durable(struct history *history, struct detail *ret_detail)
{
    const struct durable *durable = store_view_durable(history->view);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !history->done && history->next_id <= history->last_id) {
        struct replay_reply reply = {0};
        if (lifecycle_stopping())
            return STATUS_INTERRUPTED;
        buffer_clear(&history->body);
        status =
            reader_replay(store_view_reader(history->view), durable, history->stream,
                          history->next_id, RECORDS_PER_TURN, &history->body, &reply, ret_detail);
        if (status != STATUS_OK || reply.count == 0)
            break;
        status = take_body(history, reply.count, ret_detail);
        history->next_id += reply.count;
    }
    return status == STATUS_OK ? flush_out(history, ret_detail) : status;
}

/* ---- the range ---- */

static enum status first_kept(struct history *history, uint64_t *ret_id, struct detail *ret_detail)
{
    struct replay_reply reply = {.first_id = 1};
    struct detail ignored;
    buffer_clear(&history->body);
    enum status status =
        reader_replay(store_view_reader(history->view), store_view_durable(history->view),
                      history->stream, 1, 1, &history->body, &reply, &ignored);
    if (status != STATUS_OK && status != STATUS_GONE) {
        *ret_detail = ignored;
        return status;
    }
    *ret_id = reply.first_id;
    return STATUS_OK;
}

static enum status gone(const struct history *history, uint64_t kept, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_GONE,
                      "--from %s is before the first %s id that is kept, which is %" PRIu64
                      ": take --from '#%" PRIu64 "'",
                      history->options.from, stream_text(history->stream), kept, kept);
}

/* Where to begin: what --from says, else the first that is kept. */
static enum status find_first(struct history *history, struct detail *ret_detail)
{
    const struct durable *durable = store_view_durable(history->view);
    uint64_t kept = 1;
    enum status status = first_kept(history, &kept, ret_detail);
    if (status != STATUS_OK)
        return status;
    history->next_id = kept;
    if (history->options.from == NULL)
        return STATUS_OK;
    struct moment from = moment_resolve(history->from, durable->last_time_ns);
    if (from.kind == MOMENT_ID)
        history->next_id = from.value > 0 ? from.value : 1;
    else
        status = reader_seek(store_view_reader(history->view), durable, history->stream, from.value,
                             &history->next_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    /* Of what is gone nobody can say any more whether it was later than a time. */
    bool missing =
        from.kind == MOMENT_ID ? history->next_id < kept : kept > 1 && history->next_id <= kept;
    return missing ? gone(history, kept, ret_detail) : STATUS_OK;
}

static void find_last(struct history *history)
{
    history->last_id = history->last_time_ns = UINT64_MAX;
    if (history->options.to == NULL)
        return;
    struct moment to = moment_resolve(history->to, store_view_durable(history->view)->last_time_ns);
    if (to.kind == MOMENT_ID)
        history->last_id = to.value;
    else
        history->last_time_ns = to.value;
}

/* ---- following ---- */

/* OK: the time is over. END: the output was closed. INTERRUPTED. */
static enum status pause_following(int timeout_ms)
{
    struct pollfd items[] = {{.fd = lifecycle_fd(), .events = POLLIN}, {.fd = STDOUT_FILENO}};
    if (poll(items, 2, timeout_ms) <= 0)
        return STATUS_OK;
    if (lifecycle_stopping())
        return STATUS_INTERRUPTED;
    return (items[1].revents & (POLLERR | POLLHUP)) != 0 ? STATUS_END : STATUS_OK;
}

static enum status follow(struct history *history, struct detail *ret_detail)
{
    bool away = false;
    while (!history->done && history->next_id <= history->last_id) {
        bool live = !away && store_view_now_ns(history->view) > 0;
        enum status status = pause_following(live ? FOLLOW_EVERY_MS : LOOK_AGAIN_EVERY_MS);
        if (status != STATUS_OK)
            return status;
        status = store_view_refresh(history->view, ret_detail);
        if (status == STATUS_UNAVAILABLE || status == STATUS_BUSY) {
            if (!away)
                log_info("waiting for the store's holder", "what=\"%s\"", ret_detail->text);
            away = true;
            continue;
        }
        away = false;
        if (status == STATUS_OK)
            status = print_durable(history, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status run(struct history *history, struct detail *ret_detail)
{
    enum status status = upcast_check(upcasts, upcast_count, ret_detail);
    if (status == STATUS_OK)
        status = buffer_reserve(&history->migrated, MIGRATED_BYTES_MAX);
    if (status == STATUS_OK)
        status = lifecycle_start(ret_detail);
    if (status == STATUS_OK)
        status = store_view_open(history->options.store, &history->view, ret_detail);
    if (status == STATUS_OK)
        status = find_first(history, ret_detail);
    if (status != STATUS_OK)
        return status;
    find_last(history);
    status = print_durable(history, ret_detail);
    if (status == STATUS_OK && history->options.follow)
        status = follow(history, ret_detail);
    return status;
}

int history_main(int argc, char **argv)
{
    struct history history = {.stream = STREAM_ACCEPTED};
    struct detail detail = {""};
    enum status status = options_read(&history, argc, argv);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);
    buffer_init(&history.body, BODY_BYTES_MAX);
    buffer_init(&history.out, OUT_BYTES_MAX);
    buffer_init(&history.migrated, MIGRATED_BYTES_MAX);
    status = run(&history, &detail);
    store_view_close(&history.view);
    buffer_fini(&history.body);
    buffer_fini(&history.out);
    buffer_fini(&history.migrated);
    if (status == STATUS_OK || status == STATUS_END || status == STATUS_INTERRUPTED)
        return EXIT_CODE_DONE;
    return lifecycle_fail(PROGRAM, status, &detail);
}
