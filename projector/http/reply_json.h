/* reply_json: the small replies of HTTP: errors, and what a failed answer of the query or control
 * protocol is as an HTTP status. */
#ifndef WEIR_PROJECTOR_HTTP_REPLY_JSON_H
#define WEIR_PROJECTOR_HTTP_REPLY_JSON_H

#include "projector/http/http_server.h"

#define JSON_TYPE     "application/json"
#define CACHE_NEVER   "no-store"
#define CACHE_ASK     "no-cache" /* keep it, but ask with If-None-Match */
#define CACHE_FOREVER "public, max-age=31536000, immutable"

enum { REPLY_JSON_ERROR_BYTES_MAX = 4096 };

/* {"error": text} */
void reply_json_error(struct http_exchange *exchange, unsigned http_status, const char *text);
/* The error of a control or query reply (control_reply_read), whose detail is "code: text". */
void reply_json_failure(struct http_exchange *exchange, enum status status,
                        const struct detail *detail);

#endif
