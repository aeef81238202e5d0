#include "producer/sender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/state_dir.h"
#include "common/base/clock.h"
#include "common/upload/line_event.h"

#define RECORD_INTERVAL_NS NS_PER_S

enum {
    SUBMISSION_BYTES_AIM = 32 * 1024, /* a submission is closed when it has so many */
    LINES_PER_TURN = 512,
    EVENT_BUFFER_BYTES_MAX = 4 * 1024 * 1024, /* a line of 1 MiB never needs as much */
};

/* Why taking lines stopped. */
enum pause { PAUSE_TURN, PAUSE_INPUT, PAUSE_ROOM, PAUSE_OVER };

/* Starting. */

static enum status changed_file(const struct sender *s, const struct detail *reason,
                                struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT,
                      "%s: %s since it was sent: send all of it as further events with --append, "
                      "or under a new name with --source NAME",
                      s->options.path, reason->text);
}

/* Takes up the record of an earlier run, if there is one, and moves past what it says is decided.
 */
static enum status resume(struct sender *s, struct detail *ret_detail)
{
    struct upload found;
    upload_init(&found);
    enum status status = upload_file_load(s->record, &found, ret_detail);
    bool same = status == STATUS_OK && strcmp(found.path, s->upload.path) == 0 &&
                log_id_equal(&found.log_id, &s->upload.log_id);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && !same)) {
        upload_fini(&found);
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        upload_fini(&found);
        return status;
    }
    upload_fini(&s->upload);
    s->upload = found;
    struct detail reason;
    status = lines_skip(s->lines, &s->upload.saved, &reason);
    if (status == STATUS_BAD_INPUT)
        return changed_file(s, &reason, ret_detail);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "%s: %s", s->options.path, reason.text);
    return STATUS_OK;
}

static enum status open_record(struct sender *s, struct detail *ret_detail)
{
    char *path = realpath(s->options.path, NULL);
    if (path == NULL)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "cannot read %s: %s", s->options.path,
                          strerror(errno));
    enum status status = STATUS_OK;
    if (strlen(path) >= sizeof s->upload.path)
        status = detail_set(ret_detail, STATUS_BAD_INPUT, "%s: its path is too long", path);
    else
        memcpy(s->upload.path, path, strlen(path) + 1);
    free(path);
    struct processor_status processor;
    if (status == STATUS_OK)
        status = producer_status(s->producer, &processor, ret_detail);
    char folder[STATE_DIR_BYTES_MAX];
    if (status == STATUS_OK)
        status = state_dir_prepare(folder, ret_detail);
    if (status == STATUS_OK) {
        s->upload.log_id = processor.log_id;
        const struct upload_name name = {.folder = folder,
                                         .path = s->upload.path,
                                         .log_id = s->upload.log_id,
                                         .source = s->options.source};
        status = upload_file_open(&name, &s->record, ret_detail);
    }
    if (status == STATUS_OK && !s->options.append)
        status = resume(s, ret_detail);
    return status;
}

enum status sender_init(struct sender *s, const struct sender_options *options,
                        struct detail *ret_detail)
{
    memset(s, 0, sizeof *s);
    s->options = *options;
    upload_init(&s->upload);
    buffer_init(&s->event, EVENT_BUFFER_BYTES_MAX);
    enum status status = lines_open(options->path, &s->lines, ret_detail);
    if (status == STATUS_OK)
        status = producer_open(&options->endpoints, &s->producer, ret_detail);
    if (status == STATUS_OK && lines_is_file(s->lines))
        status = open_record(s, ret_detail);
    uint64_t now_ns = clock_boot_ns();
    s->record_due_ns = now_ns + RECORD_INTERVAL_NS;
    progress_start(&s->progress, now_ns);
    return status;
}

void sender_fini(struct sender *s)
{
    upload_file_close(&s->record);
    producer_close(&s->producer);
    lines_close(&s->lines);
    upload_fini(&s->upload);
    buffer_fini(&s->event);
}

/* Sources. */

/* A source that somebody already used, with no record of this file: whose events are they? */
static enum status foreign_source(const struct sender *s, const char *name, uint64_t last_sequence,
                                  struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT,
                      "%s: source '%s' already has %llu events and no record of this file is at "
                      "hand: send as further events with --append, or under a new name with "
                      "--source NAME",
                      s->options.path, name, (unsigned long long)last_sequence);
}

static enum status older_log(const struct sender *s, const char *name, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT,
                      "source '%s': the processor knows fewer events than it acknowledged; was an "
                      "older copy of its store put back? Remove %s and send again with --append",
                      name, upload_file_path(s->record));
}

/* Finds what the file's record says of a source, or enters it; before anything is sent for it, the
 * record is on disk. */
static enum status enter_source(struct sender *s, struct slice name,
                                const struct hello_reply *hello, uint32_t *ret_index,
                                struct detail *ret_detail)
{
    bool goes_on = s->record == NULL || s->options.append;
    *ret_index = upload_find(&s->upload, name);
    if (*ret_index < UPLOAD_SOURCES_MAX) {
        const struct upload_source *known = &s->upload.sources[*ret_index];
        if (hello->last_sequence < known->base + known->events_saved)
            return older_log(s, known->name, ret_detail);
        return STATUS_OK;
    }
    uint64_t base = goes_on ? hello->last_sequence : 0;
    enum status status = upload_add(&s->upload, name, base, ret_index);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot keep one more source");
    if (!goes_on && hello->last_sequence > 0)
        return foreign_source(s, s->upload.sources[*ret_index].name, hello->last_sequence,
                              ret_detail);
    if (s->record != NULL)
        status = upload_file_save(s->record, &s->upload, ret_detail);
    return status;
}

static enum status find_source(struct sender *s, struct slice name, uint32_t *ret_index,
                               struct detail *ret_detail)
{
    *ret_index = producer_find(s->producer, name);
    if (*ret_index != PRODUCER_SOURCE_NONE)
        return STATUS_OK;
    if (producer_source_count(s->producer) == PRODUCER_SOURCES_MAX)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "%s: more than %d sources", s->options.path,
                          PRODUCER_SOURCES_MAX);
    struct hello_reply hello;
    enum status status = producer_add_source(s->producer, name, ret_index, &hello, ret_detail);
    if (status != STATUS_OK)
        return status;
    s->decided_before[*ret_index] = hello.last_sequence;
    return enter_source(s, name, &hello, &s->upload_index[*ret_index], ret_detail);
}

/* Lines. */

static void report_line(struct sender *s, const char *reason)
{
    progress_break(&s->progress);
    s->bad_lines++;
    fprintf(stderr, "%s:%llu: %s\n", s->options.path, (unsigned long long)lines_number(s->lines),
            reason);
}

/* Hands the event in s->event to its outbox. FULL: not yet. */
static enum status place_event(struct sender *s)
{
    uint8_t *at;
    enum status status = producer_reserve(s->producer, s->event_source, s->event.size, &at);
    s->event_waits = status == STATUS_FULL;
    if (status != STATUS_OK)
        return status;
    memcpy(at, s->event.data, s->event.size);
    producer_added(s->producer, s->event_source, at + s->event.size, 1);
    if (outbox_open_bytes(producer_outbox(s->producer, s->event_source)) >= SUBMISSION_BYTES_AIM)
        producer_seal(s->producer, s->event_source);
    return STATUS_OK;
}

/* OK, FULL (the event waits), or what ends the run. */
static enum status take_line(struct sender *s, struct slice line, struct detail *ret_detail)
{
    char name[EVENT_SOURCE_BYTES_MAX + 1];
    struct detail reason;
    buffer_clear(&s->event);
    enum status status =
        line_event_read(line, s->options.source, clock_wall_ns(), &s->event, name, &reason);
    if (status == STATUS_END)
        return STATUS_OK;
    if (status != STATUS_OK) {
        report_line(s, reason.text);
        return STATUS_OK;
    }
    status = find_source(s, slice_of_text(name), &s->event_source, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct upload_source *entry = &s->upload.sources[s->upload_index[s->event_source]];
    entry->events_read++;
    if (upload_sequence(entry) <= s->decided_before[s->event_source]) {
        s->known_lines++;
        return STATUS_OK;
    }
    return place_event(s);
}

/* Takes lines until the input pauses or ends, there is no more room, or it is time for a turn. */
static enum status take_lines(struct sender *s, enum pause *ret_pause, struct detail *ret_detail)
{
    enum status status = s->event_waits ? place_event(s) : STATUS_OK;
    *ret_pause = PAUSE_TURN;
    for (unsigned i = 0; i < LINES_PER_TURN && status == STATUS_OK; i++) {
        struct slice line;
        status = lines_next(s->lines, &line);
        if (status == STATUS_OK) {
            status = take_line(s, line, ret_detail);
        } else if (status == STATUS_TOO_LARGE) {
            report_line(s, "longer than 1 MiB");
            status = STATUS_OK;
        } else if (lines_over(s->lines)) {
            *ret_pause = PAUSE_OVER;
            return STATUS_OK;
        } else if (!lines_is_file(s->lines)) {
            *ret_pause = PAUSE_INPUT;
            return STATUS_OK;
        } else {
            status = lines_read(s->lines, ret_detail);
        }
    }
    if (status != STATUS_FULL)
        return status;
    *ret_pause = PAUSE_ROOM;
    return STATUS_OK;
}

/* The record. */

static bool mark_is_decided(const struct sender *s)
{
    for (uint32_t i = 0; i < producer_source_count(s->producer); i++) {
        const struct upload_source *source = &s->upload.sources[s->upload_index[i]];
        uint64_t acknowledged = outbox_acknowledged(producer_outbox(s->producer, i));
        if (acknowledged < source->base + source->events_marked)
            return false;
    }
    return true;
}

static void mark(struct sender *s)
{
    struct upload_prefix prefix = lines_taken(s->lines);
    upload_mark(&s->upload, &prefix);
}

static enum status keep_record(struct sender *s, uint64_t now_ns, struct detail *ret_detail)
{
    if (s->record == NULL)
        return STATUS_OK;
    if (!s->upload.is_marked && now_ns >= s->record_due_ns) {
        mark(s);
        s->record_due_ns = now_ns + RECORD_INTERVAL_NS;
    }
    if (!s->upload.is_marked || !mark_is_decided(s))
        return STATUS_OK;
    upload_save_mark(&s->upload);
    return upload_file_save(s->record, &s->upload, ret_detail);
}

/* At the end everything read is decided. */
static enum status finish_record(struct sender *s, struct detail *ret_detail)
{
    if (s->record == NULL || lines_taken(s->lines).bytes == s->upload.saved.bytes)
        return STATUS_OK;
    mark(s);
    return keep_record(s, 0, ret_detail);
}

/* Running. */

/* Somebody else used a source in the meantime: some lines were taken for decided and are not. */
static enum status check_sources(const struct sender *s, struct detail *ret_detail)
{
    for (uint32_t i = 0; i < producer_source_count(s->producer); i++) {
        const struct upload_source *source = &s->upload.sources[s->upload_index[i]];
        bool foreign = upload_sequence(source) < s->decided_before[i];
        if (foreign && source->events_read > source->events_saved)
            return foreign_source(s, source->name, s->decided_before[i], ret_detail);
    }
    return STATUS_OK;
}

static enum status run_turn(struct sender *s, enum pause pause, struct detail *ret_detail)
{
    struct turn turn = {.fd = -1, .timeout_ms = pause == PAUSE_TURN ? 0 : -1};
    if (pause == PAUSE_INPUT)
        turn.fd = lines_fd(s->lines);
    if (pause != PAUSE_TURN)
        producer_seal_all(s->producer);
    enum status status = producer_turn(s->producer, &turn, ret_detail);
    if (status == STATUS_OK && turn.fd_ready)
        status = lines_read(s->lines, ret_detail);
    uint64_t now_ns = clock_boot_ns();
    if (status == STATUS_OK)
        status = keep_record(s, now_ns, ret_detail);
    progress_tick(&s->progress, s->producer, now_ns);
    return status;
}

/* Waits for the verdicts on all that was taken. */
static enum status drain(struct sender *s, struct detail *ret_detail)
{
    enum status status = producer_drain(s->producer, ret_detail);
    if (status != STATUS_OK || !s->event_waits)
        return status;
    status = place_event(s);
    return status == STATUS_OK ? producer_drain(s->producer, ret_detail) : status;
}

enum status sender_run(struct sender *s, struct detail *ret_detail)
{
    enum pause pause = PAUSE_TURN;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !lifecycle_stopping()) {
        status = take_lines(s, &pause, ret_detail);
        if (status != STATUS_OK || pause == PAUSE_OVER)
            break;
        status = run_turn(s, pause, ret_detail);
    }
    /* Stopped while saying hello for a new source: its line was taken and will not be sent. */
    bool dropped_line = status == STATUS_INTERRUPTED;
    if (status == STATUS_OK || dropped_line)
        status = drain(s, ret_detail);
    if (status == STATUS_OK && dropped_line)
        return STATUS_INTERRUPTED;
    if (status == STATUS_OK && pause == PAUSE_OVER)
        status = check_sources(s, ret_detail);
    if (status == STATUS_OK)
        status = finish_record(s, ret_detail);
    return status;
}
