/* view: what a view is. One file in this folder makes one; the build finds it by its name.
 *
 * NAME.c defines `const struct view_type view_NAME`: its columns, and how accepted events and
 * rejections change its rows. That is all: digests, order, queries and the following of the log are
 * the same for every view. A view keeps nothing outside its rows, reads no clock and does no I/O,
 * so the same records give the same rows in every process.
 */
#ifndef WEIR_PROJECTOR_VIEWS_VIEW_H
#define WEIR_PROJECTOR_VIEWS_VIEW_H

#include "common/policy/policy.h"
#include "common/wire/record.h"
#include "projector/core/rows.h"

enum {
    VIEW_GROUP_MAX = 64,   /* records in one call */
    VIEW_COLUMNS_MAX = 16, /* of one view */
};

/* What stands around the records of one call. */
struct view_context {
    const struct policy_set *policies; /* in force for these records */
};

struct view_type {
    const char *name;           /* that of the file */
    const char *const *columns; /* column_count names, those of the key first */
    uint32_t column_count;
    uint32_t key_column_count;
    uint32_t
        value_bytes;  /* of the struct that rows_at gives, ≤ ROW_VALUE_BYTES_MAX; kept as it is */
    uint32_t version; /* raise it when the struct changes, or the same records give other rows:
                         what projectors keep of the view is then made anew from the log */
    /* Appends the other columns, one MessagePack item each. */
    void (*write_value)(const void *value, struct buffer *buffer);
    /* 1 to VIEW_GROUP_MAX records in order. NULL: the view does not look at this stream. A view of
     * both streams must not depend on how they interleave: they arrive independently. */
    void (*apply_accepted)(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count);
    void (*apply_rejected)(struct rows *rows, const struct view_context *context,
                           const struct rejection *records, uint32_t count);
};

/* Every view of this folder, sorted by name; the build writes this table. */
extern const struct view_type *const view_types[];
extern const uint32_t view_type_count;

/* The view of this name; NULL: there is none. */
const struct view_type *view_type_find(struct slice name);

#endif
