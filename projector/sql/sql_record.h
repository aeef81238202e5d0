/* sql_record: what the database remembers of one version of a view in SQL, beside its rows: its
 * checkpoint (weir_checkpoints, kind "sql") and a row of weir_sql_views with its text, its counts
 * and, where it is parked, the reason.
 */
#ifndef WEIR_PROJECTOR_SQL_SQL_RECORD_H
#define WEIR_PROJECTOR_SQL_SQL_RECORD_H

#include "projector/sql/sql_version.h"
#include "projector/store/checkpoint.h"

enum { SQL_FORMAT_BYTES = DIGEST_HEX_BYTES };

struct sql_record {
    char name[SQL_NAME_BYTES_MAX + 1];     /* of the view */
    char suffix[SQL_SUFFIX_BYTES_MAX + 1]; /* of its tables */
    char format[SQL_FORMAT_BYTES];         /* sql_format of its text */
    struct log_id log_id;
    struct sql_progress progress;
    uint64_t since;        /* the event that the view began with */
    uint64_t anchor;       /* what the last record that it has seen is known by */
    struct detail problem; /* why it is parked; "": it is not */
    struct buffer text;    /* of the file; only where it was read */
    bool is_whole;         /* both parts are there and fit each other */
};

/* What tells one text from another, and this version of the engine from others that may give other
 * rows: 32 hexadecimal digits. */
void sql_format(struct slice text, char ret_format[SQL_FORMAT_BYTES]);

/* Inside the transaction of the rows; record->text is not looked at. */
MUST_USE enum status sql_record_write(struct store *store, const struct sql_record *record,
                                      struct slice text, struct detail *ret_detail);
MUST_USE enum status sql_record_remove(struct store *store, const char *name, const char *suffix,
                                       struct detail *ret_detail);

/* Calls `take` for each record; a failure of it ends the reading. The record lives until the call
 * returns. */
typedef enum status sql_record_take_fn(void *owner, const struct sql_record *record,
                                       struct detail *ret_detail);
MUST_USE enum status sql_records_load(struct store *store, sql_record_take_fn *take, void *owner,
                                      struct detail *ret_detail);

#endif
