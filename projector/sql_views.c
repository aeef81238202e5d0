#include "projector/sql_views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/logger.h"
#include "projector/sql/sql_answer.h"
#include "projector/sql/sql_record.h"
#include "projector/sql/sql_version.h"
#include "projector/views/view.h"

#define NEXT_SUFFIX "~next"

/* A version and what is known of it in the database. */
struct edition {
    struct sql_version *version;   /* NULL: there is none */
    struct sql_progress committed; /* as far as the database has it for sure */
    uint64_t anchor;               /* record_hash of the last record that it has seen */
    uint64_t committed_anchor;
    bool is_unproven;              /* that record may be of a log that lost it since */
    char format[SQL_FORMAT_BYTES]; /* of its text */
    bool is_parked;
    bool is_uncommitted; /* its tables are not in the database for sure */
    bool is_changed;     /* since its record was written */
};

struct slot {
    char name[SQL_NAME_BYTES_MAX + 1]; /* that of the file, cut */
    struct edition live, next;
    char offered[SQL_FORMAT_BYTES]; /* the text that the file has; "": not known yet */
    bool has_problem;
    struct detail problem; /* of the file as it is, or of the live version */
};

struct sql_views {
    struct store *store;
    struct log_id log_id;
    uint64_t last_event_id; /* of the log when the views were opened */
    struct sql_engine *engine;
    struct slot *slots; /* SQL_VIEWS_MAX, sorted by name */
    uint32_t count;
    bool wants_commit;
    bool has_loss;         /* the transaction was lost here */
    bool is_stalled;       /* nothing is written until the next try */
    struct detail stalled; /* why the database cannot be written; "": it can */
};

/* --- problems --- */

static void set_problem(struct slot *slot, const struct detail *why)
{
    if (!slot->has_problem || strcmp(slot->problem.text, why->text) != 0)
        log_warn("a view in SQL is parked", "view=%s why=\"%s\"", slot->name, why->text);
    slot->has_problem = true;
    slot->problem = *why;
}

static void clear_problem(struct slot *slot)
{
    if (slot->has_problem)
        log_info("a view in SQL is no longer parked", "view=%s", slot->name);
    slot->has_problem = false;
}

/* The database failed, which is no view's fault: what was not committed is lost. */
static void stall(struct sql_views *views, const struct detail *why)
{
    if (strcmp(views->stalled.text, why->text) != 0)
        log_error("views in SQL cannot be written; it is tried again", "why=\"%s\"", why->text);
    views->stalled = *why;
    views->is_stalled = true;
    store_roll_back(views->store);
    views->has_loss = true;
    sql_views_lost(views);
}

/* --- editions --- */

static const char *suffix_of(const struct slot *slot, const struct edition *edition)
{
    return edition == &slot->next ? NEXT_SUFFIX : "";
}

static void forget(struct edition *edition)
{
    sql_version_destroy(&edition->version);
    *edition = (struct edition){.version = NULL};
}

static enum status drop(struct sql_views *views, const char *name, const char *suffix,
                        struct detail *ret_detail)
{
    enum status status = sql_version_drop_tables(views->engine, name, suffix, ret_detail);
    return status == STATUS_OK ? sql_record_remove(views->store, name, suffix, ret_detail) : status;
}

/* Takes an edition and its tables out; the transaction is to be committed soon. */
static void remove_edition(struct sql_views *views, struct slot *slot, struct edition *edition)
{
    struct detail detail = {.text = ""};
    if (edition->version == NULL)
        return;
    forget(edition);
    enum status status = drop(views, slot->name, suffix_of(slot, edition), &detail);
    views->wants_commit = true;
    if (status != STATUS_OK)
        stall(views, &detail);
}

/* Makes a new edition of a file, which it takes over. */
static void make_edition(struct sql_views *views, struct slot *slot, struct edition *edition,
                         struct sql_file *file)
{
    struct detail detail = {.text = ""};
    enum status status = sql_version_new(views->engine, file, suffix_of(slot, edition), NULL,
                                         &edition->version, &detail);
    if (status == STATUS_OK) {
        memcpy(edition->format, slot->offered, SQL_FORMAT_BYTES);
        edition->is_uncommitted = true;
        edition->is_changed = true;
        views->wants_commit = true;
    } else if (status == STATUS_CONFIG) {
        set_problem(slot, &detail);
    } else {
        slot->offered[0] = '\0'; /* to be offered again */
        stall(views, &detail);
    }
}

/* The next version has come as far as the live one. */
static void promote(struct sql_views *views, struct slot *slot)
{
    struct detail detail = {.text = ""};
    remove_edition(views, slot, &slot->live);
    if (slot->next.version == NULL)
        return; /* lost together with the live one's end */
    enum status status = sql_version_promote(slot->next.version, &detail);
    if (status == STATUS_OK)
        status = sql_record_remove(views->store, slot->name, NEXT_SUFFIX, &detail);
    slot->live = slot->next;
    slot->next = (struct edition){.version = NULL};
    slot->live.is_uncommitted = true;
    slot->live.is_changed = true;
    views->wants_commit = true;
    if (status != STATUS_OK)
        stall(views, &detail);
    else
        log_info("a view in SQL was made anew", "view=%s event_id=%" PRIu64, slot->name,
                 sql_version_progress(slot->live.version)->event_id);
}

static void promote_if_level(struct sql_views *views, struct slot *slot)
{
    if (slot->next.version == NULL)
        return;
    uint64_t next = sql_version_progress(slot->next.version)->event_id;
    if (slot->live.version == NULL || slot->live.is_parked ||
        next >= sql_version_progress(slot->live.version)->event_id)
        promote(views, slot);
}

/* --- loading --- */

static struct slot *slot_find(struct sql_views *views, const char *name)
{
    for (uint32_t i = 0; i < views->count; i++)
        if (strcmp(views->slots[i].name, name) == 0)
            return &views->slots[i];
    return NULL;
}

/* NULL: there are SQL_VIEWS_MAX. Places of other slots may change. */
static struct slot *slot_enter(struct sql_views *views, const char *name)
{
    struct slot *known = slot_find(views, name);
    if (known != NULL || views->count == SQL_VIEWS_MAX)
        return known;
    uint32_t place = views->count++;
    for (; place > 0 && strcmp(views->slots[place - 1].name, name) > 0; place--)
        views->slots[place] = views->slots[place - 1];
    struct slot *slot = &views->slots[place];
    *slot = (struct slot){.has_problem = false};
    snprintf(slot->name, sizeof slot->name, "%s", name);
    return slot;
}

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
    if (record->progress.event_id > views->last_event_id)
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
    struct slot *slot = slot_enter(views, record->name);
    if (slot == NULL)
        return STATUS_OK;
    if (record->is_whole)
        status = open_version(views, record, &version, &why);
    else
        status = detail_set(&why, STATUS_DAMAGED, "its record is not whole");
    if (status != STATUS_OK) {
        log_warn("a view is made anew from the log", "view=%s why=\"%s\"", record->name, why.text);
        return drop(views, record->name, record->suffix, ret_detail);
    }
    bool is_next = record->suffix[0] != '\0';
    struct edition *edition = is_next ? &slot->next : &slot->live;
    *edition = (struct edition){.version = version,
                                .committed = record->progress,
                                .anchor = record->anchor,
                                .committed_anchor = record->anchor,
                                .is_unproven = record->progress.event_id > 0,
                                .is_parked = record->problem.text[0] != '\0'};
    memcpy(edition->format, record->format, SQL_FORMAT_BYTES);
    if (edition->is_parked)
        set_problem(slot, &record->problem);
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

static bool is_built_in(const char *name)
{
    for (uint32_t i = 0; i < view_type_count; i++)
        if (strcmp(view_types[i]->name, name) == 0)
            return true;
    return false;
}

static enum status read_file(const char *name, struct slice text, struct sql_file **ret_file,
                             struct detail *ret_detail)
{
    if (is_built_in(name))
        return detail_set(ret_detail, STATUS_CONFIG,
                          "%s.sql: a built-in view has this name: give the file another one", name);
    return sql_file_read(name, text, ret_file, ret_detail);
}

/* The file has gone back to the text that is at work. */
static bool goes_on_as_before(struct sql_views *views, struct slot *slot)
{
    if (slot->live.version == NULL || strcmp(slot->live.format, slot->offered) != 0)
        return false;
    remove_edition(views, slot, &slot->next);
    if (!slot->live.is_parked)
        clear_problem(slot);
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
    struct slot *slot = slot_enter(views, name);
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
    remove_edition(views, slot, &slot->next);
    if (slot->offered[0] == '\0')
        return; /* the database failed */
    if (read_file(name, text, &file, &why) != STATUS_OK) {
        set_problem(slot, &why);
        return;
    }
    clear_problem(slot);
    if (slot->live.is_parked)
        remove_edition(views, slot, &slot->live);
    make_edition(views, slot, slot->live.version == NULL ? &slot->live : &slot->next, file);
}

void sql_views_offer_unreadable(struct sql_views *views, const char *name, const char *why)
{
    struct detail detail;
    struct slot *slot = slot_enter(views, name);
    if (slot == NULL)
        return;
    detail_write(&detail, "%s.sql: %s", name, why);
    slot->offered[0] = '\0';
    set_problem(slot, &detail);
}

void sql_views_withdraw(struct sql_views *views, const char *name)
{
    struct slot *slot = slot_find(views, name);
    if (slot == NULL)
        return;
    remove_edition(views, slot, &slot->next);
    remove_edition(views, slot, &slot->live);
    log_info("a view in SQL was taken out", "view=%s", name);
    uint32_t place = (uint32_t)(slot - views->slots);
    views->count--;
    memmove(slot, slot + 1, (views->count - place) * sizeof *slot);
}

/* --- the log --- */

static void park(struct sql_views *views, struct slot *slot, struct edition *edition,
                 const struct detail *why)
{
    set_problem(slot, why);
    edition->is_parked = true;
    edition->is_changed = true;
    views->wants_commit = true;
    if (edition == &slot->next)
        remove_edition(views, slot, edition);
}

static bool is_running(const struct edition *edition)
{
    return edition->version != NULL && !edition->is_parked;
}

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
static bool is_proven(struct sql_views *views, struct slot *slot, struct edition *edition,
                      const struct accepted_record *last_seen)
{
    if (edition->anchor == record_hash(last_seen)) {
        edition->is_unproven = false;
        return true;
    }
    log_warn("a view is made anew from the log",
             "view=%s why=\"its event %" PRIu64 " is another one in the log now\"", slot->name,
             last_seen->event_id);
    remove_edition(views, slot, edition);
    slot->offered[0] = '\0';
    return false;
}

/* Feeds one edition with what it has not seen of the records. */
static void feed(struct sql_views *views, struct slot *slot, struct edition *edition,
                 const struct accepted_record *records, uint32_t count)
{
    struct detail detail = {.text = ""};
    if (!is_running(edition) || views->is_stalled)
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
        park(views, slot, edition, &detail);
    else
        stall(views, &detail);
}

void sql_views_apply(struct sql_views *views, const struct accepted_record *records, uint32_t count)
{
    for (uint32_t i = 0; i < views->count && count > 0; i++) {
        feed(views, &views->slots[i], &views->slots[i].live, records, count);
        feed(views, &views->slots[i], &views->slots[i].next, records, count);
        promote_if_level(views, &views->slots[i]);
    }
}

static uint64_t need_of(const struct edition *edition, uint64_t event_id, uint64_t lowest)
{
    if (!is_running(edition))
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

static void park_at(struct sql_views *views, struct slot *slot, struct edition *edition,
                    uint64_t event_id)
{
    struct detail why;
    if (!is_running(edition) || sql_version_progress(edition->version)->event_id >= event_id)
        return;
    detail_write(&why, "%s.sql: it needs event %" PRIu64 ", which the log no longer keeps",
                 slot->name, sql_version_progress(edition->version)->event_id + 1);
    park(views, slot, edition, &why);
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

static enum status write_edition(struct sql_views *views, const struct slot *slot,
                                 const struct edition *edition, struct detail *ret_detail)
{
    if (edition->version == NULL || !edition->is_changed)
        return STATUS_OK;
    const struct sql_file *file = sql_version_file(edition->version);
    struct sql_record record = {.log_id = views->log_id,
                                .progress = *sql_version_progress(edition->version),
                                .anchor = edition->anchor};
    snprintf(record.name, sizeof record.name, "%s", slot->name);
    snprintf(record.suffix, sizeof record.suffix, "%s", suffix_of(slot, edition));
    memcpy(record.format, edition->format, SQL_FORMAT_BYTES);
    if (edition->is_parked)
        record.problem = slot->problem;
    return sql_record_write(views->store, &record, (struct slice){file->bytes, file->size},
                            ret_detail);
}

enum status sql_views_write(struct sql_views *views, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < views->count && status == STATUS_OK; i++) {
        status = write_edition(views, &views->slots[i], &views->slots[i].live, ret_detail);
        if (status == STATUS_OK)
            status = write_edition(views, &views->slots[i], &views->slots[i].next, ret_detail);
    }
    return status;
}

static void mark_committed(struct edition *edition)
{
    if (edition->version == NULL)
        return;
    edition->committed = *sql_version_progress(edition->version);
    edition->committed_anchor = edition->anchor;
    edition->is_uncommitted = false;
    edition->is_changed = false;
}

void sql_views_committed(struct sql_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        mark_committed(&views->slots[i].live);
        mark_committed(&views->slots[i].next);
    }
    if (views->stalled.text[0] != '\0')
        log_info("views in SQL are written again", NULL);
    views->stalled.text[0] = '\0';
    views->wants_commit = false;
}

/* Its tables may be gone, so it is made anew when the file is offered again. */
static void lose(struct slot *slot, struct edition *edition)
{
    if (edition->version == NULL)
        return;
    if (edition->is_uncommitted) {
        forget(edition);
        slot->offered[0] = '\0';
        return;
    }
    sql_version_restore(edition->version, &edition->committed);
    edition->anchor = edition->committed_anchor;
    edition->is_changed = edition->is_parked;
}

void sql_views_lost(struct sql_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        lose(&views->slots[i], &views->slots[i].live);
        lose(&views->slots[i], &views->slots[i].next);
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
    const struct slot *slot = &views->slots[view];
    return slot->has_problem ? slot->problem.text : NULL;
}

static bool answers(const struct slot *slot)
{
    return slot->live.version != NULL && !slot->live.is_parked;
}

struct slice sql_views_text(const struct sql_views *views, uint32_t view)
{
    const struct slot *slot = &views->slots[view];
    if (!answers(slot))
        return (struct slice){NULL, 0};
    const struct sql_file *file = sql_version_file(slot->live.version);
    return (struct slice){file->bytes, file->size};
}

void sql_views_answer(struct sql_views *views, uint32_t view, const struct control_request *asked,
                      const struct fold_position *position, struct buffer *reply)
{
    struct slot *slot = &views->slots[view];
    const char *problem = sql_views_problem(views, view);
    struct detail why = {.text = ""};
    if (!answers(slot)) {
        detail_write(&why, "parked: %s",
                     problem != NULL ? problem : "the database cannot be written");
        control_error_write(reply, CONTROL_CODE_UNAVAILABLE, why.text);
        return;
    }
    const struct sql_progress *progress = sql_version_progress(slot->live.version);
    bool is_level = progress->event_id == position->event_id;
    struct sql_answer answer = {
        .version = slot->live.version,
        .log_id = &views->log_id,
        .position = {.event_id = progress->event_id,
                     .rejection_id = position->rejection_id,
                     .time_ns = is_level ? position->time_ns : progress->time_ns},
        .offset = asked->offset,
        .limit = asked->limit,
        .problem = problem};
    sql_answer_write(&answer, reply);
}
