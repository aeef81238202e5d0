/* sql_file: a view in SQL as its author wrote it (docs/sql-views.md): plain SQL, where a comment
 * line "-- on: GLOB, …" begins the statements that run for events of these types.
 *
 *     create table NAME (…);          tables first; one has the name of the view
 *     -- on: account.deposited
 *     insert into NAME …;             in this order, for each such event
 *
 * Reading it finds the parts and says what is wrong by file and line; SQLite judges the statements
 * later. Pure. The texts are the file's own bytes, copied.
 */
#ifndef WEIR_PROJECTOR_SQL_FILE_H
#define WEIR_PROJECTOR_SQL_FILE_H

#include <stdint.h>

#include "common/base/buffer.h"

enum {
    SQL_FILE_BYTES_MAX = 64 * 1024,
    SQL_NAME_BYTES_MAX = 64, /* of a view or a table */
    SQL_TABLES_MAX = 16,     /* of one file; likewise */
    SQL_STATEMENTS_MAX = 64,
    SQL_SECTIONS_MAX = 64,
    SQL_GLOBS_MAX = 64,
    SQL_GLOB_BYTES_MAX = 64, /* as long as the longest type */
};

struct sql_statement {
    struct slice text; /* without its semicolon */
    uint32_t line;     /* of its first word */
};

/* One "-- on:" line and what follows it. */
struct sql_section {
    uint32_t first_glob, glob_count;
    uint32_t first_statement, statement_count;
    uint32_t line;
};

struct sql_file {
    char view[SQL_NAME_BYTES_MAX + 1]; /* the file's name without .sql */
    uint8_t *bytes;                    /* what all slices point into */
    size_t size;
    char tables[SQL_TABLES_MAX][SQL_NAME_BYTES_MAX + 1];
    struct sql_statement creates[SQL_TABLES_MAX]; /* create[i] makes tables[i] */
    uint32_t table_count;
    char globs[SQL_GLOBS_MAX][SQL_GLOB_BYTES_MAX + 1];
    bool glob_is_plain[SQL_GLOBS_MAX]; /* no * and no ? */
    uint32_t glob_count;
    struct sql_statement statements[SQL_STATEMENTS_MAX];
    uint32_t statement_count;
    struct sql_section sections[SQL_SECTIONS_MAX];
    uint32_t section_count;
};

/* Is it a name that a view may have: 1 to SQL_NAME_BYTES_MAX of [a-z0-9_], beginning with a letter,
 * no "__", not "weir…" or "sqlite_…"? */
bool sql_view_name_is_good(struct slice name);

/* Reads a file's text. CONFIG: "NAME.sql:LINE: …". NO_MEMORY. */
MUST_USE enum status sql_file_read(const char *view, struct slice text, struct sql_file **ret_file,
                                   struct detail *ret_detail);
void sql_file_free(struct sql_file **file);

/* The place of the file's table with this name and `suffix` behind it; table_count if none. */
uint32_t sql_file_table(const struct sql_file *file, const char *name, const char *suffix);
/* The place of the view's own table, the one that queries show. */
uint32_t sql_file_shown(const struct sql_file *file);

/* Does a section run for events of this type? */
bool sql_section_hears(const struct sql_file *file, const struct sql_section *section,
                       struct slice type);

/* Appends a statement, NUL-terminated, with `suffix` put behind every name of a table of this file,
 * so that two versions of one view can live side by side. */
void sql_statement_write(const struct sql_file *file, const struct sql_statement *statement,
                         const char *suffix, struct buffer *buffer);

#endif
