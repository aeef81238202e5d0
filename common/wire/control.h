/* control: requests and replies of the `control` and `query-NAME` sockets.
 *
 * A request is the last frame [1, verb, …]; the frames before it (≤ 4, each ≤ 64 bytes) are echoed
 * before the reply. A reply is [1, "ok", …] or [1, "error", code, text], records in one more frame.
 */
#ifndef WEIR_COMMON_WIRE_CONTROL_H
#define WEIR_COMMON_WIRE_CONTROL_H

#include <stdint.h>

#include "common/wire/record.h"

enum {
    CONTROL_ECHO_FRAMES_MAX = 4,
    CONTROL_ECHO_BYTES_MAX = 64,
    CONTROL_MESSAGE_BYTES_MAX = 256 * 1024, /* of a request */
    REPLAY_BODY_BYTES_MAX = 1024 * 1024,
    CONTROL_TEXT_BYTES_MAX = 256, /* of an error's text */
    CONTROL_NAME_BYTES_MAX = 64,  /* of a policy, a view or a projector */
    CONTROL_KEY_BYTES_MAX = 128,  /* of a key that is a string */
};

#define CONTROL_CODE_TABLE(X)                                                                      \
    X(BAD_REQUEST, "bad_request")                                                                  \
    X(UNKNOWN_VERB, "unknown_verb")                                                                \
    X(UNSUPPORTED, "unsupported")                                                                  \
    X(NOT_FOUND, "not_found")                                                                      \
    X(GONE, "gone")                                                                                \
    X(INVALID, "invalid")                                                                          \
    X(UNAVAILABLE, "unavailable")                                                                  \
    X(UNAUTHORIZED, "unauthorized")

enum control_code {
#define X(name, text) CONTROL_CODE_##name,
    CONTROL_CODE_TABLE(X)
#undef X
};
const char *control_code_text(enum control_code code);

enum control_verb {
    CONTROL_HELLO,
    CONTROL_REPLAY,
    CONTROL_SEEK,
    CONTROL_STATUS,
    CONTROL_POLICY_GET,
    CONTROL_POLICY_SET,
    CONTROL_EXPLAIN,
    CONTROL_VIEWS, /* query socket */
    CONTROL_VIEW,  /* query socket */
};

enum stream { STREAM_ACCEPTED, STREAM_REJECTED };
const char *stream_text(enum stream stream);

enum at_kind { AT_NOW, AT_EVENT_ID, AT_TIME };

struct control_request {
    enum control_verb verb;
    struct slice source;    /* hello */
    enum stream stream;     /* replay, seek */
    uint64_t from;          /* replay: first id, ≥ 1 */
    uint64_t max;           /* replay: records, ≥ 1 */
    uint64_t time_ns;       /* seek; explain and view with a time */
    struct slice text;      /* policy set */
    struct slice policy;    /* explain */
    struct slice key;       /* explain: one MessagePack item */
    struct slice view;      /* view: its name */
    struct slice projector; /* status: the name of the projector that asks; size 0: none does */
    enum at_kind at;        /* view, explain */
    uint64_t at_event_id;   /* view, where at is AT_EVENT_ID */
    uint64_t offset;        /* view: rows to leave out at the beginning */
    uint64_t limit;         /* view: rows wanted; 0: as many as a reply holds */
};

/* Reads one request frame. On failure fills ret_code (BAD_REQUEST for bytes, arity or types;
 * UNKNOWN_VERB; INVALID for a value out of range) and ret_detail, and returns STATUS_INVALID. */
MUST_USE enum status control_request_read(struct slice frame, struct control_request *ret_request,
                                          enum control_code *ret_code, struct detail *ret_detail);
/* Appends the frame for a request. */
void control_request_write(struct buffer *buffer, const struct control_request *request);

/* Opens a good reply [1, "ok", …] of `items` further items, which the caller then appends. */
void control_ok_write(struct buffer *buffer, uint32_t items);
/* [1, "error", code, text] */
void control_error_write(struct buffer *buffer, enum control_code code, const char *text);

/* Opens a reply: for "ok" the reader stands at the first further item and ret_items is their
 * number. An error reply is STATUS_UNAVAILABLE (code unavailable), STATUS_GONE, NOT_FOUND, … with
 * code and text in ret_detail; a frame that is no reply is STATUS_MALFORMED. */
MUST_USE enum status control_reply_read(struct slice frame, struct mp_reader *ret_reader,
                                        uint32_t *ret_items, struct detail *ret_detail);

/* Reads a reply whose one item is a map; it borrows the frame. As control_reply_read. */
MUST_USE enum status control_reply_map_read(struct slice frame, struct slice *ret_map,
                                            struct detail *ret_detail);

/* Reads a reply whose one item is an unsigned integer. As control_reply_read. */
MUST_USE enum status control_reply_uint_read(struct slice frame, uint64_t *ret_value,
                                             struct detail *ret_detail);

struct hello_reply {
    struct log_id log_id;
    uint64_t epoch;
    uint64_t last_sequence;
};
void hello_reply_write(struct buffer *buffer, const struct hello_reply *reply);
MUST_USE enum status hello_reply_read(struct slice frame, struct hello_reply *ret_reply,
                                      struct detail *ret_detail);

/* [1, "ok", log_id, first_id, count, last_id]; last_id is that of the stream's durable end. */
struct replay_reply {
    struct log_id log_id;
    uint64_t first_id;
    uint64_t count;
    uint64_t last_id;
};
void replay_reply_write(struct buffer *buffer, const struct replay_reply *reply);
MUST_USE enum status replay_reply_read(struct slice frame, struct replay_reply *ret_reply,
                                       struct detail *ret_detail);

#endif
