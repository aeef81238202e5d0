#include "projector/sql_views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/logger.h"
#include "projector/sql/sql_answer.h"
#include "projector/sql_slot.h"
#include "projector/views_files.h"

/* --- loading --- */

/* Makes the version of a record ready, where its tables are still what the record says. */
static enum status open_version(struct sql_views *views, const struct sql_record *record,
                                struct sql_version **ret_version, struct detail *ret_detail)
{
    struct sql_file *file = NULL;
    struct sql_version *version = NULL;
    enum status status =
        sql_file_read(record->name, buffer_slice(&record->text), &file, ret_detail);
    if (status == STATUS_OK)
        status = sql_version_new(views->engine, file, record->suffix, &record->progress, &version,
                                 ret_detail);
    if (status == STATUS_OK)
        status = sql_version_check(version, ret_detail);
    if (status == STATUS_OK)
        *ret_version = version;
    else
        sql_version_destroy(&version);
    return status;
}

static enum status check_log(const struct sql_views *views, const struct sql_record *record,
                             struct detail *ret_detail)
{
    const char *path = store_path(views->store);
    if (!log_id_equal(&record->log_id, &views->log_id))
        return detail_set(ret_detail, STATUS_FENCED,
                          "database %s was made from another log than the one that the processor "
                          "serves: start with --rebuild to make it anew, or name another --db",
                          path);
    bool has_seen = record->progress.event_id >= record->since;
    if (has_seen && record->progress.event_id > views->last_event_id)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "database %s is ahead of the log: view %s has seen event %" PRIu64
                          ", the log ends at %" PRIu64
                          ": it lost what was published, or an old copy was put in its place; "
                          "start with --rebuild to make the views from what it holds now",
                          path, record->name, record->progress.event_id, views->last_event_id);
    return STATUS_OK;
}

/* What cannot be gone on with is taken out, and made anew when its file is offered. */
static enum status load(void *owner, const struct sql_record *record, struct detail *ret_detail)
{
    struct sql_views *views = owner;
    struct detail why = {.text = ""};
    struct sql_version *version = NULL;
    enum status status = record->is_whole ? check_log(views, record, ret_detail) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    struct sql_slot *slot = sql_slot_enter(views, record->name);
    if (slot == NULL)
        return STATUS_OK;
    if (record->is_whole && record->since == views->since)
        status = open_version(views, record, &version, &why);
    else if (record->is_whole)
        status = detail_set(&why, STATUS_DAMAGED, "it began with event %" PRIu64, record->since);
    else
        status = detail_set(&why, STATUS_DAMAGED, "its record is not whole");
    if (status != STATUS_OK) {
        log_warn("a view is made anew from the log", "view=%s why=\"%s\"", record->name, why.text);
        return sql_slot_drop(views, record->name, record->suffix, ret_detail);
    }
    bool is_next = record->suffix[0] != '\0';
    struct sql_edition *edition = is_next ? &slot->next : &slot->live;
    *edition = (struct sql_edition){.version = version,
                                    .committed = record->progress,
                                    .anchor = record->anchor,
                                    .committed_anchor = record->anchor,
                                    .is_unproven = record->progress.event_id >= record->since,
                                    .is_parked = record->problem.text[0] != '\0'};
    memcpy(edition->format, record->format, SQL_FORMAT_BYTES);
    if (edition->is_parked)
        sql_slot_set_problem(slot, &record->problem);
    return STATUS_OK;
}

enum status sql_views_open(const struct sql_views_options *options, struct sql_views **ret_views,
                           struct detail *ret_detail)
{
    enum status status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for views in SQL");
    struct sql_views *views = calloc(1, sizeof *views);
    if (views == NULL)
        return status;
    views->store = options->store;
    views->log_id = options->log_id;
    views->last_event_id = options->last_event_id;
    views->since = options->since > 1 ? options->since : 1;
    views->slots = calloc(SQL_VIEWS_MAX, sizeof *views->slots);
    if (views->slots != NULL)
        status = sql_engine_new(store_sqlite(options->store), &views->engine, ret_detail);
    if (status == STATUS_OK) /* KiB: rows are touched in any order */
        status = store_run(views->store, "PRAGMA cache_size = -65536", ret_detail);
    if (status == STATUS_OK)
        status = sql_records_load(views->store, load, views, ret_detail);
    if (status == STATUS_OK)
        *ret_views = views;
    else
        sql_views_close(&views);
    return status;
}

void sql_views_close(struct sql_views **views)
{
    struct sql_views *old = *views;
    if (old == NULL)
        return;
    for (uint32_t i = 0; i < old->count; i++) {
        sql_version_destroy(&old->slots[i].live.version);
        sql_version_destroy(&old->slots[i].next.version);
    }
    sql_engine_destroy(&old->engine);
    free(old->slots);
    free(old);
    *views = NULL;
}

/* --- files --- */

static enum status read_file(const char *name, struct slice text, struct sql_file **ret_file,
                             struct detail *ret_detail)
{
    enum status status = views_name_check(name, ret_detail);
    return status == STATUS_OK ? sql_file_read(name, text, ret_file, ret_detail) : status;
}

/* The file has gone back to the text that is at work. */
static bool goes_on_as_before(struct sql_views *views, struct sql_slot *slot)
{
    if (slot->live.version == NULL || strcmp(slot->live.format, slot->offered) != 0)
        return false;
    sql_edition_remove(views, slot, &slot->next);
    if (!slot->live.is_parked)
        sql_slot_clear_problem(slot);
    return true;
}

bool sql_views_knows(const struct sql_views *views, const char *name)
{
    for (uint32_t i = 0; i < views->count; i++)
        if (strcmp(views->slots[i].name, name) == 0)
            return views->slots[i].offered[0] != '\0';
    return false;
}

void sql_views_offer(struct sql_views *views, const char *name, struct slice text)
{
    char format[SQL_FORMAT_BYTES];
    struct detail why = {.text = ""};
    struct sql_file *file = NULL;
    struct sql_slot *slot = sql_slot_enter(views, name);
    if (slot == NULL) {
        log_warn("too many views in SQL", "view=%s views_max=%d", name, SQL_VIEWS_MAX);
        return;
    }
    sql_format(text, format);
    if (strcmp(slot->offered, format) == 0)
        return;
    memcpy(slot->offered, format, SQL_FORMAT_BYTES);
    if (goes_on_as_before(views, slot))
        return;
    if (slot->next.version != NULL && strcmp(slot->next.format, format) == 0 &&
        !slot->next.is_parked)
        return; /* it was being made when the projector stopped */
    sql_edition_remove(views, slot, &slot->next);
    if (slot->offered[0] == '\0')
        return; /* the database failed */
    if (read_file(name, text, &file, &why) != STATUS_OK) {
        sql_slot_set_problem(slot, &why);
        return;
    }
    sql_slot_clear_problem(slot);
    if (slot->live.is_parked)
        sql_edition_remove(views, slot, &slot->live);
    sql_edition_make(views, slot, slot->live.version == NULL ? &slot->live : &slot->next, file);
}

void sql_views_offer_unreadable(struct sql_views *views, const char *name, const char *why)
{
    struct detail detail;
    struct sql_slot *slot = sql_slot_enter(views, name);
    if (slot == NULL)
        return;
    detail_write(&detail, "%s.sql: %s", name, why);
    slot->offered[0] = '\0';
    sql_slot_set_problem(slot, &detail);
}

void sql_views_withdraw(struct sql_views *views, const char *name)
{
    struct sql_slot *slot = sql_slot_find(views, name);
    if (slot == NULL)
        return;
    sql_edition_remove(views, slot, &slot->next);
    sql_edition_remove(views, slot, &slot->live);
    log_info("a view in SQL was taken out", "view=%s", name);
    uint32_t place = (uint32_t)(slot - views->slots);
    views->count--;
    memmove(slot, slot + 1, (views->count - place) * sizeof *slot);
}

/* --- the log --- */

/* What tells a record from another that was later given the same id. */
static uint64_t record_hash(const struct accepted_record *record)
{
    const uint64_t numbers[] = {record->event_id, record->accepted_at_ns, record->sequence,
                                record->event.occurred_at_ns};
    uint64_t hash = hash_content(0, numbers, sizeof numbers);
    hash = hash_content(hash, record->source.data, record->source.size);
    hash = hash_content(hash, record->event.type.data, record->event.type.size);
    return hash_content(hash, record->event.subject.data, record->event.subject.size);
}

/* A log that lost what it had published gives its ids out again; then the view has seen events that
 * never were. */
static bool is_proven(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                      const struct accepted_record *last_seen)
{
    if (edition->anchor == record_hash(last_seen)) {
        edition->is_unproven = false;
        return true;
    }
    log_warn("a view is made anew from the log",
             "view=%s why=\"its event %" PRIu64 " is another one in the log now\"", slot->name,
             last_seen->event_id);
    sql_edition_remove(views, slot, edition);
    slot->offered[0] = '\0';
    return false;
}

/* Feeds one edition with what it has not seen of the records. */
static void feed(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                 const struct accepted_record *records, uint32_t count)
{
    struct detail detail = {.text = ""};
    if (!sql_edition_is_running(edition) || views->is_stalled)
        return;
    uint64_t first = records[0].event_id;
    uint64_t seen = sql_version_progress(edition->version)->event_id;
    if (edition->is_unproven && seen >= first && seen < first + count &&
        !is_proven(views, slot, edition, &records[seen - first]))
        return;
    if (seen + 1 < first || seen + 1 >= first + count)
        return;
    uint32_t skip = (uint32_t)(seen + 1 - first);
    enum status status = sql_version_apply(edition->version, records + skip, count - skip, &detail);
    edition->is_changed = true;
    edition->anchor = record_hash(&records[count - 1]);
    if (status == STATUS_OK)
        return;
    if (status == STATUS_TIMED_OUT) { /* it takes what others wrote with it */
        views->has_loss = true;
        sql_views_lost(views);
    }
    if (status == STATUS_TIMED_OUT || status == STATUS_INVALID)
        sql_edition_park(views, slot, edition, &detail);
    else
        sql_views_stall(views, &detail);
}

void sql_views_apply(struct sql_views *views, const struct accepted_record *records, uint32_t count)
{
    for (uint32_t i = 0; i < views->count && count > 0; i++) {
        feed(views, &views->slots[i], &views->slots[i].live, records, count);
        feed(views, &views->slots[i], &views->slots[i].next, records, count);
        sql_slot_promote_if_level(views, &views->slots[i]);
    }
}

static uint64_t need_of(const struct sql_edition *edition, uint64_t event_id, uint64_t lowest)
{
    if (!sql_edition_is_running(edition))
        return lowest;
    uint64_t seen = sql_version_progress(edition->version)->event_id;
    uint64_t next = edition->is_unproven ? seen : seen + 1;
    return seen < event_id && (lowest == 0 || next < lowest) ? next : lowest;
}

uint64_t sql_views_behind(const struct sql_views *views, uint64_t event_id)
{
    uint64_t lowest = 0;
    if (views->is_stalled)
        return 0;
    for (uint32_t i = 0; i < views->count; i++) {
        lowest = need_of(&views->slots[i].live, event_id, lowest);
        lowest = need_of(&views->slots[i].next, event_id, lowest);
    }
    return lowest;
}

static void park_at(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                    uint64_t event_id)
{
    struct detail why;
    if (!sql_edition_is_running(edition) ||
        sql_version_progress(edition->version)->event_id >= event_id)
        return;
    detail_write(&why, "%s.sql: it needs event %" PRIu64 ", which the log no longer keeps",
                 slot->name, sql_version_progress(edition->version)->event_id + 1);
    sql_edition_park(views, slot, edition, &why);
}

void sql_views_gone(struct sql_views *views, uint64_t event_id)
{
    for (uint32_t i = 0; i < views->count; i++) {
        park_at(views, &views->slots[i], &views->slots[i].live, event_id);
        park_at(views, &views->slots[i], &views->slots[i].next, event_id);
    }
}

/* --- transactions --- */

bool sql_views_have_news(const struct sql_views *views)
{
    if (views->is_stalled)
        return false;
    for (uint32_t i = 0; i < views->count; i++)
        if (views->slots[i].live.is_changed || views->slots[i].next.is_changed)
            return true;
    return views->wants_commit;
}

bool sql_views_want_commit(const struct sql_views *views)
{
    return views->wants_commit;
}

enum status sql_views_write(struct sql_views *views, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < views->count && status == STATUS_OK; i++) {
        status = sql_edition_write(views, &views->slots[i], &views->slots[i].live, ret_detail);
        if (status == STATUS_OK)
            status = sql_edition_write(views, &views->slots[i], &views->slots[i].next, ret_detail);
    }
    return status;
}

void sql_views_committed(struct sql_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        sql_edition_committed(&views->slots[i].live);
        sql_edition_committed(&views->slots[i].next);
    }
    if (views->stalled.text[0] != '\0')
        log_info("views in SQL are written again", NULL);
    views->stalled.text[0] = '\0';
    views->wants_commit = false;
}

void sql_views_lost(struct sql_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        sql_edition_lose(&views->slots[i], &views->slots[i].live);
        sql_edition_lose(&views->slots[i], &views->slots[i].next);
    }
}

void sql_views_retry(struct sql_views *views)
{
    views->is_stalled = false;
}

bool sql_views_take_loss(struct sql_views *views)
{
    bool had_loss = views->has_loss;
    views->has_loss = false;
    return had_loss;
}

/* --- questions --- */

uint32_t sql_views_count(const struct sql_views *views)
{
    return views->count;
}

const char *sql_views_name(const struct sql_views *views, uint32_t view)
{
    return views->slots[view].name;
}

uint32_t sql_views_find(const struct sql_views *views, struct slice name)
{
    uint32_t view = 0;
    while (view < views->count && !slice_equal_text(name, views->slots[view].name))
        view++;
    return view;
}

const char *sql_views_problem(const struct sql_views *views, uint32_t view)
{
    const struct sql_slot *slot = &views->slots[view];
    return slot->has_problem ? slot->problem.text : NULL;
}

uint64_t sql_views_rows(const struct sql_views *views, uint32_t view)
{
    const struct sql_version *live = views->slots[view].live.version;
    return live != NULL ? sql_version_progress(live)->shown_rows : 0;
}

static bool answers(const struct sql_slot *slot)
{
    return slot->live.version != NULL && !slot->live.is_parked;
}

struct slice sql_views_text(const struct sql_views *views, uint32_t view)
{
    const struct sql_slot *slot = &views->slots[view];
    if (!answers(slot))
        return (struct slice){NULL, 0};
    const struct sql_file *file = sql_version_file(slot->live.version);
    return (struct slice){file->bytes, file->size};
}

/* What the rows of a slot's live version show, beside a fold at `position`: as far as the version
 * is, but not past the fold where the log has yet to reach the event that it begins with. */
static struct fold_position shown_position(const struct sql_views *views,
                                           const struct sql_slot *slot,
                                           const struct fold_position *position)
{
    const struct sql_progress *progress = sql_version_progress(slot->live.version);
    bool is_waiting = progress->event_id < views->since && position->event_id < progress->event_id;
    if (is_waiting || progress->event_id == position->event_id)
        return *position;
    return (struct fold_position){.event_id = progress->event_id,
                                  .rejection_id = position->rejection_id,
                                  .time_ns = progress->time_ns};
}

void sql_views_answer(struct sql_views *views, uint32_t view, const struct control_request *asked,
                      const struct fold_position *position, struct buffer *reply)
{
    struct sql_slot *slot = &views->slots[view];
    const char *problem = sql_views_problem(views, view);
    struct detail why = {.text = ""};
    if (!answers(slot)) {
        detail_write(&why, "parked: %s",
                     problem != NULL ? problem : "the database cannot be written");
        control_error_write(reply, CONTROL_CODE_UNAVAILABLE, why.text);
        return;
    }
    struct sql_answer answer = {.version = slot->live.version,
                                .log_id = &views->log_id,
                                .position = shown_position(views, slot, position),
                                .since = views->since,
                                .offset = asked->offset,
                                .limit = asked->limit,
                                .problem = problem};
    sql_answer_write(&answer, reply);
}
