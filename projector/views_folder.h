/* views_folder: the folder of views in SQL, looked through again and again: files that are new,
 * changed or gone are offered to, or withdrawn from, the views.
 *
 * A change counts once the file has looked the same twice, and a file is gone once it was missing
 * twice, for editors write in steps. Belongs to one thread.
 */
#ifndef WEIR_PROJECTOR_VIEWS_FOLDER_H
#define WEIR_PROJECTOR_VIEWS_FOLDER_H

#include "common/base/clock.h"
#include "projector/sql_views.h"

#define VIEWS_FOLDER_EVERY_NS (500 * NS_PER_MS)

struct views_folder;

/* CONFIG: the folder cannot be read. `path` and `views` outlive it. */
MUST_USE enum status views_folder_open(const char *path, struct sql_views *views,
                                       struct views_folder **ret_folder, struct detail *ret_detail);
void views_folder_close(struct views_folder **folder);

/* Looks once; the first time everything counts at once. A folder that cannot be read any more
 * leaves the views as they are, with a warning. */
void views_folder_look(struct views_folder *folder);

#endif
