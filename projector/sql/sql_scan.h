/* sql_scan: SQL text cut into the few kinds of tokens that matter here: where a statement ends,
 * what is a name, and what is inside a string or a comment.
 *
 * SQLite judges the grammar; this only finds names, semicolons and lines, by the rules of SQLite's
 * own tokenizer. Pure; never reads past the end; every call moves on.
 */
#ifndef WEIR_PROJECTOR_SQL_SCAN_H
#define WEIR_PROJECTOR_SQL_SCAN_H

#include "common/base/buffer.h"

enum sql_token_kind {
    SQL_TOKEN_END,
    SQL_TOKEN_COMMENT, /* a line from -- to its end, or a block */
    SQL_TOKEN_WORD,    /* a keyword or a bare name */
    SQL_TOKEN_QUOTED,  /* a name in "…", […] or `…` */
    SQL_TOKEN_STRING,  /* '…' or x'…' */
    SQL_TOKEN_SEMICOLON,
    SQL_TOKEN_OTHER, /* a number, or one byte of anything else but space */
};

struct sql_token {
    enum sql_token_kind kind;
    bool is_whole;     /* false: a quote or a block comment that has no end */
    struct slice text; /* with its quotes */
    uint32_t line;     /* of its first byte, from 1 */
};

struct sql_scan {
    const uint8_t *at, *end;
    uint32_t line; /* of `at` */
};

struct sql_scan sql_scan_of(struct slice text, uint32_t first_line);
struct sql_token sql_scan_next(struct sql_scan *scan);

/* Is it this word, in upper or lower case? */
bool sql_token_is(const struct sql_token *token, const char *word);
/* Is it this name (ASCII, no quotes in it), bare or quoted, in upper or lower case? */
bool sql_token_names(const struct sql_token *token, const char *name);

#endif
