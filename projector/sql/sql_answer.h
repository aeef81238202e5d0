/* sql_answer: the reply that shows a version of a view in SQL, in the shape of every view's. */
#ifndef WEIR_PROJECTOR_SQL_SQL_ANSWER_H
#define WEIR_PROJECTOR_SQL_SQL_ANSWER_H

#include "common/wire/control.h"
#include "projector/core/fold.h"
#include "projector/sql/sql_version.h"

struct sql_answer {
    struct sql_version *version;
    const struct log_id *log_id;
    struct fold_position position; /* that the rows show */
    uint64_t since;      /* the event that the view begins with; 0 or 1: the log's first */
    uint64_t offset;     /* rows to leave out at the beginning */
    uint64_t limit;      /* rows wanted; 0: as many as a reply holds */
    const char *note;    /* for people; NULL: none */
    const char *problem; /* of the file as it is now; NULL: none */
};

/* Appends the whole reply to an empty buffer of ANSWER_BYTES_MAX: good, or an error. */
void sql_answer_write(const struct sql_answer *answer, struct buffer *reply);

#endif
