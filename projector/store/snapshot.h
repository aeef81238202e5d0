/* snapshot: a built-in view as it was at an event, in weir_snapshots: what as-of answers start
 * from.
 *
 * The rows packed (rows_pack), compressed with zstd, under a checksum. They have no digest: hashing
 * every row would cost as much as all the rest. Snapshots are never changed; those of a view go
 * when it is made anew.
 */
#ifndef WEIR_PROJECTOR_STORE_SNAPSHOT_H
#define WEIR_PROJECTOR_STORE_SNAPSHOT_H

#include "projector/store/checkpoint.h"

enum { SNAPSHOT_BYTES_MAX = 256 * 1024 * 1024 }; /* packed; larger views have none */

struct snapshot {
    struct fold_position position;
    struct buffer rows; /* compressed */
    char *policy;       /* INI text in force at the position */
};

/* Takes the view as it is now. `scratch` (up to SNAPSHOT_BYTES_MAX) holds it packed meanwhile:
 * memory that was used before need not be given by the kernel page by page. FULL: larger than that;
 * NO_MEMORY. */
MUST_USE enum status snapshot_take(const struct fold *fold, struct rows *rows,
                                   struct buffer *scratch, struct snapshot *ret_snapshot);
void snapshot_fini(struct snapshot *snapshot);

/* Inside a transaction. */
MUST_USE enum status snapshot_write(struct store *store, const struct view_type *type,
                                    const struct snapshot *snapshot, struct detail *ret_detail);
MUST_USE enum status snapshot_remove_all(struct store *store, const char *view,
                                         struct detail *ret_detail);
/* The newest snapshot's event id; 0: there is none. */
MUST_USE enum status snapshot_newest(struct store *store, const char *view, uint64_t *ret_event_id,
                                     struct detail *ret_detail);

enum { SNAPSHOT_TRIES_MAX = 4 };

/* The newest at or before both ids, as the start of a fold (rows and policy are the caller's then).
 * Those that are damaged are passed over, SNAPSHOT_TRIES_MAX at most, and counted. NOT_FOUND: there
 * is none. */
MUST_USE enum status snapshot_load(struct store *store, const struct view_type *type,
                                   const struct fold_position *until, const struct hash_seed *seed,
                                   struct fold_start *ret_start, uint32_t *ret_damaged);

#endif
