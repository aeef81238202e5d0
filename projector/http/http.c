#include "projector/http/http.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/options.h"
#include "common/event/json.h"
#include "projector/core/answer.h"
#include "projector/http/assets.h"
#include "projector/http/http_request.h"
#include "projector/http/http_server.h"
#include "projector/http/metrics.h"
#include "projector/http/reading.h"
#include "projector/http/reply_json.h"
#include "projector/http/samples.h"
#include "projector/http/upstream.h"
#include "projector/http/view_page.h"
#include "projector/query_print.h"

enum {
    JSON_BYTES_MAX = 2 * ANSWER_BYTES_MAX,
    STATUS_BYTES_MAX = 256 * 1024,
    ETAG_BYTES_MAX = 128,
    REQUEST_BYTES_MAX = 1024, /* of a request to the views */
};

#define TICK_NS         NS_PER_S
#define PROCESSOR_UP_NS (3 * NS_PER_S) /* without an answer so long it counts as away */

/* What the processor said last. */
struct processor {
    struct buffer status;  /* the map's MessagePack; empty: nothing yet */
    uint64_t at_ns;        /* CLOCK_BOOTTIME of the reply */
    uint64_t asked_at_ns;  /* CLOCK_BOOTTIME */
    int64_t log_offset_ns; /* log time − CLOCK_BOOTTIME here */
    uint64_t accepted, refused[REASON_COUNT];
    uint64_t counted_at_ns; /* when it counted those, in its CLOCK_BOOTTIME; 0: not yet */
    double accepted_per_s, refused_per_s[REASON_COUNT];
};

struct waiting_view;

struct http {
    struct http_options options;
    struct http_server *server;
    struct upstream *upstream;
    struct readings *readings;
    struct processor processor;
    struct samples samples;
    struct delays accepted_to_seen, published_to_seen;
    struct waiting_view *waiting; /* oldest first */
    uint32_t waiting_count;
    uint64_t started_at_ns, tick_due_ns; /* CLOCK_BOOTTIME */
    uint64_t requests;
    bool is_loopback;
};

/* --- small replies --- */

static bool is_up(const struct http *http, uint64_t now_ns)
{
    return http->processor.status.size > 0 && now_ns < http->processor.at_ns + PROCESSOR_UP_NS;
}

static uint64_t lag(const struct http *http)
{
    uint64_t newest = follower_progress(http->options.follower).newest_event_id;
    uint64_t here = fold_position(http->options.fold).event_id;
    return newest > here ? newest - here : 0;
}

static void send_text(struct http_exchange *exchange, const char *type, const char *cache,
                      struct buffer *text)
{
    struct http_reply reply = {.status = 200, .type = type, .cache = cache, .body = text};
    if (text->status == STATUS_OK) {
        http_exchange_answer(exchange, &reply);
        return;
    }
    buffer_fini(text);
    reply_json_error(exchange, 503, "no memory for the answer");
}

static void send_asset(struct http_exchange *exchange, const char *path)
{
    for (size_t i = 0; i < asset_count; i++) {
        if (strcmp(assets[i].path, path) != 0)
            continue;
        struct http_reply reply = {.status = 200,
                                   .type = assets[i].type,
                                   .cache = CACHE_ASK,
                                   .static_body = {assets[i].bytes, assets[i].size}};
        http_exchange_answer(exchange, &reply);
        return;
    }
    reply_json_error(exchange, 404, "no such file");
}

static void send_words(struct http_exchange *exchange, unsigned status, const char *words)
{
    struct http_reply reply = {.status = status,
                               .type = "text/plain",
                               .cache = CACHE_NEVER,
                               .static_body = slice_of_text(words)};
    http_exchange_answer(exchange, &reply);
}

/* The one item of a good reply, or the error as HTTP: then false. */
static bool read_reply(struct http_exchange *exchange, struct slice frame, struct slice *ret_map)
{
    struct mp_reader reader = {NULL, NULL};
    uint32_t items = 0;
    struct detail detail = {.text = ""};
    enum status status = control_reply_read(frame, &reader, &items, &detail);
    if (status == STATUS_OK && (items != 1 || mp_read_raw(&reader, ret_map) != STATUS_OK))
        status = detail_set(&detail, STATUS_DAMAGED, "a reply that this version cannot read");
    if (status != STATUS_OK)
        reply_json_failure(exchange, status, &detail);
    return status == STATUS_OK;
}

/* The request's reply, which the caller ends; false: no memory, it was said. */
static bool ask(struct http *http, struct http_exchange *exchange,
                const struct control_request *request, struct buffer *reply)
{
    struct buffer frame;
    buffer_init(&frame, REQUEST_BYTES_MAX);
    buffer_init(reply, ANSWER_BYTES_MAX);
    control_request_write(&frame, request);
    http->options.ask(http->options.ask_owner, buffer_slice(&frame), reply);
    buffer_fini(&frame);
    if (reply->status == STATUS_OK)
        return true;
    reply_json_error(exchange, 503, "no memory for the rows");
    buffer_fini(reply);
    return false;
}

static void send_views(struct http *http, struct http_exchange *exchange)
{
    static const struct control_request request = {.verb = CONTROL_VIEWS};
    struct buffer text, reply;
    struct slice map = {NULL, 0};
    if (!ask(http, exchange, &request, &reply))
        return;
    buffer_init(&text, STATUS_BYTES_MAX);
    if (read_reply(exchange, buffer_slice(&reply), &map)) {
        if (query_print_json(map, &text) != STATUS_OK)
            text.status = STATUS_NO_MEMORY;
        send_text(exchange, JSON_TYPE, CACHE_NEVER, &text);
    }
    buffer_fini(&text);
    buffer_fini(&reply);
}

static void append_projector(const struct http *http, uint64_t now_ns, struct buffer *text)
{
    char members[1024];
    struct fold_position position = fold_position(http->options.fold);
    struct follower_progress progress = follower_progress(http->options.follower);
    struct sample last = samples_last(&http->samples);
    snprintf(members, sizeof members,
             "{\"projector\":{\"name\":\"%s\",\"version\":\"" WEIR_VERSION
             "\",\"event_id\":\"%" PRIu64 "\",\"rejection_id\":\"%" PRIu64 "\",\"time\":\"%" PRIu64
             "\",\"newest_event_id\":\"%" PRIu64 "\",\"lag\":%" PRIu64
             ",\"live\":%s,\"replays\":%" PRIu64 ",\"uptime_s\":%" PRIu64 ",\"streams\":%" PRIu32
             ",\"last_sample\":%" PRIu64 "},\"processor_up\":%s,\"processor\":",
             http->options.name, position.event_id, position.rejection_id, position.time_ns,
             progress.newest_event_id, lag(http), progress.live ? "true" : "false",
             progress.replays, (uint64_t)((now_ns - http->started_at_ns) / NS_PER_S),
             readings_stream_count(http->readings), last.number,
             is_up(http, now_ns) ? "true" : "false");
    buffer_append_text(text, members);
}

static void send_status(struct http *http, struct http_exchange *exchange, uint64_t now_ns)
{
    struct buffer text;
    buffer_init(&text, 4 * STATUS_BYTES_MAX);
    append_projector(http, now_ns, &text);
    if (http->processor.status.size == 0)
        buffer_append_text(&text, "null");
    else
        (void)!query_print_json(buffer_slice(&http->processor.status), &text);
    buffer_append_text(&text, "}\n");
    send_text(exchange, JSON_TYPE, CACHE_NEVER, &text);
}

static void send_samples(struct http *http, struct http_exchange *exchange, uint64_t after)
{
    struct buffer text;
    buffer_init(&text, SAMPLES_MAX * 1024);
    samples_write(&http->samples, after, &text);
    send_text(exchange, JSON_TYPE, CACHE_NEVER, &text);
}

static void send_metrics(struct http *http, struct http_exchange *exchange, uint64_t now_ns)
{
    struct buffer text;
    struct follower_progress progress = follower_progress(http->options.follower);
    struct metrics metrics = {.fold = http->options.fold,
                              .newest_event_id = progress.newest_event_id,
                              .replays = progress.replays,
                              .requests = http->requests,
                              .connections = http_server_connections(http->server),
                              .events_per_s = http->processor.accepted_per_s,
                              .accepted_to_seen = &http->accepted_to_seen,
                              .published_to_seen = &http->published_to_seen,
                              .live = progress.live,
                              .processor_up = is_up(http, now_ns),
                              .processor = buffer_slice(&http->processor.status)};
    buffer_init(&text, STATUS_BYTES_MAX);
    metrics_write(&metrics, &text);
    send_text(exchange, METRICS_TYPE, CACHE_NEVER, &text);
}

/* --- places in the log --- */

/* Units of a place that counts back from the last time. */
static uint64_t unit_ns(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},
                 {"us", NS_PER_US},
                 {"ms", NS_PER_MS},
                 {"s", NS_PER_S},
                 {"m", 60 * NS_PER_S},
                 {"h", 3600 * NS_PER_S},
                 {"d", 86400 * NS_PER_S}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ns;
    return 0;
}

enum { PLACE_DIGITS_MAX = 19 };

/* "#123" or "123", RFC 3339, "-5m". False: none of them. */
static bool parse_place(const char *text, uint64_t last_time_ns, struct reading_place *ret_place,
                        bool *ret_relative)
{
    const char *digits = text[0] == '#' || text[0] == '-' ? text + 1 : text;
    size_t count = strspn(digits, "0123456789");
    *ret_relative = text[0] == '-';
    if (count == 0 || count > PLACE_DIGITS_MAX)
        return false;
    uint64_t number = strtoull(digits, NULL, 10);
    if (*ret_relative) {
        uint64_t unit = unit_ns(digits + count);
        bool before = unit > 0 && number <= last_time_ns / unit;
        *ret_place = (struct reading_place){true, before ? last_time_ns - number * unit : 0};
        return unit > 0;
    }
    *ret_place = (struct reading_place){false, number};
    if (digits[count] == '\0')
        return true;
    ret_place->is_time = true;
    return text[0] != '#' && clock_parse(text, &ret_place->value);
}

static bool place_of(const struct http *http, struct http_exchange *exchange, const char *name,
                     const char *text, struct reading_place *place, bool *ret_relative)
{
    char why[2 * HTTP_VALUE_BYTES_MAX];
    if (text[0] == '\0' ||
        parse_place(text, fold_position(http->options.fold).time_ns, place, ret_relative))
        return true;
    snprintf(why, sizeof why,
             "%s: '%s' is no id (1234), no time (2026-01-02T03:04:05Z) and no time ago (-5m)", name,
             text);
    reply_json_error(exchange, 400, why);
    return false;
}

static void send_events(struct http *http, struct http_exchange *exchange,
                        const struct http_request *request, uint64_t now_ns)
{
    struct reading_place from = {false, 1}, to = {false, UINT64_MAX};
    bool relative;
    if (place_of(http, exchange, "from", request->from, &from, &relative) &&
        place_of(http, exchange, "to", request->to, &to, &relative))
        readings_page(http->readings, exchange, request, from, to, now_ns);
}

static uint64_t newest_rejection_id(const struct http *http)
{
    struct mp_reader reader;
    uint64_t id = 0, here = fold_position(http->options.fold).rejection_id;
    if (event_field(buffer_slice(&http->processor.status), slice_of_text("last_rejection_id"),
                    &reader) != STATUS_OK ||
        mp_read_uint(&reader, &id) != STATUS_OK || id < here)
        return here;
    return id;
}

/* Last-Event-ID, which a browser sends when it comes back, goes before `from`. */
static void send_live(struct http *http, struct http_exchange *exchange,
                      const struct http_request *request)
{
    const char *last = http_exchange_header(exchange, "Last-Event-ID");
    struct reading_place from = {false, 0};
    bool relative = false;
    char *end = NULL;
    uint64_t last_id = 0;
    if (last != NULL && isdigit((unsigned char)last[0]) && strlen(last) <= PLACE_DIGITS_MAX)
        last_id = strtoull(last, &end, 10);
    if (last != NULL && (end == NULL || *end != '\0')) {
        reply_json_error(exchange, 400, "Last-Event-ID: not an id");
        return;
    }
    if (!place_of(http, exchange, "from", request->from, &from, &relative))
        return;
    if (from.is_time) {
        reply_json_error(exchange, 400, "from: an id; /events finds the id of a time");
        return;
    }
    uint64_t newest = follower_progress(http->options.follower).newest_event_id;
    if (request->stream == STREAM_REJECTED)
        newest = newest_rejection_id(http);
    if (last != NULL)
        from.value = last_id + 1;
    else if (request->from[0] == '\0')
        from.value = newest + 1;
    readings_stream(http->readings, exchange, request->stream, from.value > 0 ? from.value : 1);
}

/* --- views --- */

static bool member_slice(struct slice map, const char *name, struct slice *ret_raw)
{
    struct mp_reader reader;
    return event_field(map, slice_of_text(name), &reader) == STATUS_OK &&
           mp_read_raw(&reader, ret_raw) == STATUS_OK;
}

static bool member_uint(struct slice map, const char *name, uint64_t *ret_value)
{
    struct mp_reader reader;
    return event_field(map, slice_of_text(name), &reader) == STATUS_OK &&
           mp_read_uint(&reader, ret_value) == STATUS_OK;
}

/* Equal tags of one target, equal bodies: the position and the digest of the rows. */
static void make_etag(struct slice map, char ret_etag[ETAG_BYTES_MAX])
{
    uint64_t event_id = 0, rejection_id = 0;
    struct slice digest = {NULL, 0}, log_id = {NULL, 0};
    (void)member_uint(map, "event_id", &event_id);
    (void)member_uint(map, "rejection_id", &rejection_id);
    (void)member_slice(map, "digest", &digest);
    (void)member_slice(map, "log_id", &log_id);
    uint64_t hash =
        hash_content(hash_content(0, digest.data, digest.size), log_id.data, log_id.size);
    snprintf(ret_etag, ETAG_BYTES_MAX, "\"%" PRIu64 "-%" PRIu64 "-%016" PRIx64 "\"", event_id,
             rejection_id, hash);
}

/* What was asked of a view, and how it is to be shown. */
struct waiting_view {
    struct http *http;
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
    struct waiting_view **place = &view->http->waiting;
    while (*place != NULL && *place != view)
        place = &(*place)->next;
    if (*place == view) {
        *place = view->next;
        view->http->waiting_count--;
    }
    free(view);
}

/* Views may have many rows: they wait for their turn. */
static void queue_view(struct http *http, struct http_exchange *exchange,
                       const struct http_request *request)
{
    bool full = http->waiting_count >= HTTP_VIEWS_WAITING_MAX;
    struct waiting_view *view = full ? NULL : calloc(1, sizeof *view);
    struct waiting_view **place = &http->waiting;
    if (view == NULL) {
        reply_json_error(exchange, 503, "too many views are being asked for; try again");
        return;
    }
    *view = (struct waiting_view){.http = http, .exchange = exchange, .request = *request};
    while (*place != NULL)
        place = &(*place)->next;
    *place = view;
    http->waiting_count++;
    http_exchange_keep(exchange, view_over, view);
}

static void tell(void *owner, struct slice reply)
{
    send_view(owner, reply);
}

/* Is it a moment behind us, so that nothing can be added to it? `-5m` means another one tomorrow.
 */
static bool is_past(const struct http *http, struct reading_place at, bool relative)
{
    struct fold_position here = fold_position(http->options.fold);
    return !relative && at.value < (at.is_time ? here.time_ns : here.event_id);
}

static void answer_view(struct http *http, struct waiting_view *view)
{
    const struct http_request *asked = &view->request;
    struct slice name = slice_of_text(asked->name);
    struct control_request request = {
        .verb = CONTROL_VIEW, .view = name, .offset = asked->offset, .limit = asked->limit};
    struct slice text; /* of a view in SQL, which an edit of its file changes */
    bool is_known = fold_view_text(http->options.fold, name, &text);
    struct reading_place at = {false, 0};
    bool relative = false;
    struct buffer reply;
    if (!place_of(http, view->exchange, "at", asked->at, &at, &relative))
        return;
    if (asked->at[0] != '\0')
        request.at = at.is_time ? AT_TIME : AT_EVENT_ID;
    request.at_event_id = at.is_time ? 0 : at.value;
    request.time_ns = at.is_time ? at.value : 0;
    view->is_whole = !is_known || request.at != AT_NOW;
    view->is_fixed = request.at != AT_NOW && text.size == 0 && is_past(http, at, relative);
    if (is_known && request.at != AT_NOW) {
        if (http->options.ask_then(http->options.ask_owner, &request, tell, view) != STATUS_OK)
            reply_json_error(view->exchange, 503,
                             "too many questions for earlier moments; try again");
        return;
    }
    if (!ask(http, view->exchange, &request, &reply))
        return;
    send_view(view, buffer_slice(&reply));
    buffer_fini(&reply);
}

static void turn_views(struct http *http)
{
    for (int i = 0; i < HTTP_VIEWS_PER_TURN && http->waiting != NULL; i++) {
        struct waiting_view *view = http->waiting;
        http->waiting = view->next;
        http->waiting_count--;
        answer_view(http, view); /* the exchange frees it when it is over */
    }
}

/* --- requests --- */

/* A page of another site must not read a loopback address under a name of its own (DNS rebinding):
 * there the Host is a numeric address or localhost. */
static bool host_is_ours(const struct http *http, const char *host)
{
    if (!http->is_loopback || host == NULL)
        return true;
    size_t name_bytes = strcspn(host, ":");
    bool numeric = host[0] == '[' || strspn(host, "0123456789.") == name_bytes;
    return numeric || (name_bytes == 9 && strncasecmp(host, "localhost", 9) == 0);
}

static void dispatch(struct http *http, struct http_exchange *exchange,
                     const struct http_request *request)
{
    uint64_t now_ns = clock_boot_ns();
    switch (request->route) {
    case HTTP_ASSET:
        send_asset(exchange, request->name);
        break;
    case HTTP_VIEWS:
        send_views(http, exchange);
        break;
    case HTTP_VIEW:
        queue_view(http, exchange, request);
        break;
    case HTTP_EVENTS:
        send_events(http, exchange, request, now_ns);
        break;
    case HTTP_LIVE:
        send_live(http, exchange, request);
        break;
    case HTTP_STATUS:
        send_status(http, exchange, now_ns);
        break;
    case HTTP_SAMPLES:
        send_samples(http, exchange, request->after);
        break;
    case HTTP_METRICS:
        send_metrics(http, exchange, now_ns);
        break;
    case HTTP_HEALTHZ:
        send_words(exchange, 200, "ok\n");
        break;
    case HTTP_READYZ:
        if (follower_progress(http->options.follower).live)
            send_words(exchange, 200, "ready\n");
        else
            send_words(exchange, 503, "catching up\n");
        break;
    }
}

static void handle(void *owner, struct http_exchange *exchange)
{
    struct http *http = owner;
    struct http_request request;
    struct detail detail = {.text = ""};
    http->requests++;
    if (!host_is_ours(http, http_exchange_header(exchange, "Host"))) {
        reply_json_error(exchange, 421, "on a loopback address the Host is numeric or localhost");
        return;
    }
    unsigned status = http_request_read(http_exchange_target(exchange), &request, &detail);
    if (status == 200)
        dispatch(http, exchange, &request);
    else
        reply_json_error(exchange, status, detail.text);
}

/* --- once a second --- */

static void see(void *owner, const struct follower_seen *seen)
{
    struct http *http = owner;
    if (http->processor.status.size == 0 || seen->stream != STREAM_ACCEPTED)
        return;
    uint64_t now_ns = clock_boot_ns() + (uint64_t)http->processor.log_offset_ns;
    uint64_t decided = seen->decided_at_ns, published = seen->published_at_ns;
    delays_record(&http->accepted_to_seen, now_ns > decided ? now_ns - decided : 0, seen->count);
    delays_record(&http->published_to_seen, now_ns > published ? now_ns - published : 0,
                  seen->count);
}

static double rate(uint64_t before, uint64_t after, double seconds)
{
    return after > before && seconds > 0 ? (double)(after - before) / seconds : 0;
}

static void count_rates(struct processor *processor, struct slice map, uint64_t counted_at_ns)
{
    struct slice refused = {NULL, 0};
    uint64_t accepted = 0, number;
    (void)member_uint(map, "accepted", &accepted);
    (void)member_slice(map, "refused", &refused);
    bool again = processor->counted_at_ns > 0 && counted_at_ns > processor->counted_at_ns &&
                 accepted >= processor->accepted; /* else it is a new processor */
    double seconds =
        again ? (double)(counted_at_ns - processor->counted_at_ns) / (double)NS_PER_S : 0;
    processor->accepted_per_s = rate(processor->accepted, accepted, seconds);
    for (int i = 0; i < REASON_COUNT; i++) {
        number = 0;
        (void)member_uint(refused, reason_text((enum reason)i), &number);
        processor->refused_per_s[i] = rate(processor->refused[i], number, seconds);
        processor->refused[i] = number;
    }
    processor->accepted = accepted;
    processor->counted_at_ns = counted_at_ns;
}

/* CLOCK_BOOTTIME is one clock on one host: then the processor's reading lies between asking and
 * hearing. From another host the middle of the two stands for it. */
static int64_t log_offset(const struct processor *processor, uint64_t log_ns, uint64_t boot_ns,
                          uint64_t heard_at_ns)
{
    bool same_host = boot_ns >= processor->asked_at_ns && boot_ns <= heard_at_ns;
    uint64_t here_ns =
        same_host ? boot_ns : processor->asked_at_ns + (heard_at_ns - processor->asked_at_ns) / 2;
    return (int64_t)(log_ns - here_ns);
}

static void hear_status(void *owner, enum status status, struct slice reply, struct slice body)
{
    (void)body;
    struct http *http = owner;
    struct processor *processor = &http->processor;
    struct mp_reader reader;
    uint32_t items;
    struct slice map;
    struct detail detail;
    uint64_t log_ns, boot_ns, now_ns = clock_boot_ns();
    if (status != STATUS_OK || control_reply_read(reply, &reader, &items, &detail) != STATUS_OK ||
        items != 1 || mp_read_raw(&reader, &map) != STATUS_OK ||
        !member_uint(map, "now", &log_ns) || !member_uint(map, "boottime", &boot_ns))
        return;
    processor->log_offset_ns = log_offset(processor, log_ns, boot_ns, now_ns);
    count_rates(processor, map, boot_ns);
    buffer_clear(&processor->status);
    buffer_append(&processor->status, map.data, map.size);
    if (processor->status.status != STATUS_OK)
        buffer_clear(&processor->status);
    processor->at_ns = now_ns;
}

static void take_sample(struct http *http, uint64_t now_ns)
{
    struct sample sample = {.time_ns = clock_wall_ns(),
                            .event_id = fold_position(http->options.fold).event_id,
                            .lag = lag(http),
                            .p50_ns = delays_percentile(&http->accepted_to_seen, 50),
                            .p99_ns = delays_percentile(&http->accepted_to_seen, 99),
                            .processor_up = is_up(http, now_ns)};
    if (sample.processor_up) {
        sample.accepted_per_s = http->processor.accepted_per_s;
        memcpy(sample.refused_per_s, http->processor.refused_per_s, sizeof sample.refused_per_s);
    }
    delays_next_second(&http->accepted_to_seen);
    delays_next_second(&http->published_to_seen);
    samples_add(&http->samples, sample);
}

static void tick(struct http *http, uint64_t now_ns)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    http->tick_due_ns = now_ns + TICK_NS;
    take_sample(http, now_ns);
    upstream_forget(http->upstream, http);
    http->processor.asked_at_ns = now_ns;
    /* What cannot be asked now is asked in a second. */
    (void)!upstream_ask(http->upstream, &request, now_ns, hear_status, http);
}

void http_turn(struct http *http, uint64_t now_ns)
{
    struct fold_position here = fold_position(http->options.fold);
    struct follower_progress progress = follower_progress(http->options.follower);
    struct reading_position position = {.newest_event_id = progress.newest_event_id,
                                        .newest_rejection_id = newest_rejection_id(http),
                                        .event_id = here.event_id,
                                        .rejection_id = here.rejection_id,
                                        .time_ns = here.time_ns,
                                        .live = progress.live};
    upstream_turn(http->upstream, now_ns);
    if (now_ns >= http->tick_due_ns)
        tick(http, now_ns);
    readings_turn(http->readings, &position, now_ns);
    http_server_turn(http->server);
    turn_views(http);
}

/* --- life --- */

enum status http_open(const struct http_options *options, struct http **ret_http,
                      struct detail *ret_detail)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for HTTP");
    http->options = *options;
    http->started_at_ns = clock_boot_ns();
    buffer_init(&http->processor.status, STATUS_BYTES_MAX);
    struct http_server_options server = {
        .address = options->address, .handle = handle, .owner = http};
    enum status status = upstream_open(options->endpoints->control, &http->upstream, ret_detail);
    if (status == STATUS_OK)
        status = readings_open(http->upstream, &options->log_id, &http->readings, ret_detail);
    if (status == STATUS_OK)
        status = http_server_open(&server, &http->server, ret_detail);
    if (status != STATUS_OK) {
        http_close(&http);
        return status;
    }
    http->is_loopback =
        strncmp(http_address(http), "127.", 4) == 0 || strncmp(http_address(http), "[::1]", 5) == 0;
    follower_watch(options->follower, see, http);
    *ret_http = http;
    return STATUS_OK;
}

void http_close(struct http **http)
{
    struct http *old = *http;
    if (old == NULL)
        return;
    http_server_close(&old->server);
    if (old->readings != NULL)
        readings_close(&old->readings);
    upstream_close(&old->upstream);
    follower_watch(old->options.follower, NULL, NULL);
    buffer_fini(&old->processor.status);
    free(old);
    *http = NULL;
}

const char *http_address(const struct http *http)
{
    return http_server_address(http->server);
}

void http_wait_on(struct http *http, struct socket_wait ret_items[HTTP_SOCKETS])
{
    ret_items[0] = (struct socket_wait){.fd = http_server_fd(http->server)};
    ret_items[1] = (struct socket_wait){.socket = upstream_socket(http->upstream)};
}

uint64_t http_due_ns(struct http *http)
{
    int wait_ms = http_server_wait_ms(http->server);
    uint64_t due_ns = http->tick_due_ns;
    uint64_t reading_ns = readings_due_ns(http->readings);
    uint64_t server_ns = UINT64_MAX;
    if (wait_ms >= 0)
        server_ns = clock_boot_ns() + (unsigned)wait_ms * NS_PER_MS;
    if (http->waiting != NULL)
        return 0;
    if (reading_ns < due_ns)
        due_ns = reading_ns;
    return server_ns < due_ns ? server_ns : due_ns;
}
