#include "projector/sql/sql_scan.h"

#include <string.h>
#include <strings.h>

struct sql_scan sql_scan_of(struct slice text, uint32_t first_line)
{
    return (struct sql_scan){text.data, text.data + text.size, first_line};
}

/* ASCII only, whatever the locale is. */
static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_word_start(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           byte >= 0x80;
}

static bool is_word(uint8_t byte)
{
    return is_word_start(byte) || is_digit(byte) || byte == '$';
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool follows(const struct sql_scan *scan, const uint8_t *at, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(scan->end - at) >= size && memcmp(at, text, size) == 0;
}

/* The place behind the quote that ends what begins at `at`; a doubled quote stands for itself,
 * except in brackets. */
static const uint8_t *quote_end(const struct sql_scan *scan, const uint8_t *at, bool *ret_is_whole)
{
    uint8_t closing = *at == '[' ? ']' : *at;
    for (at++; at < scan->end; at++) {
        if (*at != closing)
            continue;
        if (closing == ']' || at + 1 == scan->end || at[1] != closing)
            return at + 1;
        at++;
    }
    *ret_is_whole = false;
    return scan->end;
}

static const uint8_t *comment_end(const struct sql_scan *scan, const uint8_t *at,
                                  bool *ret_is_whole)
{
    size_t left = (size_t)(scan->end - at);
    if (*at == '-') {
        const uint8_t *line_end = memchr(at, '\n', left);
        return line_end != NULL ? line_end : scan->end;
    }
    const uint8_t *close = left > 2 ? memmem(at + 2, left - 2, "*/", 2) : NULL;
    *ret_is_whole = close != NULL;
    return close != NULL ? close + 2 : scan->end;
}

/* 12, 1.5e9, 0x1f: what begins with a digit is one token, so that no part of it looks like a name.
 */
static const uint8_t *run_end(const struct sql_scan *scan, const uint8_t *at)
{
    while (at < scan->end && (is_word(*at) || *at == '.'))
        at++;
    return at;
}

static const uint8_t *word_end(const struct sql_scan *scan, const uint8_t *at)
{
    while (at < scan->end && is_word(*at))
        at++;
    return at;
}

/* Finds what kind of token begins at token->text.data, and where it ends. */
static const uint8_t *classify(const struct sql_scan *scan, struct sql_token *token)
{
    const uint8_t *at = token->text.data;
    bool is_blob = (*at == 'x' || *at == 'X') && follows(scan, at + 1, "'");
    if (follows(scan, at, "--") || follows(scan, at, "/*")) {
        token->kind = SQL_TOKEN_COMMENT;
        return comment_end(scan, at, &token->is_whole);
    }
    if (*at == '\'' || is_blob) {
        token->kind = SQL_TOKEN_STRING;
        return quote_end(scan, at + is_blob, &token->is_whole);
    }
    if (*at == '"' || *at == '[' || *at == '`') {
        token->kind = SQL_TOKEN_QUOTED;
        return quote_end(scan, at, &token->is_whole);
    }
    if (is_word_start(*at)) {
        token->kind = SQL_TOKEN_WORD;
        return word_end(scan, at);
    }
    token->kind = *at == ';' ? SQL_TOKEN_SEMICOLON : SQL_TOKEN_OTHER;
    return is_digit(*at) ? run_end(scan, at) : at + 1;
}

struct sql_token sql_scan_next(struct sql_scan *scan)
{
    while (scan->at < scan->end && is_space(*scan->at))
        scan->line += *scan->at++ == '\n';
    struct sql_token token = {SQL_TOKEN_END, true, {scan->at, 0}, scan->line};
    if (scan->at == scan->end)
        return token;
    const uint8_t *end = classify(scan, &token);
    token.text.size = (size_t)(end - scan->at);
    for (; scan->at < end; scan->at++)
        scan->line += *scan->at == '\n';
    return token;
}

static bool equal_fold(struct slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

bool sql_token_is(const struct sql_token *token, const char *word)
{
    return token->kind == SQL_TOKEN_WORD && equal_fold(token->text, word);
}

bool sql_token_names(const struct sql_token *token, const char *name)
{
    if (token->kind == SQL_TOKEN_WORD)
        return equal_fold(token->text, name);
    if (token->kind != SQL_TOKEN_QUOTED || !token->is_whole)
        return false;
    return equal_fold((struct slice){token->text.data + 1, token->text.size - 2}, name);
}
