#include "projector/http/http_request.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS_MAX = 16, NUMBER_DIGITS_MAX = 15 };

enum parameter_kind { PARAMETER_TEXT, PARAMETER_MOMENT, PARAMETER_NUMBER, PARAMETER_STREAM };

static const struct parameter {
    const char *name;
    enum parameter_kind kind;
    size_t place; /* in struct http_request */
} parameters[] = {
    {"at", PARAMETER_MOMENT, offsetof(struct http_request, at)},
    {"from", PARAMETER_MOMENT, offsetof(struct http_request, from)},
    {"to", PARAMETER_MOMENT, offsetof(struct http_request, to)},
    {"type", PARAMETER_TEXT, offsetof(struct http_request, type)},
    {"subject", PARAMETER_TEXT, offsetof(struct http_request, subject)},
    {"source", PARAMETER_TEXT, offsetof(struct http_request, source)},
    {"stream", PARAMETER_STREAM, offsetof(struct http_request, stream)},
    {"offset", PARAMETER_NUMBER, offsetof(struct http_request, offset)},
    {"limit", PARAMETER_NUMBER, offsetof(struct http_request, limit)},
    {"after", PARAMETER_NUMBER, offsetof(struct http_request, after)},
};
enum { PARAMETER_COUNT = sizeof parameters / sizeof parameters[0] };

static const struct route {
    const char *path;
    enum http_route route;
    const char *parameters; /* names with spaces around them; NULL: whatever comes is passed over */
} routes[] = {
    {"/views", HTTP_VIEWS, ""},
    {"/views/", HTTP_VIEW, " at offset limit "}, /* and a name */
    {"/events", HTTP_EVENTS, " from to type subject source stream limit "},
    {"/live", HTTP_LIVE, " from stream "},
    {"/status", HTTP_STATUS, ""},
    {"/samples", HTTP_SAMPLES, " after "},
    {"/metrics", HTTP_METRICS, ""},
    {"/healthz", HTTP_HEALTHZ, NULL},
    {"/readyz", HTTP_READYZ, NULL},
    {"/", HTTP_ASSET, NULL},
    {"/assets/", HTTP_ASSET, NULL}, /* and a name */
};

static unsigned refuse(struct detail *detail, unsigned status, const char *text)
{
    detail_write(detail, "%s", text);
    return status;
}

/* --- percent-encoding --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static unsigned decode(struct slice raw, char ret_text[HTTP_VALUE_BYTES_MAX + 1],
                       struct detail *ret_detail)
{
    size_t size = 0;
    for (size_t i = 0; i < raw.size; i++) {
        char c = (char)raw.data[i];
        if (c == '%') {
            int high = i + 1 < raw.size ? hex_value((char)raw.data[i + 1]) : -1;
            int low = i + 2 < raw.size ? hex_value((char)raw.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return refuse(ret_detail, 400, "a % without two hexadecimal digits");
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return refuse(ret_detail, 400, "a NUL in the target");
        if (size == HTTP_VALUE_BYTES_MAX)
            return refuse(ret_detail, 414, "a name or value above 256 bytes");
        ret_text[size++] = c;
    }
    ret_text[size] = '\0';
    if (!utf8_valid(slice_of_text(ret_text)))
        return refuse(ret_detail, 400, "a name or value that is not UTF-8");
    return 200;
}

/* --- the path --- */

/* A path that ends with / stands for what follows it, one name; "/" for itself. */
static bool route_fits(const struct route *route, struct slice path, struct slice *ret_name)
{
    size_t size = strlen(route->path);
    *ret_name = path;
    if (size == 1 || route->path[size - 1] != '/')
        return slice_equal_text(path, route->path);
    if (path.size <= size || memcmp(path.data, route->path, size) != 0)
        return false;
    *ret_name = (struct slice){path.data + size, path.size - size};
    return memchr(ret_name->data, '/', ret_name->size) == NULL;
}

static unsigned read_path(struct slice path, struct http_request *request,
                          const struct route **ret_route, struct detail *ret_detail)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        struct slice name;
        if (!route_fits(&routes[i], path, &name))
            continue;
        *ret_route = &routes[i];
        request->route = routes[i].route;
        return decode(name, request->name, ret_detail);
    }
    return refuse(ret_detail, 404,
                  "no such path; there are / /views /views/NAME /events /live /status /samples "
                  "/metrics /healthz /readyz");
}

/* --- the query --- */

static unsigned set_number(const char *text, const char *name, uint64_t *ret_value,
                           struct detail *ret_detail)
{
    size_t size = strlen(text);
    if (size == 0 || size > NUMBER_DIGITS_MAX || strspn(text, "0123456789") != size) {
        detail_write(ret_detail, "%s: not a number of at most %d digits", name, NUMBER_DIGITS_MAX);
        return 400;
    }
    *ret_value = strtoull(text, NULL, 10);
    return 200;
}

static unsigned set_moment(const char *text, const char *name, struct http_moment *ret_moment,
                           struct detail *ret_detail)
{
    char id[HTTP_VALUE_BYTES_MAX + 2];
    struct detail why = {.text = ""};
    bool is_bare = text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
    snprintf(id, sizeof id, "%s%s", is_bare ? "#" : "", text);
    if (moment_parse(id, &ret_moment->moment, &why) != STATUS_OK) {
        detail_write(ret_detail, "%s: %s", name, why.text);
        return 400;
    }
    ret_moment->is_given = true;
    return 200;
}

static unsigned set(const struct parameter *parameter, const char *text,
                    struct http_request *request, struct detail *ret_detail)
{
    void *place = (char *)request + parameter->place;
    if (parameter->kind == PARAMETER_NUMBER)
        return set_number(text, parameter->name, place, ret_detail);
    if (parameter->kind == PARAMETER_MOMENT)
        return set_moment(text, parameter->name, place, ret_detail);
    if (parameter->kind == PARAMETER_TEXT) {
        memcpy(place, text, strlen(text) + 1);
        return text[0] != '\0' ? 200 : refuse(ret_detail, 400, "a parameter without a value");
    }
    if (strcmp(text, stream_text(STREAM_REJECTED)) == 0)
        request->stream = STREAM_REJECTED;
    else if (strcmp(text, stream_text(STREAM_ACCEPTED)) != 0)
        return refuse(ret_detail, 400, "stream: accepted or rejected");
    return 200;
}

static bool is_allowed(const struct route *route, const char *name)
{
    char word[HTTP_VALUE_BYTES_MAX + 3] = " ";
    strcat(strcat(word, name), " ");
    return strchr(name, ' ') == NULL && strstr(route->parameters, word) != NULL;
}

static unsigned read_pair(struct slice pair, const struct route *route, uint32_t *seen,
                          struct http_request *request, struct detail *ret_detail)
{
    char name[HTTP_VALUE_BYTES_MAX + 1], text[HTTP_VALUE_BYTES_MAX + 1];
    const uint8_t *equals = memchr(pair.data, '=', pair.size);
    size_t name_bytes = equals != NULL ? (size_t)(equals - pair.data) : pair.size;
    size_t text_at = equals != NULL ? name_bytes + 1 : pair.size;
    unsigned status = decode((struct slice){pair.data, name_bytes}, name, ret_detail);
    if (status == 200)
        status = decode((struct slice){pair.data + text_at, pair.size - text_at}, text, ret_detail);
    if (status != 200)
        return status;
    for (uint32_t i = 0; i < PARAMETER_COUNT; i++) {
        if (strcmp(name, parameters[i].name) != 0 || !is_allowed(route, name))
            continue;
        if ((*seen & 1U << i) != 0) {
            detail_write(ret_detail, "%s: given twice", name);
            return 400;
        }
        *seen |= 1U << i;
        return set(&parameters[i], text, request, ret_detail);
    }
    detail_write(ret_detail, "no parameter '%s' here%s%s", name,
                 route->parameters[0] != '\0' ? "; there are" : "", route->parameters);
    return 400;
}

static unsigned read_query(struct slice query, const struct route *route,
                           struct http_request *request, struct detail *ret_detail)
{
    uint32_t seen = 0;
    while (query.size > 0) {
        const uint8_t *end = memchr(query.data, '&', query.size);
        size_t size = end != NULL ? (size_t)(end - query.data) : query.size;
        unsigned status =
            read_pair((struct slice){query.data, size}, route, &seen, request, ret_detail);
        if (status != 200)
            return status;
        size += end != NULL ? 1 : 0;
        query = (struct slice){query.data + size, query.size - size};
    }
    return 200;
}

/* --- the whole --- */

static unsigned check_limits(const struct http_request *request, bool given,
                             struct detail *ret_detail)
{
    uint64_t max = request->route == HTTP_EVENTS ? HTTP_EVENTS_MAX : 10000;
    if (!given || (request->limit >= 1 && request->limit <= max))
        return 200;
    detail_write(ret_detail, "limit: 1 to %llu", (unsigned long long)max);
    return 400;
}

unsigned http_request_read(const char *target, struct http_request *ret_request,
                           struct detail *ret_detail)
{
    struct http_request request = {.stream = STREAM_ACCEPTED, .limit = UINT64_MAX};
    const struct route *route = NULL;
    size_t size = strlen(target), path_bytes = strcspn(target, "?");
    if (size > HTTP_TARGET_BYTES_MAX)
        return refuse(ret_detail, 414, "a target above 2,048 bytes");
    struct slice path = {(const uint8_t *)target, path_bytes};
    unsigned status = read_path(path, &request, &route, ret_detail);
    if (status == 200 && path_bytes < size && route->parameters != NULL) {
        struct slice query = {(const uint8_t *)target + path_bytes + 1, size - path_bytes - 1};
        status = read_query(query, route, &request, ret_detail);
    }
    bool given = request.limit != UINT64_MAX;
    if (status == 200)
        status = check_limits(&request, given, ret_detail);
    if (status != 200)
        return status;
    if (!given)
        request.limit = request.route == HTTP_EVENTS ? HTTP_EVENTS_DEFAULT : 0;
    *ret_request = request;
    return 200;
}
