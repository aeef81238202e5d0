#include "projector/sql/sql_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/glob.h"
#include "common/event/mp.h"
#include "projector/sql/sql_scan.h"

#define DIRECTIVE "on:"

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
static const char glob_letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789.-*?";

struct reading {
    struct sql_file *file;
    struct sql_scan scan;
    struct sql_token token; /* the one to look at next */
    struct detail *detail;
};

/* "NAME.sql:LINE: …" */
static enum status wrong(const struct reading *reading, uint32_t line, const char *format, ...)
    PRINTF_LIKE(3, 4);
static enum status wrong(const struct reading *reading, uint32_t line, const char *format, ...)
{
    char what[DETAIL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return detail_set(reading->detail, STATUS_CONFIG, "%s.sql:%u: %s", reading->file->view, line,
                      what);
}

static bool begins_with(struct slice text, const char *prefix)
{
    return text.size >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static bool consists_of(struct slice text, const char *letters)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\0' || strchr(letters, text.data[i]) == NULL)
            return false;
    return text.size > 0;
}

bool sql_view_name_is_good(struct slice name)
{
    return name.size <= SQL_NAME_BYTES_MAX && consists_of(name, name_letters) &&
           name.data[0] >= 'a' && memmem(name.data, name.size, "__", 2) == NULL &&
           !begins_with(name, "weir") && !begins_with(name, "sqlite_");
}

/* --- globs --- */

static struct slice trim(struct slice text)
{
    while (text.size > 0 && strchr(" \t\r", text.data[0]) != NULL)
        text = (struct slice){text.data + 1, text.size - 1};
    while (text.size > 0 && strchr(" \t\r", text.data[text.size - 1]) != NULL)
        text.size--;
    return text;
}

static enum status read_glob(struct reading *reading, struct slice text, uint32_t line)
{
    struct sql_file *file = reading->file;
    if (!consists_of(text, glob_letters) || text.size > SQL_GLOB_BYTES_MAX)
        return wrong(
            reading, line, "'%.*s' is no type of events: 1 to %d of a-z 0-9 _ . - with * and ?",
            (int)(text.size < 80 ? text.size : 80), (const char *)text.data, SQL_GLOB_BYTES_MAX);
    if (file->glob_count == SQL_GLOBS_MAX)
        return wrong(reading, line, "more than %d types of events", SQL_GLOBS_MAX);
    uint32_t place = file->glob_count++;
    memcpy(file->globs[place], text.data, text.size);
    file->globs[place][text.size] = '\0';
    file->glob_is_plain[place] = strpbrk(file->globs[place], "*?") == NULL;
    return STATUS_OK;
}

static enum status read_globs(struct reading *reading, struct slice list, uint32_t line)
{
    struct sql_file *file = reading->file;
    if (file->section_count == SQL_SECTIONS_MAX)
        return wrong(reading, line, "more than %d lines '-- on:'", SQL_SECTIONS_MAX);
    struct sql_section *section = &file->sections[file->section_count++];
    *section = (struct sql_section){
        .first_glob = file->glob_count, .first_statement = file->statement_count, .line = line};
    for (;;) {
        const uint8_t *comma = list.size > 0 ? memchr(list.data, ',', list.size) : NULL;
        size_t size = comma != NULL ? (size_t)(comma - list.data) : list.size;
        enum status status = read_glob(reading, trim((struct slice){list.data, size}), line);
        if (status != STATUS_OK)
            return status;
        section->glob_count++;
        if (comma == NULL)
            return STATUS_OK;
        list = (struct slice){comma + 1, list.size - size - 1};
    }
}

/* "-- on: …"; any other comment is for people. */
static bool is_directive(const struct sql_token *token, struct slice *ret_list)
{
    if (token->kind != SQL_TOKEN_COMMENT || !begins_with(token->text, "--"))
        return false;
    struct slice text = trim((struct slice){token->text.data + 2, token->text.size - 2});
    if (!begins_with(text, DIRECTIVE))
        return false;
    size_t skip = strlen(DIRECTIVE);
    *ret_list = trim((struct slice){text.data + skip, text.size - skip});
    return true;
}

/* --- statements --- */

/* Moves on to the next token that is no comment. A comment "-- on:" inside a statement would be
 * taken for what it is not. */
static enum status advance(struct reading *reading)
{
    struct slice list;
    do {
        reading->token = sql_scan_next(&reading->scan);
        if (!reading->token.is_whole)
            return wrong(reading, reading->token.line, "what begins with %.2s here has no end",
                         (const char *)reading->token.text.data);
        if (is_directive(&reading->token, &list))
            return wrong(reading, reading->token.line,
                         "'-- on:' inside a statement: end the one before with a semicolon");
    } while (reading->token.kind == SQL_TOKEN_COMMENT);
    return STATUS_OK;
}

/* "or rollback", "on conflict fail" and the like: they end, or keep half of, what is more than one
 * statement. */
static bool undoes_too_much(const struct sql_token *before, const struct sql_token *token)
{
    return (sql_token_is(before, "or") || sql_token_is(before, "conflict")) &&
           (sql_token_is(token, "rollback") || sql_token_is(token, "fail"));
}

/* Goes to the semicolon that ends the statement at reading->token. */
static enum status finish_statement(struct reading *reading, struct sql_statement *ret_statement)
{
    struct sql_token before = reading->token;
    const uint8_t *start = before.text.data;
    uint32_t line = before.line;
    while (reading->token.kind != SQL_TOKEN_SEMICOLON) {
        if (undoes_too_much(&before, &reading->token))
            return wrong(reading, reading->token.line,
                         "'%.*s %.*s' would undo too much or too little: leave it out, and an "
                         "event that fails stops this view alone",
                         (int)before.text.size, (const char *)before.text.data,
                         (int)reading->token.text.size, (const char *)reading->token.text.data);
        before = reading->token;
        enum status status = advance(reading);
        if (status != STATUS_OK)
            return status;
        if (reading->token.kind == SQL_TOKEN_END)
            return wrong(reading, line, "the statement has no semicolon at its end");
    }
    *ret_statement = (struct sql_statement){
        {start, (size_t)(reading->token.text.data - start)},
        line,
    };
    return STATUS_OK;
}

/* The view's name, or the view's name with "__" and more behind it. */
static bool is_own_name(const struct sql_file *file, struct slice name)
{
    size_t size = strlen(file->view);
    if (!begins_with(name, file->view) || !consists_of(name, name_letters))
        return false;
    return name.size == size || (name.size > size + 2 && name.size <= SQL_NAME_BYTES_MAX &&
                                 memcmp(name.data + size, "__", 2) == 0);
}

/* The table's name, at reading->token. */
static enum status read_table_name(struct reading *reading)
{
    struct sql_file *file = reading->file;
    struct slice name = reading->token.text;
    if (reading->token.kind == SQL_TOKEN_QUOTED)
        name = (struct slice){name.data + 1, name.size - 2};
    if (!is_own_name(file, name))
        return wrong(reading, reading->token.line,
                     "a table of this file is named %s, or %s__ and more of a-z 0-9 _, in at most "
                     "%d bytes",
                     file->view, file->view, SQL_NAME_BYTES_MAX);
    for (uint32_t i = 0; i < file->table_count; i++)
        if (slice_equal_text(name, file->tables[i]))
            return wrong(reading, reading->token.line, "table %s comes twice", file->tables[i]);
    if (file->table_count == SQL_TABLES_MAX)
        return wrong(reading, reading->token.line, "more than %d tables", SQL_TABLES_MAX);
    memcpy(file->tables[file->table_count], name.data, name.size);
    return STATUS_OK;
}

/* create table NAME … ; */
static enum status read_create(struct reading *reading)
{
    struct sql_file *file = reading->file;
    struct sql_token first = reading->token;
    enum status status = sql_token_is(&first, "create") ? advance(reading) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    if (!sql_token_is(&first, "create") || !sql_token_is(&reading->token, "table"))
        return wrong(reading, first.line,
                     "before the first '-- on:' stand the tables: 'create table %s (…);'",
                     file->view);
    status = advance(reading);
    if (status == STATUS_OK)
        status = read_table_name(reading);
    if (status != STATUS_OK)
        return status;
    struct sql_statement rest = {.line = 0};
    status = finish_statement(reading, &rest);
    if (status != STATUS_OK)
        return status;
    const uint8_t *end = rest.text.data + rest.text.size;
    file->creates[file->table_count++] = (struct sql_statement){
        {first.text.data, (size_t)(end - first.text.data)},
        first.line,
    };
    return STATUS_OK;
}

static enum status read_change(struct reading *reading)
{
    static const char *const verbs[] = {"insert", "update", "delete", "replace", "with"};
    struct sql_file *file = reading->file;
    bool is_change = false;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        is_change = is_change || sql_token_is(&reading->token, verbs[i]);
    if (!is_change)
        return wrong(reading, reading->token.line,
                     "behind '-- on:' stand insert, update, delete, replace or with");
    if (file->statement_count == SQL_STATEMENTS_MAX)
        return wrong(reading, reading->token.line, "more than %d statements", SQL_STATEMENTS_MAX);
    enum status status = finish_statement(reading, &file->statements[file->statement_count]);
    if (status != STATUS_OK)
        return status;
    file->statement_count++;
    file->sections[file->section_count - 1].statement_count++;
    return STATUS_OK;
}

/* --- the file --- */

static enum status read_item(struct reading *reading)
{
    struct slice list;
    if (!reading->token.is_whole)
        return wrong(reading, reading->token.line, "what begins with %.2s here has no end",
                     (const char *)reading->token.text.data);
    if (is_directive(&reading->token, &list))
        return read_globs(reading, list, reading->token.line);
    if (reading->token.kind == SQL_TOKEN_COMMENT || reading->token.kind == SQL_TOKEN_SEMICOLON)
        return STATUS_OK;
    return reading->file->section_count == 0 ? read_create(reading) : read_change(reading);
}

static enum status check_whole(const struct reading *reading)
{
    const struct sql_file *file = reading->file;
    if (sql_file_shown(file) == file->table_count)
        return wrong(reading, 1, "no 'create table %s (…);': it is what queries show", file->view);
    if (file->section_count == 0)
        return wrong(reading, 1, "no line '-- on: TYPE, …': the view would hear of nothing");
    for (uint32_t i = 0; i < file->section_count; i++)
        if (file->sections[i].statement_count == 0)
            return wrong(reading, file->sections[i].line, "no statement behind this line");
    return STATUS_OK;
}

static enum status read_all(struct reading *reading)
{
    enum status status = STATUS_OK;
    struct slice text = {reading->file->bytes, reading->file->size};
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        return wrong(reading, 1, "a NUL byte in the file");
    if (!utf8_valid(text))
        return wrong(reading, 1, "the file is not UTF-8");
    reading->scan = sql_scan_of(text, 1);
    for (;;) {
        reading->token = sql_scan_next(&reading->scan);
        if (reading->token.kind == SQL_TOKEN_END)
            return check_whole(reading);
        status = read_item(reading);
        if (status != STATUS_OK)
            return status;
    }
}

enum status sql_file_read(const char *view, struct slice text, struct sql_file **ret_file,
                          struct detail *ret_detail)
{
    if (!sql_view_name_is_good(slice_of_text(view)))
        return detail_set(ret_detail, STATUS_CONFIG,
                          "%.80s.sql: a view's name is 1 to %d of a-z 0-9 _, beginning with a "
                          "letter, without '__', not beginning with weir or sqlite_",
                          view, SQL_NAME_BYTES_MAX);
    if (text.size > SQL_FILE_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "%s.sql:1: more than %d bytes", view,
                          SQL_FILE_BYTES_MAX);
    struct sql_file *file = calloc(1, sizeof *file);
    uint8_t *bytes = malloc(text.size + 1);
    if (file == NULL || bytes == NULL) {
        free(file);
        free(bytes);
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for view %s", view);
    }
    snprintf(file->view, sizeof file->view, "%s", view);
    file->bytes = bytes;
    file->size = text.size;
    if (text.size > 0)
        memcpy(bytes, text.data, text.size);
    struct reading reading = {.file = file, .detail = ret_detail};
    enum status status = read_all(&reading);
    if (status == STATUS_OK)
        *ret_file = file;
    else
        sql_file_free(&file);
    return status;
}

void sql_file_free(struct sql_file **file)
{
    if (*file == NULL)
        return;
    free((*file)->bytes);
    free(*file);
    *file = NULL;
}

uint32_t sql_file_table(const struct sql_file *file, const char *name, const char *suffix)
{
    uint32_t place = 0;
    for (; place < file->table_count; place++) {
        size_t size = strlen(file->tables[place]);
        if (strncmp(name, file->tables[place], size) == 0 && strcmp(name + size, suffix) == 0)
            break;
    }
    return place;
}

uint32_t sql_file_shown(const struct sql_file *file)
{
    return sql_file_table(file, file->view, "");
}

bool sql_section_hears(const struct sql_file *file, const struct sql_section *section,
                       struct slice type)
{
    for (uint32_t i = section->first_glob; i < section->first_glob + section->glob_count; i++) {
        bool heard = file->glob_is_plain[i] ? slice_equal_text(type, file->globs[i])
                                            : glob_matches(file->globs[i], type);
        if (heard)
            return true;
    }
    return false;
}

void sql_statement_write(const struct sql_file *file, const struct sql_statement *statement,
                         const char *suffix, struct buffer *buffer)
{
    struct sql_scan scan = sql_scan_of(statement->text, statement->line);
    const uint8_t *written = statement->text.data;
    struct sql_token token;
    while ((token = sql_scan_next(&scan)).kind != SQL_TOKEN_END) {
        uint32_t table = 0;
        while (table < file->table_count && !sql_token_names(&token, file->tables[table]))
            table++;
        if (table == file->table_count)
            continue;
        buffer_append(buffer, written, (size_t)(token.text.data - written));
        buffer_append_text(buffer, "\"");
        buffer_append_text(buffer, file->tables[table]);
        buffer_append_text(buffer, suffix);
        buffer_append_text(buffer, "\"");
        written = token.text.data + token.text.size;
    }
    buffer_append(buffer, written, (size_t)(statement->text.data + statement->text.size - written));
    buffer_append(buffer, "", 1);
}
