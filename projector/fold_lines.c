#include "projector/fold_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "common/event/codec.h"
#include "common/event/json.h"
#include "common/upload/lines.h"
#include "projector/core/answer.h"
#include "projector/fold_sql.h"
#include "projector/query_print.h"
#include "projector/sql/sql_answer.h"

#define PROGRAM        "weir-projector"
#define DEFAULT_SOURCE "-"

enum {
    RECORD_BYTES_MAX = EVENT_BYTES_MAX + 4096,
    TEXT_BYTES_MAX = 2 * ANSWER_BYTES_MAX,
};

struct fold_options_given {
    const char *policy;    /* file */
    const char *views_dir; /* of views in SQL; NULL: there are none */
    bool json;
};

/* The fold counts what comes, 1, 2, 3, …, for the lines may be a part of a log; `shown` is what
 * they say themselves. */
struct folding {
    struct fold *fold;
    struct fold_sql *sql; /* NULL: no views in SQL */
    struct lines *lines;
    struct buffer event, record;
    struct fold_position shown;
    char *policy;
};

/* --- options --- */

/* Those of the names that are built-in views; all of these where there are no names. USAGE: a name
 * that no view has, neither of these nor of those in SQL. */
static enum status choose_types(const struct command *command, const struct folding *folding,
                                char **names, int count, struct fold_options *views)
{
    static const struct view_type *types[FOLD_VIEWS_MAX];
    views->types = types;
    for (uint32_t i = 0; count == 0 && i < view_type_count && i < FOLD_VIEWS_MAX; i++)
        types[views->type_count++] = view_types[i];
    for (int i = 0; i < count && views->type_count < FOLD_VIEWS_MAX; i++) {
        const struct view_type *type = view_type_find(slice_of_text(names[i]));
        bool is_sql = folding->sql != NULL && fold_sql_has(folding->sql, names[i]);
        if (type == NULL && !is_sql)
            return options_usage(PROGRAM, command, "no view '%s'", names[i]);
        if (type != NULL)
            types[views->type_count++] = type;
    }
    return STATUS_OK;
}

/* The file's text; "" without a file. */
static enum status read_policy(const char *path, char **ret_text, struct detail *ret_detail)
{
    char *text = calloc(1, POLICY_TEXT_BYTES_MAX);
    if (text == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the policy");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (path != NULL && file == NULL) {
        free(text);
        return detail_set(ret_detail, STATUS_CONFIG, "--policy: cannot read %s", path);
    }
    if (file != NULL) {
        size_t size = fread(text, 1, POLICY_TEXT_BYTES_MAX - 1, file);
        text[size] = '\0';
        fclose(file);
    }
    *ret_text = text;
    return STATUS_OK;
}

/* --- one line --- */

static enum status apply(struct folding *folding, enum stream stream, struct detail *ret_detail)
{
    uint64_t hash;
    enum status status =
        fold_apply(folding->fold, stream, buffer_slice(&folding->record), 1, &hash, ret_detail);
    if (status == STATUS_OK && folding->sql != NULL)
        status = fold_sql_status(folding->sql, ret_detail);
    return status == STATUS_TIMED_OUT ? STATUS_INVALID : status; /* a statement without an end */
}

/* What the line says, for the two streams may come one behind the other; a line that does not say
 * is stamped as the log would: never before what came. */
static uint64_t log_time(const struct folding *folding, uint64_t said_ns, uint64_t occurred_at_ns)
{
    uint64_t newest_ns = fold_position(folding->fold).time_ns;
    if (said_ns > 0)
        return said_ns;
    return occurred_at_ns > newest_ns ? occurred_at_ns : newest_ns;
}

static enum status apply_event(struct folding *folding, const struct json_record *line,
                               struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&folding->event));
    struct event event;
    uint64_t id = fold_position(folding->fold).event_id + 1;
    if (event_read_stored(&reader, &event) != STATUS_OK ||
        buffer_reserve(&folding->record, RECORD_BYTES_MAX) != STATUS_OK)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for an event");
    const char *source = line->source[0] != '\0' ? line->source : DEFAULT_SOURCE;
    uint64_t time_ns = log_time(folding, line->time_ns, event.occurred_at_ns);
    uint8_t *end = accepted_record_put(folding->record.data, id, time_ns, slice_of_text(source),
                                       line->sequence, buffer_slice(&folding->event));
    folding->record.size = (size_t)(end - folding->record.data);
    folding->shown.event_id = line->id > 0 ? line->id : id;
    if (folding->sql != NULL)
        fold_sql_number(folding->sql, folding->shown.event_id);
    return apply(folding, STREAM_ACCEPTED, ret_detail);
}

static enum status apply_rejection(struct folding *folding, const struct json_record *line,
                                   struct detail *ret_detail)
{
    struct buffer key;
    struct rejection record = {.rejection_id = fold_position(folding->fold).rejection_id + 1,
                               .rejected_at_ns = log_time(folding, line->time_ns, 0),
                               .count = line->count,
                               .retry_after_ns = RECORD_NEVER,
                               .policy = slice_of_text(line->policy)};
    if (!reason_parse(slice_of_text(line->reason), &record.reason))
        return detail_set(ret_detail, STATUS_BAD_INPUT, "reason: '%s' is none", line->reason);
    buffer_init(&key, JSON_RECORD_TEXT_BYTES_MAX + CODEC_TEXT_HEADER_BYTES_MAX);
    if (line->has_key && line->key_is_text)
        codec_text(&key, line->key);
    else if (line->has_key)
        codec_int(&key, line->key_number);
    record.key = buffer_slice(&key);
    rejection_write(&folding->record, &record);
    enum status status = key.status != STATUS_OK ? key.status : folding->record.status;
    if (status == STATUS_OK)
        status = apply(folding, STREAM_REJECTED, ret_detail);
    folding->shown.rejection_id = line->id > 0 ? line->id : record.rejection_id;
    buffer_fini(&key);
    return status;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (memchr(" \t\r", line.data[i], 3) == NULL)
            return false;
    return true;
}

static enum status take_line(struct folding *folding, struct slice line, struct detail *ret_detail)
{
    struct json_record record;
    struct detail why = {.text = ""};
    if (is_blank(line))
        return STATUS_OK;
    buffer_clear(&folding->event);
    buffer_clear(&folding->record);
    enum status status = json_read_record(line, clock_wall_ns(), &folding->event, &record, &why);
    if (status == STATUS_OK)
        status = record.is_rejection ? apply_rejection(folding, &record, &why)
                                     : apply_event(folding, &record, &why);
    if (status == STATUS_OK)
        return status;
    return detail_set(ret_detail, status == STATUS_DAMAGED ? STATUS_BAD_INPUT : status,
                      "line %" PRIu64 ": %s", lines_number(folding->lines), why.text);
}

static enum status take_lines(struct folding *folding, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !lifecycle_stopping() && !lines_over(folding->lines)) {
        struct slice line;
        enum status found = lines_next(folding->lines, &line);
        if (found == STATUS_OK)
            status = take_line(folding, line, ret_detail);
        else if (found == STATUS_END)
            status = lines_read(folding->lines, ret_detail);
        else
            status = detail_set(ret_detail, STATUS_BAD_INPUT, "line %" PRIu64 ": too long",
                                lines_number(folding->lines));
    }
    return status;
}

/* --- what is printed --- */

static enum status write_out(struct buffer *text, FILE *file, struct detail *ret_detail)
{
    bool failed = text->size > 0 && fwrite(text->data, 1, text->size, file) != text->size;
    buffer_clear(text);
    if (failed || fflush(file) != 0)
        return detail_set(ret_detail, STATUS_IO, "cannot write the view");
    return STATUS_OK;
}

static enum status print_map(struct slice map, bool json, struct detail *ret_detail)
{
    struct buffer text;
    buffer_init(&text, TEXT_BYTES_MAX);
    enum status status = json ? query_print_json(map, &text) : query_print_table(map, &text);
    if (status == STATUS_OK)
        status = write_out(&text, stdout, ret_detail);
    if (status == STATUS_OK && !json)
        status = query_print_position(map, &text);
    if (status == STATUS_OK && !json)
        status = write_out(&text, stderr, ret_detail);
    buffer_fini(&text);
    return status;
}

static enum status print_reply(const struct buffer *reply, bool json, struct detail *ret_detail)
{
    struct slice map;
    enum status status = reply->status;
    if (status == STATUS_OK)
        status = control_reply_map_read(buffer_slice(reply), &map, ret_detail);
    return status == STATUS_OK ? print_map(map, json, ret_detail) : status;
}

/* Those in SQL come behind the others. */
static void answer_view(struct folding *folding, uint32_t view, struct buffer *reply)
{
    static const struct log_id no_log = {{0}};
    uint32_t own = fold_view_count(folding->fold);
    if (view < own) {
        struct answer_view shown = {.name = fold_view_type(folding->fold, view)->name,
                                    .log_id = &no_log,
                                    .rows = fold_view_rows(folding->fold, view),
                                    .position = folding->shown};
        answer_rows(&shown, reply);
    } else {
        struct sql_answer shown = {.version = fold_sql_version(folding->sql, view - own),
                                   .log_id = &no_log,
                                   .position = folding->shown};
        sql_answer_write(&shown, reply);
    }
}

static enum status print_views(struct folding *folding, bool json, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    uint32_t count = fold_view_count(folding->fold);
    count += folding->sql != NULL ? fold_sql_count(folding->sql) : 0;
    folding->shown.time_ns = fold_position(folding->fold).time_ns;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct buffer reply;
        buffer_init(&reply, ANSWER_BYTES_MAX);
        answer_view(folding, i, &reply);
        status = print_reply(&reply, json, ret_detail);
        buffer_fini(&reply);
    }
    return status;
}

/* --- the command --- */

static enum status fold_input(struct folding *folding, struct fold_options *views,
                              const struct fold_options_given *given, struct detail *ret_detail)
{
    enum status status = lifecycle_start(ret_detail);
    if (status == STATUS_OK)
        status = read_policy(given->policy, &folding->policy, ret_detail);
    views->policy = folding->policy;
    hash_seed_random(&views->seed);
    if (status == STATUS_OK)
        status = fold_new(views, &folding->fold, ret_detail);
    if (status == STATUS_OK && folding->sql != NULL) {
        struct fold_guest guest = fold_sql_guest(folding->sql);
        fold_invite(folding->fold, &guest);
    }
    if (status == STATUS_OK)
        status = lines_open("-", &folding->lines, ret_detail);
    if (status == STATUS_OK)
        status = take_lines(folding, ret_detail);
    if (status == STATUS_OK)
        status = print_views(folding, given->json, ret_detail);
    return status;
}

static enum status take_options(int argc, char **argv, struct fold_options_given *given,
                                struct command *command, char ***ret_operands, int *ret_count)
{
    struct option_spec specs[] = {
        {"policy", "FILE", "the log's first policies, for the view limits (default none)",
         OPTION_TEXT, &given->policy, 0},
        {"views-dir", "DIR", "folder of views in SQL, one .sql file each", OPTION_TEXT,
         &given->views_dir, 0},
        {"json", NULL, "print one JSON object for each view", OPTION_FLAG, &given->json, 0},
    };
    command->options = specs;
    command->option_count = sizeof specs / sizeof specs[0];
    enum status status = options_parse(PROGRAM, command, argc, argv, ret_operands, ret_count);
    command->options = NULL;
    command->option_count = 0;
    return status;
}

int fold_main(int argc, char **argv)
{
    struct command command = {.name = "fold",
                              .operands = "[VIEW ...]",
                              .help = "views over JSON Lines on standard input, no sockets",
                              .operands_min = 0,
                              .operands_max = FOLD_VIEWS_MAX};
    struct fold_options views = {.types = NULL};
    struct fold_options_given given = {0};
    struct folding folding = {0};
    struct detail detail = {.text = ""};
    char **names = NULL;
    int count = 0;
    enum status status = take_options(argc, argv, &given, &command, &names, &count);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);
    if (given.views_dir != NULL)
        status = fold_sql_open(given.views_dir, names, count, &folding.sql, &detail);
    if (status != STATUS_OK)
        return lifecycle_fail(PROGRAM, status, &detail);
    status = choose_types(&command, &folding, names, count, &views);
    if (status != STATUS_OK) {
        fold_sql_close(&folding.sql);
        return (int)status_exit_code(status);
    }

    buffer_init(&folding.event, EVENT_BYTES_MAX);
    buffer_init(&folding.record, RECORD_BYTES_MAX);
    status = fold_input(&folding, &views, &given, &detail);
    lines_close(&folding.lines);
    fold_destroy(&folding.fold);
    fold_sql_close(&folding.sql);
    free(folding.policy);
    buffer_fini(&folding.event);
    buffer_fini(&folding.record);
    return status == STATUS_OK ? EXIT_CODE_DONE : lifecycle_fail(PROGRAM, status, &detail);
}
