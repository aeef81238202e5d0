/* fold_sql: the views in SQL of `weir-projector fold`, each in a database of its own that is gone
 * with it (sql_moment.h). The guest of one fold; what fails sticks. Belongs to its thread.
 */
#ifndef WEIR_PROJECTOR_FOLD_SQL_H
#define WEIR_PROJECTOR_FOLD_SQL_H

#include "projector/core/fold.h"
#include "projector/sql/sql_version.h"

enum { FOLD_SQL_VIEWS_MAX = 64 };

struct fold_sql;

/* Reads the views of a folder: those that `names` has, or all where `count` is 0. CONFIG: the
 * folder, or one of these files, cannot be used. FULL: more than FOLD_SQL_VIEWS_MAX. */
MUST_USE enum status fold_sql_open(const char *folder, char *const *names, int count,
                                   struct fold_sql **ret_sql, struct detail *ret_detail);
void fold_sql_close(struct fold_sql **sql);

uint32_t fold_sql_count(const struct fold_sql *sql);
bool fold_sql_has(const struct fold_sql *sql, const char *name);
struct sql_version *fold_sql_version(struct fold_sql *sql, uint32_t view);

/* What hears for them; valid while they live. */
struct fold_guest fold_sql_guest(struct fold_sql *sql);
/* What the events that come next are called, counted up from there; 0: as the fold counts them. */
void fold_sql_number(struct fold_sql *sql, uint64_t event_id);
/* The first failure at an event, if any. INVALID, TIMED_OUT: a statement's, with file and line. */
MUST_USE enum status fold_sql_status(const struct fold_sql *sql, struct detail *ret_detail);

#endif
