/* http_request: what a request target asks for: "/views/limits?at=1234&limit=50" in, a struct out.
 *
 * Pure. Strict, since nobody but programs writes targets: an escape that is none, a NUL, bytes that
 * are not UTF-8, a parameter that is unknown or comes twice are the client's error, named in a
 * line. A + is a plus (RFC 3986), so that an offset of RFC 3339 needs no escape.
 */
#ifndef WEIR_PROJECTOR_HTTP_HTTP_REQUEST_H
#define WEIR_PROJECTOR_HTTP_HTTP_REQUEST_H

#include "common/app/moment.h"
#include "common/wire/control.h"

enum {
    HTTP_TARGET_BYTES_MAX = 2048,
    HTTP_VALUE_BYTES_MAX = 256, /* of one parameter, or of a name in the path, decoded */
    HTTP_EVENTS_DEFAULT = 100,  /* events in a page */
    HTTP_EVENTS_MAX = 1000,
};

enum http_route {
    HTTP_ASSET, /* the dashboard and what belongs to it; `name` is the path */
    HTTP_VIEWS,
    HTTP_VIEW, /* `name` is the view's */
    HTTP_EVENTS,
    HTTP_LIVE,
    HTTP_STATUS,
    HTTP_SAMPLES,
    HTTP_METRICS,
    HTTP_HEALTHZ,
    HTTP_READYZ,
};

/* As people name it on the command line (moment.h), or an id without its #, which a target would
 * have to escape. */
struct http_moment {
    bool is_given;
    struct moment moment;
};

/* Texts are empty where the parameter was not given. */
struct http_request {
    enum http_route route;
    char name[HTTP_VALUE_BYTES_MAX + 1];
    struct http_moment at, from, to;
    char type[HTTP_VALUE_BYTES_MAX + 1]; /* a glob */
    char subject[HTTP_VALUE_BYTES_MAX + 1];
    char source[HTTP_VALUE_BYTES_MAX + 1];
    enum stream stream;
    uint64_t offset; /* rows */
    uint64_t limit;  /* rows or events; 0: not given */
    uint64_t after;  /* samples: newer than this number */
};

/* 200, or the status to answer with (400, 404, 414) and why. */
unsigned http_request_read(const char *target, struct http_request *ret_request,
                           struct detail *ret_detail);

#endif
