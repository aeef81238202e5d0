#include "common/wire/control.h"

#include "common/event/codec.h"

/* --- reading --- */

/* A request while it is read: where the next item is, and what to say when it is wrong. */
struct parse {
    struct mp_reader at;
    uint32_t items; /* of the whole array */
    struct control_request *request;
    enum control_code code;
    struct detail *detail;
};

static enum status fail(struct parse *parse, enum control_code code, const char *text)
{
    parse->code = code;
    return detail_set(parse->detail, STATUS_INVALID, "%s", text);
}

static enum status expect_items(struct parse *parse, uint32_t min, uint32_t max)
{
    if (parse->items >= min && parse->items <= max)
        return STATUS_OK;
    return fail(parse, CONTROL_CODE_BAD_REQUEST, "wrong number of arguments");
}

static enum status expect_uint(struct parse *parse, uint64_t *ret_value)
{
    if (mp_read_uint(&parse->at, ret_value) == STATUS_OK)
        return STATUS_OK;
    return fail(parse, CONTROL_CODE_BAD_REQUEST, "an argument is not an unsigned integer");
}

static enum status expect_positive(struct parse *parse, uint64_t *ret_value, const char *text)
{
    enum status status = expect_uint(parse, ret_value);
    if (status == STATUS_OK && *ret_value == 0)
        return fail(parse, CONTROL_CODE_INVALID, text);
    return status;
}

static enum status expect_text(struct parse *parse, struct slice *ret_text)
{
    if (mp_read_text(&parse->at, ret_text) == STATUS_OK)
        return STATUS_OK;
    return fail(parse, CONTROL_CODE_BAD_REQUEST, "an argument is not a string");
}

/* A name: 1 to CONTROL_NAME_BYTES_MAX bytes of UTF-8. */
static enum status expect_name(struct parse *parse, struct slice *ret_name, const char *text)
{
    enum status status = expect_text(parse, ret_name);
    if (status != STATUS_OK)
        return status;
    if (ret_name->size == 0 || ret_name->size > CONTROL_NAME_BYTES_MAX || !utf8_valid(*ret_name))
        return fail(parse, CONTROL_CODE_INVALID, text);
    return STATUS_OK;
}

static enum status parse_hello(struct parse *parse)
{
    enum status status = expect_items(parse, 3, 3);
    if (status == STATUS_OK)
        status = expect_text(parse, &parse->request->source);
    if (status == STATUS_OK &&
        event_source_check(parse->request->source, parse->detail) != STATUS_OK) {
        parse->code = CONTROL_CODE_INVALID;
        status = STATUS_INVALID;
    }
    return status;
}

static enum status parse_stream(struct parse *parse)
{
    struct slice text;
    enum status status = expect_text(parse, &text);
    if (status != STATUS_OK)
        return status;
    if (slice_equal_text(text, stream_text(STREAM_ACCEPTED)))
        parse->request->stream = STREAM_ACCEPTED;
    else if (slice_equal_text(text, stream_text(STREAM_REJECTED)))
        parse->request->stream = STREAM_REJECTED;
    else
        return fail(parse, CONTROL_CODE_INVALID, "a stream is accepted or rejected");
    return STATUS_OK;
}

static enum status parse_replay(struct parse *parse)
{
    enum status status = expect_items(parse, 5, 5);
    if (status == STATUS_OK)
        status = parse_stream(parse);
    if (status == STATUS_OK)
        status = expect_positive(parse, &parse->request->from, "ids begin at 1");
    if (status == STATUS_OK)
        status = expect_positive(parse, &parse->request->max, "max is at least 1");
    return status;
}

static enum status parse_seek(struct parse *parse)
{
    enum status status = expect_items(parse, 4, 4);
    if (status == STATUS_OK)
        status = parse_stream(parse);
    if (status == STATUS_OK)
        status = expect_uint(parse, &parse->request->time_ns);
    return status;
}

/* A projector says its name, so that status can list it. */
static enum status parse_status(struct parse *parse)
{
    enum status status = expect_items(parse, 2, 3);
    if (status == STATUS_OK && parse->items == 3)
        status = expect_name(parse, &parse->request->projector,
                             "a projector's name has 1 to 64 characters");
    return status;
}

/* views: the verb alone. */
static enum status parse_nothing(struct parse *parse)
{
    return expect_items(parse, 2, 2);
}

static enum status parse_policy_set(struct parse *parse)
{
    parse->request->verb = CONTROL_POLICY_SET;
    enum status status = expect_items(parse, 4, 4);
    if (status == STATUS_OK)
        status = expect_text(parse, &parse->request->text);
    if (status == STATUS_OK && !utf8_valid(parse->request->text))
        return fail(parse, CONTROL_CODE_INVALID, "the policy's text is not UTF-8");
    return status;
}

static enum status parse_policy(struct parse *parse)
{
    struct slice action;
    enum status status = expect_items(parse, 3, 4);
    if (status == STATUS_OK)
        status = expect_text(parse, &action);
    if (status != STATUS_OK)
        return status;
    if (slice_equal_text(action, "get"))
        return expect_items(parse, 3, 3);
    if (slice_equal_text(action, "set"))
        return parse_policy_set(parse);
    return fail(parse, CONTROL_CODE_INVALID, "policy takes get or set");
}

/* A string of at most CONTROL_KEY_BYTES_MAX bytes or an integer; kept as its MessagePack. */
static enum status parse_key(struct parse *parse)
{
    struct mp_reader item = parse->at;
    enum mp_type type;
    struct slice text;
    if (mp_peek(&item, &type) != STATUS_OK ||
        mp_read_raw(&parse->at, &parse->request->key) != STATUS_OK)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "the key is missing");
    if (type == MP_UINT || type == MP_NEGATIVE)
        return STATUS_OK;
    if (mp_read_text(&item, &text) != STATUS_OK)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "a key is a string or an integer");
    if (text.size > CONTROL_KEY_BYTES_MAX || !utf8_valid(text))
        return fail(parse, CONTROL_CODE_INVALID, "a key is at most 128 bytes of UTF-8");
    return STATUS_OK;
}

static enum status parse_explain(struct parse *parse)
{
    enum status status = expect_items(parse, 4, 5);
    if (status == STATUS_OK)
        status =
            expect_name(parse, &parse->request->policy, "a policy's name has 1 to 64 characters");
    if (status == STATUS_OK)
        status = parse_key(parse);
    if (status == STATUS_OK && parse->items == 5) {
        parse->request->at = AT_TIME;
        status = expect_uint(parse, &parse->request->time_ns);
    }
    return status;
}

/* ["time", ns] */
static enum status parse_at_time(struct parse *parse)
{
    struct slice text;
    parse->request->at = AT_TIME;
    if (message_array_read(&parse->at, 2) != STATUS_OK)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "at is nil, an event id or [\"time\", ns]");
    enum status status = expect_text(parse, &text);
    if (status == STATUS_OK && !slice_equal_text(text, "time"))
        return fail(parse, CONTROL_CODE_INVALID, "at is nil, an event id or [\"time\", ns]");
    if (status == STATUS_OK)
        status = expect_uint(parse, &parse->request->time_ns);
    return status;
}

static enum status parse_at(struct parse *parse)
{
    if (mp_read_nil(&parse->at))
        return STATUS_OK;
    if (mp_read_uint(&parse->at, &parse->request->at_event_id) == STATUS_OK) {
        parse->request->at = AT_EVENT_ID;
        return STATUS_OK;
    }
    return parse_at_time(parse);
}

static enum status parse_view(struct parse *parse)
{
    enum status status = expect_items(parse, 4, 6);
    if (status == STATUS_OK)
        status = expect_name(parse, &parse->request->view, "a view's name has 1 to 64 characters");
    if (status == STATUS_OK)
        status = parse_at(parse);
    if (status == STATUS_OK && parse->items >= 5)
        status = expect_uint(parse, &parse->request->offset);
    if (status == STATUS_OK && parse->items == 6)
        status = expect_positive(parse, &parse->request->limit, "limit is at least 1");
    return status;
}

static const struct verb {
    const char *name;
    enum control_verb verb;
    enum status (*parse)(struct parse *parse);
} verbs[] = {
    {"hello", CONTROL_HELLO, parse_hello},        {"replay", CONTROL_REPLAY, parse_replay},
    {"seek", CONTROL_SEEK, parse_seek},           {"status", CONTROL_STATUS, parse_status},
    {"policy", CONTROL_POLICY_GET, parse_policy}, {"explain", CONTROL_EXPLAIN, parse_explain},
    {"views", CONTROL_VIEWS, parse_nothing},      {"view", CONTROL_VIEW, parse_view},
};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

/* [1, verb, …]: whole, nothing behind it, the version ours. */
static enum status parse_opening(struct parse *parse, struct slice *ret_verb)
{
    struct mp_reader whole = parse->at;
    uint64_t version;
    if (mp_skip(&whole) != STATUS_OK)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "the request is not MessagePack");
    if (!mp_at_end(&whole))
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "bytes after the request");
    if (mp_read_array(&parse->at, &parse->items) != STATUS_OK || parse->items < 2)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "a request is [1, verb, ...]");
    if (mp_read_uint(&parse->at, &version) != STATUS_OK || version != WIRE_VERSION)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "the request's version is not 1");
    if (mp_read_text(&parse->at, ret_verb) != STATUS_OK)
        return fail(parse, CONTROL_CODE_BAD_REQUEST, "the verb is not a string");
    return STATUS_OK;
}

static enum status parse_request(struct parse *parse)
{
    struct slice name = {NULL, 0};
    enum status status = parse_opening(parse, &name);
    if (status != STATUS_OK)
        return status;
    for (unsigned i = 0; i < VERB_COUNT; i++) {
        if (slice_equal_text(name, verbs[i].name)) {
            parse->request->verb = verbs[i].verb;
            return verbs[i].parse(parse);
        }
    }
    return fail(parse, CONTROL_CODE_UNKNOWN_VERB, "no such verb");
}

enum status control_request_read(struct slice frame, struct control_request *ret_request,
                                 enum control_code *ret_code, struct detail *ret_detail)
{
    struct control_request request = {0};
    struct parse parse = {.at = mp_reader_of(frame), .request = &request, .detail = ret_detail};
    enum status status = parse_request(&parse);
    if (status == STATUS_OK)
        *ret_request = request;
    else
        *ret_code = parse.code;
    return status;
}

/* --- writing --- */

static void open_request(struct buffer *buffer, uint32_t items, const char *verb)
{
    message_open_write(buffer, items);
    codec_text(buffer, verb);
}

static void write_explain(struct buffer *buffer, const struct control_request *request)
{
    bool timed = request->at == AT_TIME;
    open_request(buffer, timed ? 5 : 4, "explain");
    codec_text_slice(buffer, request->policy);
    buffer_append(buffer, request->key.data, request->key.size);
    if (timed)
        codec_uint(buffer, request->time_ns);
}

static void write_view(struct buffer *buffer, const struct control_request *request)
{
    bool paged = request->offset > 0 || request->limit > 0;
    open_request(buffer, 4 + (paged ? 1U : 0U) + (request->limit > 0 ? 1U : 0U), "view");
    codec_text_slice(buffer, request->view);
    switch (request->at) {
    case AT_NOW:
        codec_nil(buffer);
        break;
    case AT_EVENT_ID:
        codec_uint(buffer, request->at_event_id);
        break;
    case AT_TIME:
        codec_array(buffer, 2);
        codec_text(buffer, "time");
        codec_uint(buffer, request->time_ns);
        break;
    }
    if (paged)
        codec_uint(buffer, request->offset);
    if (request->limit > 0)
        codec_uint(buffer, request->limit);
}

void control_request_write(struct buffer *buffer, const struct control_request *request)
{
    switch (request->verb) {
    case CONTROL_HELLO:
        open_request(buffer, 3, "hello");
        codec_text_slice(buffer, request->source);
        break;
    case CONTROL_REPLAY:
        open_request(buffer, 5, "replay");
        codec_text(buffer, stream_text(request->stream));
        codec_uint(buffer, request->from);
        codec_uint(buffer, request->max);
        break;
    case CONTROL_SEEK:
        open_request(buffer, 4, "seek");
        codec_text(buffer, stream_text(request->stream));
        codec_uint(buffer, request->time_ns);
        break;
    case CONTROL_STATUS:
        open_request(buffer, request->projector.size > 0 ? 3 : 2, "status");
        if (request->projector.size > 0)
            codec_text_slice(buffer, request->projector);
        break;
    case CONTROL_POLICY_GET:
        open_request(buffer, 3, "policy");
        codec_text(buffer, "get");
        break;
    case CONTROL_POLICY_SET:
        open_request(buffer, 4, "policy");
        codec_text(buffer, "set");
        codec_text_slice(buffer, request->text);
        break;
    case CONTROL_EXPLAIN:
        write_explain(buffer, request);
        break;
    case CONTROL_VIEWS:
        open_request(buffer, 2, "views");
        break;
    case CONTROL_VIEW:
        write_view(buffer, request);
        break;
    }
}
