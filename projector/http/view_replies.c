#include "projector/http/view_replies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector/core/answer.h"
#include "projector/core/member.h"
#include "projector/http/reply_json.h"
#include "projector/http/view_page.h"
#include "projector/query_print.h"

enum {
    JSON_BYTES_MAX = 2 * ANSWER_BYTES_MAX,
    LIST_BYTES_MAX = 256 * 1024,
    ETAG_BYTES_MAX = 128,
    REQUEST_BYTES_MAX = 1024, /* of a request to the views */
};

struct waiting_view;

struct view_replies {
    struct view_replies_options options;
    struct waiting_view *waiting; /* oldest first */
    uint32_t waiting_count;
};

/* --- asking the views --- */

/* The one item of a good reply, or the error as HTTP: then false. */
static bool read_reply(struct http_exchange *exchange, struct slice frame, struct slice *ret_map)
{
    struct detail detail = {.text = ""};
    enum status status = control_reply_map_read(frame, ret_map, &detail);
    if (status != STATUS_OK)
        reply_json_failure(exchange, status, &detail);
    return status == STATUS_OK;
}

/* The request's reply, which the caller ends; false: no memory, it was said. */
static bool ask(struct view_replies *replies, struct http_exchange *exchange,
                const struct control_request *request, struct buffer *reply)
{
    struct buffer frame;
    buffer_init(&frame, REQUEST_BYTES_MAX);
    buffer_init(reply, ANSWER_BYTES_MAX);
    control_request_write(&frame, request);
    replies->options.ask(replies->options.ask_owner, buffer_slice(&frame), reply);
    buffer_fini(&frame);
    if (reply->status == STATUS_OK)
        return true;
    reply_json_error(exchange, 503, "no memory for the rows");
    buffer_fini(reply);
    return false;
}

static void send_list(struct http_exchange *exchange, struct slice map)
{
    struct buffer text;
    struct http_reply reply = {
        .status = 200, .type = JSON_TYPE, .cache = CACHE_NEVER, .body = &text};
    buffer_init(&text, LIST_BYTES_MAX);
    if (query_print_json(map, &text) == STATUS_OK)
        http_exchange_answer(exchange, &reply);
    else
        reply_json_error(exchange, 503, "no memory for the answer");
    buffer_fini(&text);
}

void view_replies_list(struct view_replies *replies, struct http_exchange *exchange)
{
    static const struct control_request request = {.verb = CONTROL_VIEWS};
    struct buffer reply;
    struct slice map = {NULL, 0};
    if (!ask(replies, exchange, &request, &reply))
        return;
    if (read_reply(exchange, buffer_slice(&reply), &map))
        send_list(exchange, map);
    buffer_fini(&reply);
}

/* --- a view --- */

/* Equal tags of one target, equal bodies: the position and the digest of the rows. */
static void make_etag(struct slice map, char ret_etag[ETAG_BYTES_MAX])
{
    uint64_t event_id = 0, rejection_id = 0;
    struct slice digest = {NULL, 0}, log_id = {NULL, 0};
    (void)member_uint(map, "event_id", &event_id);
    (void)member_uint(map, "rejection_id", &rejection_id);
    (void)member_raw(map, "digest", &digest);
    (void)member_raw(map, "log_id", &log_id);
    uint64_t hash =
        hash_content(hash_content(0, digest.data, digest.size), log_id.data, log_id.size);
    snprintf(ret_etag, ETAG_BYTES_MAX, "\"%" PRIu64 "-%" PRIu64 "-%016" PRIx64 "\"", event_id,
             rejection_id, hash);
}

/* What was asked of a view, and how it is to be shown. */
struct waiting_view {
    struct view_replies *replies;
    struct http_exchange *exchange;
    struct http_request request;
    bool is_whole; /* the reply has all rows: the page is to be cut out of it */
    bool is_fixed; /* it can never change: a moment that has passed, given by id or time */
    struct waiting_view *next;
};

/* The reply of the query protocol as HTTP. */
static void send_view(const struct waiting_view *view, struct slice frame)
{
    struct slice map = {NULL, 0};
    char etag[ETAG_BYTES_MAX];
    struct buffer text, page;
    if (!read_reply(view->exchange, frame, &map))
        return;
    make_etag(map, etag);
    buffer_init(&text, JSON_BYTES_MAX);
    buffer_init(&page, ANSWER_BYTES_MAX);
    struct http_reply reply = {.status = 200,
                               .type = JSON_TYPE,
                               .cache = view->is_fixed ? CACHE_FOREVER : CACHE_ASK,
                               .etag = etag,
                               .body = &text};
    const char *known = http_exchange_header(view->exchange, "If-None-Match");
    enum status status = STATUS_OK;
    if (known != NULL && (strstr(known, etag) != NULL || strcmp(known, "*") == 0)) {
        reply.status = 304;
    } else {
        if (view->is_whole) {
            status = view_page_cut(map, view->request.offset, view->request.limit, &page);
            map = buffer_slice(&page);
        }
        if (status == STATUS_OK)
            status = query_print_json(map, &text);
    }
    if (status == STATUS_OK)
        http_exchange_answer(view->exchange, &reply);
    else
        reply_json_error(view->exchange, 503, "no memory for the rows");
    buffer_fini(&text);
    buffer_fini(&page);
}

static void view_over(void *kept)
{
    struct waiting_view *view = kept;
    struct waiting_view **place = &view->replies->waiting;
    while (*place != NULL && *place != view)
        place = &(*place)->next;
    if (*place == view) {
        *place = view->next;
        view->replies->waiting_count--;
    }
    free(view);
}

void view_replies_queue(struct view_replies *replies, struct http_exchange *exchange,
                        const struct http_request *request)
{
    bool full = replies->waiting_count >= HTTP_VIEWS_WAITING_MAX;
    struct waiting_view *view = full ? NULL : calloc(1, sizeof *view);
    struct waiting_view **place = &replies->waiting;
    if (view == NULL) {
        reply_json_error(exchange, 503, "too many views are being asked for; try again");
        return;
    }
    *view = (struct waiting_view){.replies = replies, .exchange = exchange, .request = *request};
    while (*place != NULL)
        place = &(*place)->next;
    *place = view;
    replies->waiting_count++;
    http_exchange_keep(exchange, view_over, view);
}

static void tell(void *owner, struct slice reply)
{
    send_view(owner, reply);
}

/* Is it a moment behind us, so that nothing can be added to it? `-5m` means another one tomorrow.
 */
static bool is_past(const struct view_replies *replies, const struct moment *at)
{
    struct fold_position here = fold_position(replies->options.fold);
    if (at->kind == MOMENT_BACK)
        return false;
    return at->value < (at->kind == MOMENT_TIME ? here.time_ns : here.event_id);
}

/* As of then: the answer comes later. */
static void answer_then(struct view_replies *replies, struct waiting_view *view,
                        struct control_request *request)
{
    struct fold_position here = fold_position(replies->options.fold);
    struct moment at = moment_resolve(view->request.at.moment, here.time_ns);
    request->at = at.kind == MOMENT_ID ? AT_EVENT_ID : AT_TIME;
    request->at_event_id = at.kind == MOMENT_ID ? at.value : 0;
    request->time_ns = at.kind == MOMENT_TIME ? at.value : 0;
    if (replies->options.ask_then(replies->options.ask_owner, request, tell, view) != STATUS_OK)
        reply_json_error(view->exchange, 503, "too many questions for earlier moments; try again");
}

static void answer_view(struct view_replies *replies, struct waiting_view *view)
{
    const struct http_request *asked = &view->request;
    struct slice name = slice_of_text(asked->name);
    struct control_request request = {
        .verb = CONTROL_VIEW, .view = name, .offset = asked->offset, .limit = asked->limit};
    struct slice text; /* of a view in SQL, which an edit of its file changes */
    bool is_known = fold_view_text(replies->options.fold, name, &text);
    struct buffer reply;
    view->is_whole = !is_known || asked->at.is_given;
    if (is_known && asked->at.is_given) {
        view->is_fixed = text.size == 0 && is_past(replies, &asked->at.moment);
        answer_then(replies, view, &request);
        return;
    }
    if (!ask(replies, view->exchange, &request, &reply))
        return;
    send_view(view, buffer_slice(&reply));
    buffer_fini(&reply);
}

void view_replies_turn(struct view_replies *replies)
{
    for (int i = 0; i < HTTP_VIEWS_PER_TURN && replies->waiting != NULL; i++) {
        struct waiting_view *view = replies->waiting;
        replies->waiting = view->next;
        replies->waiting_count--;
        answer_view(replies, view); /* the exchange frees it when it is over */
    }
}

bool view_replies_wait(const struct view_replies *replies)
{
    return replies->waiting != NULL;
}

/* --- life --- */

enum status view_replies_open(const struct view_replies_options *options,
                              struct view_replies **ret_replies, struct detail *ret_detail)
{
    struct view_replies *replies = calloc(1, sizeof *replies);
    if (replies == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for views over HTTP");
    replies->options = *options;
    *ret_replies = replies;
    return STATUS_OK;
}

void view_replies_close(struct view_replies **replies)
{
    free(*replies);
    *replies = NULL;
}
