#include "projector/http/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector/http/event_page.h"
#include "projector/http/reply_json.h"

enum {
    PAGE_RECORDS_MAX = 10000, /* asked for in one replay */
    STREAM_RECORDS_MAX = 500, /* likewise, for a stream */
    HEAD_BYTES_MAX = 256,
    LOG_ID_HEX_BYTES = 2 * LOG_ID_BYTES + 1,
};

enum stage { STAGE_SEEK_FROM, STAGE_SEEK_TO, STAGE_READ };

/* One reader: a page in the making, or a stream. */
struct reading {
    struct readings *readings;
    struct http_exchange *exchange;
    struct reading *next, **place;
    struct http_request request; /* the filter's texts */
    struct event_page page;
    struct buffer text; /* JSON that was not handed on yet */
    /* a page's */
    struct moment from, to;
    enum stage stage;
    uint32_t rounds;
    /* a stream's */
    bool is_stream, asked;
    size_t taken;             /* bytes of `text` */
    uint64_t asked_at_ns;     /* CLOCK_BOOTTIME */
    uint64_t position_due_ns; /* CLOCK_BOOTTIME */
};

struct readings {
    struct upstream *upstream;
    struct reading *list;
    uint32_t page_count, stream_count;
    char log_id[LOG_ID_HEX_BYTES];
};

enum status readings_open(struct upstream *upstream, const struct log_id *log_id,
                          struct readings **ret_readings, struct detail *ret_detail)
{
    struct readings *readings = calloc(1, sizeof *readings);
    if (readings == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for readers");
    readings->upstream = upstream;
    for (int i = 0; i < LOG_ID_BYTES; i++)
        snprintf(readings->log_id + 2 * i, 3, "%02x", log_id->bytes[i]);
    *ret_readings = readings;
    return STATUS_OK;
}

void readings_close(struct readings **readings)
{
    free(*readings);
    *readings = NULL;
}

uint32_t readings_stream_count(const struct readings *readings)
{
    return readings->stream_count;
}

/* --- a reader's life --- */

static void over(void *kept)
{
    struct reading *reading = kept;
    upstream_forget(reading->readings->upstream, reading);
    *reading->place = reading->next;
    if (reading->next != NULL)
        reading->next->place = reading->place;
    if (reading->is_stream)
        reading->readings->stream_count--;
    else
        reading->readings->page_count--;
    buffer_fini(&reading->text);
    free(reading);
}

/* NULL: too many, or no memory; it was answered. */
static struct reading *start(struct readings *readings, struct http_exchange *exchange,
                             bool is_stream)
{
    uint32_t count = is_stream ? readings->stream_count : readings->page_count;
    bool full = count >= (is_stream ? READING_STREAMS_MAX : READING_PAGES_MAX);
    struct reading *reading = full ? NULL : calloc(1, sizeof *reading);
    if (reading == NULL) {
        reply_json_error(exchange, 503,
                         is_stream ? "too many streams; at most 32 at once"
                                   : "too many readers of events; try again");
        return NULL;
    }
    reading->readings = readings;
    reading->exchange = exchange;
    reading->is_stream = is_stream;
    buffer_init(&reading->text, EVENT_PAGE_BYTES_MAX);
    reading->next = readings->list;
    reading->place = &readings->list;
    if (reading->next != NULL)
        reading->next->place = &reading->next;
    readings->list = reading;
    *(is_stream ? &readings->stream_count : &readings->page_count) += 1;
    return reading;
}

/* --- pages --- */

static void page_reply(void *owner, enum status status, struct slice reply, struct slice body);

static enum status ask(struct reading *reading, const struct control_request *request,
                       uint64_t now_ns, upstream_done_fn *done)
{
    return upstream_ask(reading->readings->upstream, request, now_ns, done, reading);
}

static enum status ask_page(struct reading *reading, uint64_t now_ns)
{
    struct control_request request = {.stream = reading->page.stream};
    if (reading->stage == STAGE_READ) {
        request.verb = CONTROL_REPLAY;
        request.from = reading->page.next_id;
        request.max = PAGE_RECORDS_MAX;
        if (reading->page.filter.end_id - reading->page.next_id < PAGE_RECORDS_MAX)
            request.max = reading->page.filter.end_id - reading->page.next_id;
    } else {
        request.verb = CONTROL_SEEK;
        request.time_ns =
            reading->stage == STAGE_SEEK_FROM ? reading->from.value : reading->to.value + 1;
    }
    return ask(reading, &request, now_ns, page_reply);
}

static void finish_page(struct reading *reading, bool more)
{
    char tail[HEAD_BYTES_MAX];
    struct buffer text = reading->text;
    buffer_init(&reading->text, EVENT_PAGE_BYTES_MAX);
    buffer_append_text(&text, text.data[text.size - 1] == '[' ? "]" : "\n]");
    snprintf(tail, sizeof tail, ",\"next\":\"%" PRIu64 "\"", reading->page.next_id);
    if (more)
        buffer_append_text(&text, tail);
    buffer_append_text(&text, "}\n");
    if (text.status != STATUS_OK) {
        buffer_fini(&text);
        reply_json_error(reading->exchange, 503, "no memory for the events");
        return;
    }
    struct http_reply reply = {
        .status = 200, .type = JSON_TYPE, .cache = CACHE_NEVER, .body = &text};
    http_exchange_answer(reading->exchange, &reply);
}

/* On to the next stage that there is something to do in. */
static void go_on(struct reading *reading, uint64_t now_ns)
{
    if (reading->stage == STAGE_SEEK_FROM && reading->from.kind == MOMENT_ID) {
        reading->page.next_id = reading->from.value > 0 ? reading->from.value : 1;
        reading->stage = STAGE_SEEK_TO;
    }
    if (reading->stage == STAGE_SEEK_TO && reading->to.kind == MOMENT_ID) {
        uint64_t last = reading->to.value;
        reading->page.filter.end_id = last < UINT64_MAX ? last + 1 : UINT64_MAX;
        reading->stage = STAGE_READ;
    }
    if (reading->stage == STAGE_READ && reading->page.next_id >= reading->page.filter.end_id)
        finish_page(reading, false);
    else if (ask_page(reading, now_ns) != STATUS_OK)
        reply_json_error(reading->exchange, 503, "the processor cannot be asked now");
}

static enum status take_seek(struct reading *reading, struct slice frame, struct detail *detail)
{
    uint64_t id = 0;
    enum status status = control_reply_uint_read(frame, &id, detail);
    if (status != STATUS_OK)
        return status;
    if (reading->stage == STAGE_SEEK_FROM)
        reading->page.next_id = id > 0 ? id : 1;
    else
        reading->page.filter.end_id = id;
    reading->stage = reading->stage == STAGE_SEEK_FROM ? STAGE_SEEK_TO : STAGE_READ;
    return STATUS_OK;
}

/* `ret_end`: the log has nothing behind this piece. */
static enum status take_records(struct reading *reading, const struct event_frame *frame,
                                struct slice reply, struct slice body, bool *ret_end,
                                struct detail *detail)
{
    struct replay_reply head;
    enum status status = replay_reply_read(reply, &head, detail);
    if (status == STATUS_OK && head.count > 0 && head.first_id != reading->page.next_id)
        status = detail_set(detail, STATUS_DAMAGED, "a reply to another question");
    if (status != STATUS_OK)
        return status;
    status = event_page_add(&reading->page, frame, body, head.count, &reading->text);
    if (status != STATUS_OK)
        return detail_set(detail, status == STATUS_FULL ? STATUS_NO_MEMORY : status,
                          "events that cannot be shown: %s", status_text(status));
    *ret_end = reading->page.next_id > head.last_id;
    return STATUS_OK;
}

static void page_reply(void *owner, enum status status, struct slice reply, struct slice body)
{
    static const struct event_frame frame = {.between = ",\n"};
    struct reading *reading = owner;
    struct detail detail = {.text = "the processor does not answer"};
    bool end = false;
    if (status == STATUS_OK && reading->stage != STAGE_READ) {
        status = take_seek(reading, reply, &detail);
    } else if (status == STATUS_OK) {
        status = take_records(reading, &frame, reply, body, &end, &detail);
        reading->rounds++;
    }
    bool past = reading->page.next_id >= reading->page.filter.end_id;
    if (status != STATUS_OK)
        reply_json_failure(reading->exchange, status, &detail);
    else if (end || reading->page.full || reading->rounds >= READING_ROUNDS_MAX)
        finish_page(reading, !end && !past);
    else
        go_on(reading, clock_boot_ns());
}

void readings_page(struct readings *readings, struct http_exchange *exchange,
                   const struct http_request *request, struct moment from, struct moment to,
                   uint64_t now_ns)
{
    char head[HEAD_BYTES_MAX];
    struct reading *reading = start(readings, exchange, false);
    if (reading == NULL)
        return;
    http_exchange_keep(exchange, over, reading);
    reading->request = *request;
    reading->from = from;
    reading->to = to;
    reading->page = (struct event_page){.stream = request->stream,
                                        .filter = {.type = reading->request.type,
                                                   .subject = reading->request.subject,
                                                   .source = reading->request.source,
                                                   .end_id = UINT64_MAX},
                                        .limit = request->limit,
                                        .next_id = 1};
    snprintf(head, sizeof head, "{\"log_id\":\"%s\",\"stream\":\"%s\",\"events\":[",
             readings->log_id, stream_text(request->stream));
    buffer_append_text(&reading->text, head);
    go_on(reading, now_ns);
}

/* --- streams --- */

static size_t pull(void *kept, char *ret_bytes, size_t max)
{
    struct reading *reading = kept;
    size_t left = reading->text.size - reading->taken;
    size_t size = left < max ? left : max;
    if (size > 0)
        memcpy(ret_bytes, reading->text.data + reading->taken, size);
    reading->taken += size;
    if (reading->taken == reading->text.size && reading->taken > 0) {
        buffer_fini(&reading->text); /* idle streams hold nothing */
        buffer_init(&reading->text, EVENT_PAGE_BYTES_MAX);
        reading->taken = 0;
    }
    return size;
}

/* What goes wrong is asked again in time. */
static void stream_reply(void *owner, enum status status, struct slice reply, struct slice body)
{
    static const struct event_frame frame = {.between = "", .sse = true};
    struct reading *reading = owner;
    struct detail detail = {.text = ""};
    char line[DETAIL_BYTES_MAX + HEAD_BYTES_MAX];
    bool end;
    reading->asked = false;
    if (status != STATUS_OK)
        return;
    status = take_records(reading, &frame, reply, body, &end, &detail);
    if (status == STATUS_GONE) {
        snprintf(line, sizeof line, "event: gone\ndata: {\"from\":\"%" PRIu64 "\"}\n\n",
                 reading->page.next_id);
        buffer_append_text(&reading->text, line);
        reading->page.next_id =
            UINT64_MAX; /* nothing more comes: the client must begin elsewhere */
    }
    if (reading->text.size > reading->taken)
        http_exchange_wake(reading->exchange);
}

void readings_stream(struct readings *readings, struct http_exchange *exchange, enum stream stream,
                     uint64_t from)
{
    struct reading *reading = start(readings, exchange, true);
    if (reading == NULL)
        return;
    reading->page = (struct event_page){
        .stream = stream,
        .filter = {.type = "", .subject = "", .source = "", .end_id = UINT64_MAX},
        .limit = UINT64_MAX,
        .next_id = from};
    buffer_append_text(&reading->text, "retry: 1000\n\n");
    http_exchange_stream(exchange, "text/event-stream", pull, over, reading);
}

static void say_position(struct reading *reading, const struct reading_position *position)
{
    char line[2 * HEAD_BYTES_MAX];
    snprintf(line, sizeof line,
             "event: position\ndata: {\"log_id\":\"%s\",\"event_id\":\"%" PRIu64
             "\",\"rejection_id\":\"%" PRIu64 "\",\"time\":\"%" PRIu64 "\",\"live\":%s}\n\n",
             reading->readings->log_id, position->event_id, position->rejection_id,
             position->time_ns, position->live ? "true" : "false");
    buffer_append_text(&reading->text, line);
    http_exchange_wake(reading->exchange);
}

static void turn_stream(struct reading *reading, const struct reading_position *position,
                        uint64_t now_ns)
{
    uint64_t newest = reading->page.stream == STREAM_ACCEPTED ? position->newest_event_id
                                                              : position->newest_rejection_id;
    bool drained = reading->text.size == 0;
    bool due = now_ns >= reading->asked_at_ns + READING_EVERY_NS;
    if (drained && !reading->asked && due && reading->page.next_id <= newest) {
        struct control_request request = {.verb = CONTROL_REPLAY,
                                          .stream = reading->page.stream,
                                          .from = reading->page.next_id,
                                          .max = STREAM_RECORDS_MAX};
        reading->asked_at_ns = now_ns;
        reading->page.full = false;
        reading->asked = ask(reading, &request, now_ns, stream_reply) == STATUS_OK;
    }
    if (drained && !reading->asked && now_ns >= reading->position_due_ns) {
        reading->position_due_ns = now_ns + READING_POSITION_NS;
        say_position(reading, position);
    }
}

void readings_turn(struct readings *readings, const struct reading_position *position,
                   uint64_t now_ns)
{
    for (struct reading *reading = readings->list; reading != NULL; reading = reading->next)
        if (reading->is_stream)
            turn_stream(reading, position, now_ns);
}

uint64_t readings_due_ns(const struct readings *readings)
{
    return readings->stream_count > 0 ? clock_boot_ns() + READING_EVERY_NS : UINT64_MAX;
}
