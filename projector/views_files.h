/* views_files: the files of a folder that are views in SQL, NAME.sql each: found, named, read. What
 * they mean is for others (sql_views.h, fold_sql.h).
 */
#ifndef WEIR_PROJECTOR_VIEWS_FILES_H
#define WEIR_PROJECTOR_VIEWS_FILES_H

#include "common/base/buffer.h"

enum { VIEWS_FILE_PATH_BYTES_MAX = 4096 };

/* One file, or another entry that ends like one. `why`: its name is none for a view, and `name` is
 * the entry's; NULL: it is good, and `name` is the view's. A failure ends the search. */
typedef enum status views_file_fn(void *owner, const char *name, const char *path, const char *why,
                                  struct detail *ret_detail);

/* Calls `take` for each, by name, so that every process takes the views in the same order. IO with
 * the reason: the folder cannot be read. */
MUST_USE enum status views_files_each(const char *folder, views_file_fn *take, void *owner,
                                      struct detail *ret_detail);

/* Appends the text of a file to an empty buffer, whose limit says how much is too much: FULL. IO,
 * NO_MEMORY. */
MUST_USE enum status views_file_read(const char *path, struct buffer *text,
                                     struct detail *ret_detail);

/* CONFIG: a built-in view has this name. */
MUST_USE enum status views_name_check(const char *name, struct detail *ret_detail);

#endif
