#include "projector/sql_slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/logger.h"

#define NEXT_SUFFIX "~next"

/* --- problems --- */

void sql_slot_set_problem(struct sql_slot *slot, const struct detail *why)
{
    if (!slot->has_problem || strcmp(slot->problem.text, why->text) != 0)
        log_warn("a view in SQL is parked", "view=%s why=\"%s\"", slot->name, why->text);
    slot->has_problem = true;
    slot->problem = *why;
}

void sql_slot_clear_problem(struct sql_slot *slot)
{
    if (slot->has_problem)
        log_info("a view in SQL is no longer parked", "view=%s", slot->name);
    slot->has_problem = false;
}

void sql_views_stall(struct sql_views *views, const struct detail *why)
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

static const char *suffix_of(const struct sql_slot *slot, const struct sql_edition *edition)
{
    return edition == &slot->next ? NEXT_SUFFIX : "";
}

static void forget(struct sql_edition *edition)
{
    sql_version_destroy(&edition->version);
    *edition = (struct sql_edition){.version = NULL};
}

enum status sql_slot_drop(struct sql_views *views, const char *name, const char *suffix,
                          struct detail *ret_detail)
{
    enum status status = sql_version_drop_tables(views->engine, name, suffix, ret_detail);
    return status == STATUS_OK ? sql_record_remove(views->store, name, suffix, ret_detail) : status;
}

void sql_edition_remove(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition)
{
    struct detail detail = {.text = ""};
    if (edition->version == NULL)
        return;
    forget(edition);
    enum status status = sql_slot_drop(views, slot->name, suffix_of(slot, edition), &detail);
    views->wants_commit = true;
    if (status != STATUS_OK)
        sql_views_stall(views, &detail);
}

void sql_edition_make(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                      struct sql_file *file)
{
    struct detail detail = {.text = ""};
    enum status status = sql_version_new(views->engine, file, suffix_of(slot, edition), NULL,
                                         &edition->version, &detail);
    if (status == STATUS_OK) {
        sql_version_restore(edition->version, &(struct sql_progress){.event_id = views->since - 1});
        memcpy(edition->format, slot->offered, SQL_FORMAT_BYTES);
        edition->is_uncommitted = true;
        edition->is_changed = true;
        views->wants_commit = true;
    } else if (status == STATUS_CONFIG) {
        sql_slot_set_problem(slot, &detail);
    } else {
        slot->offered[0] = '\0'; /* to be offered again */
        sql_views_stall(views, &detail);
    }
}

/* The next version has come as far as the live one. */
static void promote(struct sql_views *views, struct sql_slot *slot)
{
    struct detail detail = {.text = ""};
    sql_edition_remove(views, slot, &slot->live);
    if (slot->next.version == NULL)
        return; /* lost together with the live one's end */
    enum status status = sql_version_promote(slot->next.version, &detail);
    if (status == STATUS_OK)
        status = sql_record_remove(views->store, slot->name, NEXT_SUFFIX, &detail);
    slot->live = slot->next;
    slot->next = (struct sql_edition){.version = NULL};
    slot->live.is_uncommitted = true;
    slot->live.is_changed = true;
    views->wants_commit = true;
    if (status != STATUS_OK)
        sql_views_stall(views, &detail);
    else
        log_info("a view in SQL was made anew", "view=%s event_id=%" PRIu64, slot->name,
                 sql_version_progress(slot->live.version)->event_id);
}

void sql_slot_promote_if_level(struct sql_views *views, struct sql_slot *slot)
{
    if (slot->next.version == NULL)
        return;
    uint64_t next = sql_version_progress(slot->next.version)->event_id;
    if (slot->live.version == NULL || slot->live.is_parked ||
        next >= sql_version_progress(slot->live.version)->event_id)
        promote(views, slot);
}

void sql_edition_park(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                      const struct detail *why)
{
    sql_slot_set_problem(slot, why);
    if (edition->version == NULL)
        return; /* lost together with the transaction: it is made anew when the file is offered
                   again */
    edition->is_parked = true;
    edition->is_changed = true;
    views->wants_commit = true;
    if (edition == &slot->next)
        sql_edition_remove(views, slot, edition);
}

bool sql_edition_is_running(const struct sql_edition *edition)
{
    return edition->version != NULL && !edition->is_parked;
}

enum status sql_edition_write(struct sql_views *views, const struct sql_slot *slot,
                              const struct sql_edition *edition, struct detail *ret_detail)
{
    if (edition->version == NULL || !edition->is_changed)
        return STATUS_OK;
    const struct sql_file *file = sql_version_file(edition->version);
    struct sql_record record = {.log_id = views->log_id,
                                .progress = *sql_version_progress(edition->version),
                                .since = views->since,
                                .anchor = edition->anchor};
    snprintf(record.name, sizeof record.name, "%s", slot->name);
    snprintf(record.suffix, sizeof record.suffix, "%s", suffix_of(slot, edition));
    memcpy(record.format, edition->format, SQL_FORMAT_BYTES);
    if (edition->is_parked)
        record.problem = slot->problem;
    return sql_record_write(views->store, &record, (struct slice){file->bytes, file->size},
                            ret_detail);
}

void sql_edition_committed(struct sql_edition *edition)
{
    if (edition->version == NULL)
        return;
    edition->committed = *sql_version_progress(edition->version);
    edition->committed_anchor = edition->anchor;
    edition->is_uncommitted = false;
    edition->is_changed = false;
}

void sql_edition_lose(struct sql_slot *slot, struct sql_edition *edition)
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

/* --- slots --- */

struct sql_slot *sql_slot_find(struct sql_views *views, const char *name)
{
    for (uint32_t i = 0; i < views->count; i++)
        if (strcmp(views->slots[i].name, name) == 0)
            return &views->slots[i];
    return NULL;
}

struct sql_slot *sql_slot_enter(struct sql_views *views, const char *name)
{
    struct sql_slot *known = sql_slot_find(views, name);
    if (known != NULL || views->count == SQL_VIEWS_MAX)
        return known;
    uint32_t place = views->count++;
    for (; place > 0 && strcmp(views->slots[place - 1].name, name) > 0; place--)
        views->slots[place] = views->slots[place - 1];
    struct sql_slot *slot = &views->slots[place];
    *slot = (struct sql_slot){.has_problem = false};
    snprintf(slot->name, sizeof slot->name, "%s", name);
    return slot;
}
