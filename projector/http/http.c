#include "projector/http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/options.h"
#include "common/base/duration.h"
#include "projector/http/assets.h"
#include "projector/http/http_request.h"
#include "projector/http/http_server.h"
#include "projector/http/metrics.h"
#include "projector/http/processor_seen.h"
#include "projector/http/reading.h"
#include "projector/http/reply_json.h"
#include "projector/http/samples.h"
#include "projector/http/upstream.h"
#include "projector/query_print.h"

enum { REPLY_BYTES_MAX = 256 * 1024 };

#define TICK_NS NS_PER_S

struct http {
    struct http_options options;
    struct http_server *server;
    struct upstream *upstream;
    struct readings *readings;
    struct view_replies *views;
    struct processor_seen processor;
    struct samples samples;
    struct delays accepted_to_seen, published_to_seen, checkpoints;
    uint64_t kept_event_id;              /* of the newest checkpoint */
    uint64_t started_at_ns, tick_due_ns; /* CLOCK_BOOTTIME */
    uint64_t requests;
    bool is_loopback;
};

/* --- small replies --- */

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
             processor_seen_is_up(&http->processor, now_ns) ? "true" : "false");
    buffer_append_text(text, members);
}

static void send_status(struct http *http, struct http_exchange *exchange, uint64_t now_ns)
{
    struct buffer text;
    buffer_init(&text, 4 * REPLY_BYTES_MAX);
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
                              .kept_event_id = http->kept_event_id,
                              .requests = http->requests,
                              .connections = http_server_connections(http->server),
                              .events_per_s = http->processor.accepted_per_s,
                              .accepted_to_seen = &http->accepted_to_seen,
                              .published_to_seen = &http->published_to_seen,
                              .checkpoints = &http->checkpoints,
                              .live = progress.live,
                              .processor_up = processor_seen_is_up(&http->processor, now_ns),
                              .processor = buffer_slice(&http->processor.status)};
    buffer_init(&text, REPLY_BYTES_MAX);
    metrics_write(&metrics, &text);
    send_text(exchange, METRICS_TYPE, CACHE_NEVER, &text);
}

/* --- events --- */

static void send_events(struct http *http, struct http_exchange *exchange,
                        const struct http_request *request, uint64_t now_ns)
{
    uint64_t last_ns = fold_position(http->options.fold).time_ns;
    struct moment from = {MOMENT_ID, 1}, to = {MOMENT_ID, UINT64_MAX};
    if (request->from.is_given)
        from = moment_resolve(request->from.moment, last_ns);
    if (request->to.is_given)
        to = moment_resolve(request->to.moment, last_ns);
    readings_page(http->readings, exchange, request, from, to, now_ns);
}

static uint64_t newest_rejection_id(const struct http *http)
{
    uint64_t id = processor_seen_last_rejection_id(&http->processor);
    uint64_t here = fold_position(http->options.fold).rejection_id;
    return id > here ? id : here;
}

/* Last-Event-ID, which a browser sends when it comes back, goes before `from`. */
static void send_live(struct http *http, struct http_exchange *exchange,
                      const struct http_request *request)
{
    const char *last = http_exchange_header(exchange, "Last-Event-ID");
    uint64_t from = follower_progress(http->options.follower).newest_event_id + 1;
    uint64_t last_id = 0;
    if (request->stream == STREAM_REJECTED)
        from = newest_rejection_id(http) + 1;
    if (last != NULL && !decimal_parse(last, UINT64_MAX - 1, &last_id)) {
        reply_json_error(exchange, 400, "Last-Event-ID: not an id");
        return;
    }
    if (request->from.is_given && request->from.moment.kind != MOMENT_ID) {
        reply_json_error(exchange, 400, "from: an id; /events finds the id of a time");
        return;
    }
    if (last != NULL)
        from = last_id + 1;
    else if (request->from.is_given)
        from = request->from.moment.value;
    readings_stream(http->readings, exchange, request->stream, from > 0 ? from : 1);
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
        view_replies_list(http->views, exchange);
        break;
    case HTTP_VIEW:
        view_replies_queue(http->views, exchange, request);
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

static void hear_status(void *owner, enum status status, struct slice reply, struct slice body)
{
    (void)body;
    struct http *http = owner;
    if (status == STATUS_OK)
        processor_seen_take(&http->processor, reply, clock_boot_ns());
}

static void take_sample(struct http *http, uint64_t now_ns)
{
    struct sample sample = {.time_ns = clock_wall_ns(),
                            .event_id = fold_position(http->options.fold).event_id,
                            .lag = lag(http),
                            .p50_ns = delays_percentile(&http->accepted_to_seen, 50),
                            .p99_ns = delays_percentile(&http->accepted_to_seen, 99),
                            .processor_up = processor_seen_is_up(&http->processor, now_ns)};
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
    view_replies_turn(http->views);
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
    http->kept_event_id = options->kept_event_id;
    processor_seen_init(&http->processor);
    struct view_replies_options views = {options->fold, options->ask, options->ask_then,
                                         options->ask_owner};
    struct http_server_options server = {
        .address = options->address, .handle = handle, .owner = http};
    enum status status = upstream_open(options->endpoints->control, &http->upstream, ret_detail);
    if (status == STATUS_OK)
        status = readings_open(http->upstream, &options->log_id, &http->readings, ret_detail);
    if (status == STATUS_OK)
        status = view_replies_open(&views, &http->views, ret_detail);
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
    view_replies_close(&old->views);
    upstream_close(&old->upstream);
    follower_watch(old->options.follower, NULL, NULL);
    processor_seen_fini(&old->processor);
    free(old);
    *http = NULL;
}

const char *http_address(const struct http *http)
{
    return http_server_address(http->server);
}

void http_note_checkpoint(struct http *http, uint64_t event_id, uint64_t took_ns)
{
    http->kept_event_id = event_id;
    delays_record(&http->checkpoints, took_ns, 1);
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
    if (view_replies_wait(http->views))
        return 0;
    if (reading_ns < due_ns)
        due_ns = reading_ns;
    return server_ns < due_ns ? server_ns : due_ns;
}
