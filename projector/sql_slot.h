/* sql_slot: the place of one view in SQL among the others of a projector: the edition of its text
 * that answers, the next one that is being made beside it, and what is wrong. For sql_views.c
 * alone.
 *
 * An edition is a version (sql_version.h) with what is known of it in the database. Whatever is
 * changed here is inside the one transaction that all views share; where the database fails, that
 * is lost and all of them go back (sql_views_stall).
 */
#ifndef WEIR_PROJECTOR_SQL_SLOT_H
#define WEIR_PROJECTOR_SQL_SLOT_H

#include "projector/sql/sql_record.h"
#include "projector/sql/sql_version.h"
#include "projector/sql_views.h"

struct sql_edition {
    struct sql_version *version;   /* NULL: there is none */
    struct sql_progress committed; /* as far as the database has it for sure */
    uint64_t anchor;               /* of the last record that it has seen */
    uint64_t committed_anchor;
    bool is_unproven;              /* that record may be of a log that lost it since */
    char format[SQL_FORMAT_BYTES]; /* of its text */
    bool is_parked;
    bool is_uncommitted; /* its tables are not in the database for sure */
    bool is_changed;     /* since its record was written */
};

struct sql_slot {
    char name[SQL_NAME_BYTES_MAX + 1]; /* that of the file, cut */
    struct sql_edition live, next;
    char offered[SQL_FORMAT_BYTES]; /* the text that the file has; "": not known yet */
    bool has_problem;
    struct detail problem; /* of the file as it is, or of the live version */
};

struct sql_views {
    struct store *store;
    struct log_id log_id;
    uint64_t last_event_id; /* of the log when the views were opened */
    uint64_t since;         /* the event that they begin with; 1: the log's first */
    struct sql_engine *engine;
    struct sql_slot *slots; /* SQL_VIEWS_MAX, sorted by name */
    uint32_t count;
    bool wants_commit;
    bool has_loss;         /* the transaction was lost here */
    bool is_stalled;       /* nothing is written until the next try */
    struct detail stalled; /* why the database cannot be written; "": it can */
};

/* The database failed, which is no view's fault: what was not committed is lost. */
void sql_views_stall(struct sql_views *views, const struct detail *why);

/* NULL: there is none of this name. */
struct sql_slot *sql_slot_find(struct sql_views *views, const char *name);
/* NULL: there are SQL_VIEWS_MAX. Places of other slots may change. */
struct sql_slot *sql_slot_enter(struct sql_views *views, const char *name);
void sql_slot_set_problem(struct sql_slot *slot, const struct detail *why);
void sql_slot_clear_problem(struct sql_slot *slot);
/* The tables and the record of one edition. */
MUST_USE enum status sql_slot_drop(struct sql_views *views, const char *name, const char *suffix,
                                   struct detail *ret_detail);
/* The next edition takes the live one's place once it has come as far. */
void sql_slot_promote_if_level(struct sql_views *views, struct sql_slot *slot);

/* Makes a new edition of a file, which it takes over. */
void sql_edition_make(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                      struct sql_file *file);
/* Takes an edition and its tables out; the transaction is to be committed soon. */
void sql_edition_remove(struct sql_views *views, struct sql_slot *slot,
                        struct sql_edition *edition);
/* It goes no further. A next one is taken out; one that was lost is made anew, and fails again. */
void sql_edition_park(struct sql_views *views, struct sql_slot *slot, struct sql_edition *edition,
                      const struct detail *why);
bool sql_edition_is_running(const struct sql_edition *edition);
/* Writes its record, if it changed; just before a commit. */
MUST_USE enum status sql_edition_write(struct sql_views *views, const struct sql_slot *slot,
                                       const struct sql_edition *edition,
                                       struct detail *ret_detail);
void sql_edition_committed(struct sql_edition *edition);
/* The transaction was lost. Its tables may be gone, so it is made anew when the file is offered
 * again. */
void sql_edition_lose(struct sql_slot *slot, struct sql_edition *edition);

#endif
