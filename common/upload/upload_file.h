/* upload_file: where the record of an upload is kept: in $XDG_STATE_HOME/weir
 * (~/.local/state/weir), or in a folder that the caller names.
 *
 * One file per (absolute path, log, --source), replaced as a whole (write, fsync, rename, fsync of
 * the folder), and a lock, so that one file is uploaded by one process at a time.
 */
#ifndef WEIR_COMMON_UPLOAD_UPLOAD_FILE_H
#define WEIR_COMMON_UPLOAD_UPLOAD_FILE_H

#include "common/upload/upload.h"

struct upload_file; /* opaque */

/* Whose record: */
struct upload_name {
    const char *folder; /* where it is kept; must be there */
    const char *path;   /* of the file, absolute */
    struct log_id log_id;
    const char *source; /* what --source named, or NULL */
};
/* Takes the lock. BUSY, CONFIG, IO. */
MUST_USE enum status upload_file_open(const struct upload_name *name, struct upload_file **ret_file,
                                      struct detail *ret_detail);
/* Gives the lock back; the record stays. */
void upload_file_close(struct upload_file **file);

/* Reads the record into an initialised, empty upload. NOT_FOUND, DAMAGED, IO. */
MUST_USE enum status upload_file_load(const struct upload_file *file, struct upload *upload,
                                      struct detail *ret_detail);
/* Returns when the record is on disk. */
MUST_USE enum status upload_file_save(const struct upload_file *file, const struct upload *upload,
                                      struct detail *ret_detail);
/* The record's path, for people. */
const char *upload_file_path(const struct upload_file *file);

#endif
