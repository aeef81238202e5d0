#include "projector/http/reply_json.h"

#include <string.h>

#include "common/event/codec.h"
#include "common/event/json.h"

void reply_json_error(struct http_exchange *exchange, unsigned http_status, const char *text)
{
    struct buffer item, body;
    buffer_init(&item, REPLY_JSON_ERROR_BYTES_MAX);
    buffer_init(&body, 8 * REPLY_JSON_ERROR_BYTES_MAX);
    codec_text(&item, text);
    buffer_append_text(&body, "{\"error\":");
    (void)!json_write_item(buffer_slice(&item), &body); /* a text of ours: it cannot be malformed */
    buffer_append_text(&body, "}\n");
    struct http_reply reply = {
        .status = http_status, .type = JSON_TYPE, .cache = CACHE_NEVER, .body = &body};
    http_exchange_answer(exchange, &reply);
    buffer_fini(&item);
}

void reply_json_failure(struct http_exchange *exchange, enum status status,
                        const struct detail *detail)
{
    unsigned http_status = 502;
    if (status == STATUS_UNAVAILABLE || status == STATUS_NO_MEMORY || status == STATUS_FULL)
        http_status = 503;
    else if (status == STATUS_NOT_FOUND)
        http_status = 404;
    else if (status == STATUS_GONE)
        http_status = 410;
    else if (strstr(detail->text, "unsupported") != NULL)
        http_status = 501;
    else if (status == STATUS_INVALID)
        http_status = 400;
    reply_json_error(exchange, http_status, detail->text);
}
