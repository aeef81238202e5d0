/* sql_moment: a view in SQL in a database of its own, which is gone with it: for how it was at an
 * earlier moment. The database lies in memory, and what is too large for that in a temporary file.
 *
 * Fed as the guest of a fold; what fails sticks. Belongs to one thread, with its fold.
 */
#ifndef WEIR_PROJECTOR_SQL_SQL_MOMENT_H
#define WEIR_PROJECTOR_SQL_SQL_MOMENT_H

#include "projector/core/fold.h"
#include "projector/sql/sql_version.h"

struct sql_moment;

/* CONFIG for a text that cannot be used; NO_MEMORY, IO. */
MUST_USE enum status sql_moment_new(struct slice view, struct slice text,
                                    struct sql_moment **ret_moment, struct detail *ret_detail);
void sql_moment_destroy(struct sql_moment **moment);

/* What hears for it; use it only while the moment lives. Of the fold's views it has none. */
struct fold_guest sql_moment_guest(struct sql_moment *moment);
/* The first failure of what it heard, if any. */
MUST_USE enum status sql_moment_status(const struct sql_moment *moment, struct detail *ret_detail);
struct sql_version *sql_moment_version(struct sql_moment *moment);

#endif
