#include "projector/core/answer.h"

#include "common/event/codec.h"

static uint32_t guest_count(const struct fold *fold)
{
    const struct fold_guest *guest = fold_guest(fold);
    return guest != NULL ? guest->count(guest->owner) : 0;
}

/* Views of the fold first, then those of its guest. */
static const char *view_name(const struct fold *fold, uint32_t view)
{
    uint32_t own = fold_view_count(fold);
    const struct fold_guest *guest = fold_guest(fold);
    return view < own ? fold_view_type(fold, view)->name : guest->name(guest->owner, view - own);
}

/* What is wrong with a view; NULL: nothing. */
static const char *view_problem(const struct fold *fold, uint32_t view)
{
    uint32_t own = fold_view_count(fold);
    const struct fold_guest *guest = fold_guest(fold);
    return view < own ? NULL : guest->problem(guest->owner, view - own);
}

static uint32_t count_problems(const struct fold *fold, uint32_t views)
{
    uint32_t problems = 0;
    for (uint32_t i = 0; i < views; i++)
        problems += view_problem(fold, i) != NULL;
    return problems;
}

static void write_problems(const struct fold *fold, uint32_t views, struct buffer *reply)
{
    codec_text(reply, "problems");
    codec_map(reply, count_problems(fold, views));
    for (uint32_t i = 0; i < views; i++) {
        if (view_problem(fold, i) == NULL)
            continue;
        codec_text(reply, view_name(fold, i));
        codec_text(reply, view_problem(fold, i));
    }
}

static void answer_views(const struct fold *fold, struct buffer *reply)
{
    uint32_t views = fold_view_count(fold) + guest_count(fold);
    bool has_problems = count_problems(fold, views) > 0;
    control_ok_write(reply, 1);
    codec_map(reply, 1 + (uint32_t)has_problems);
    codec_text(reply, "views");
    codec_array(reply, views);
    for (uint32_t i = 0; i < views; i++)
        codec_text(reply, view_name(fold, i));
    if (has_problems)
        write_problems(fold, views, reply);
}

static void answer_no_such_view(const struct fold *fold, struct buffer *reply)
{
    uint32_t views = fold_view_count(fold) + guest_count(fold);
    struct buffer text;
    buffer_init(&text, CONTROL_TEXT_BYTES_MAX);
    buffer_append_text(&text, "no such view; there are ");
    for (uint32_t i = 0; i < views; i++) {
        buffer_append_text(&text, i > 0 ? ", " : "");
        buffer_append_text(&text, view_name(fold, i));
    }
    buffer_append(&text, "", 1);
    control_error_write(reply, CONTROL_CODE_NOT_FOUND,
                        text.status == STATUS_OK ? (const char *)text.data
                                                 : "no such view; the verb views names them");
    buffer_fini(&text);
}

static void write_uint(struct buffer *reply, const char *name, uint64_t value)
{
    codec_text(reply, name);
    codec_uint(reply, value);
}

/* The rows asked for: first … end − 1. */
struct page {
    uint32_t first, end;
};

static struct page page_of(const struct answer_view *asked, uint32_t count)
{
    uint64_t first = asked->offset < count ? asked->offset : count;
    uint64_t limit =
        asked->limit > 0 && asked->limit < ANSWER_ROWS_MAX ? asked->limit : ANSWER_ROWS_MAX;
    uint64_t end = limit < count - first ? first + limit : count;
    return (struct page){(uint32_t)first, (uint32_t)end};
}

static void write_rows(struct buffer *reply, struct rows *rows, struct page page)
{
    codec_text(reply, "rows");
    codec_array(reply, page.end - page.first);
    for (uint32_t i = page.first; i < page.end; i++)
        rows_write(rows, i, reply);
    if (page.end < rows_count(rows))
        write_uint(reply, "next", page.end);
    if (rows_left_out(rows) > 0)
        write_uint(reply, "left_out", rows_left_out(rows));
}

void answer_rows(const struct answer_view *view, struct buffer *reply)
{
    struct rows *rows = view->rows;
    struct digest digest = rows_digest(rows);
    char hex[DIGEST_HEX_BYTES];
    if (rows_sort(rows) != STATUS_OK) {
        control_error_write(reply, CONTROL_CODE_UNAVAILABLE, "no memory to sort the rows");
        return;
    }
    digest_hex(&digest, hex);
    uint32_t optional = 0;
    struct page page = page_of(view, rows_count(rows));
    optional += page.end < rows_count(rows);
    optional += rows_left_out(rows) > 0;
    optional += view->note != NULL;
    optional += view->since > 1;
    control_ok_write(reply, 1);
    codec_map(reply, 7 + optional);
    codec_text(reply, "view");
    codec_text(reply, view->name);
    codec_text(reply, "log_id");
    codec_bin(reply, (struct slice){view->log_id->bytes, LOG_ID_BYTES});
    write_uint(reply, "event_id", view->position.event_id);
    write_uint(reply, "rejection_id", view->position.rejection_id);
    write_uint(reply, "time", view->position.time_ns);
    codec_text(reply, "digest");
    codec_text(reply, hex);
    if (view->since > 1)
        write_uint(reply, "since", view->since);
    write_rows(reply, rows, page);
    if (view->note != NULL) {
        codec_text(reply, "note");
        codec_text(reply, view->note);
    }
}

static void answer_now(struct fold *fold, const struct log_id *log_id, uint32_t view,
                       const struct control_request *asked, struct buffer *reply)
{
    struct answer_view now = {.name = fold_view_type(fold, view)->name,
                              .log_id = log_id,
                              .rows = fold_view_rows(fold, view),
                              .position = fold_view_position(fold, view),
                              .since = fold_since(fold),
                              .offset = asked->offset,
                              .limit = asked->limit};
    answer_rows(&now, reply);
}

static void answer_guest(const struct fold *fold, uint32_t view,
                         const struct control_request *asked, struct buffer *reply)
{
    const struct fold_guest *guest = fold_guest(fold);
    struct fold_position position = fold_position(fold);
    guest->answer(guest->owner, view, asked, &position, reply);
}

/* The place of the view among all; their number if there is none of this name. */
static uint32_t view_find(const struct fold *fold, struct slice name)
{
    uint32_t view = 0, views = fold_view_count(fold) + guest_count(fold);
    while (view < views && !slice_equal_text(name, view_name(fold, view)))
        view++;
    return view;
}

void answer(struct fold *fold, const struct log_id *log_id, struct slice request,
            struct buffer *reply)
{
    struct control_request asked;
    enum control_code code;
    struct detail detail;
    if (control_request_read(request, &asked, &code, &detail) != STATUS_OK) {
        control_error_write(reply, code, detail.text);
        return;
    }
    if (asked.verb == CONTROL_VIEWS) {
        answer_views(fold, reply);
        return;
    }
    if (asked.verb != CONTROL_VIEW) {
        control_error_write(reply, CONTROL_CODE_UNKNOWN_VERB,
                            "a projector answers views and view; the rest is for the processor");
        return;
    }
    uint32_t view = view_find(fold, asked.view), own = fold_view_count(fold);
    if (view == own + guest_count(fold))
        answer_no_such_view(fold, reply);
    else if (view >= own)
        answer_guest(fold, view - own, &asked, reply); /* an earlier moment was asked of `asof` */
    else if (asked.at != AT_NOW)
        control_error_write(reply, CONTROL_CODE_UNSUPPORTED,
                            "this view is shown as of now only (at: nil)");
    else
        answer_now(fold, log_id, view, &asked, reply);
}
