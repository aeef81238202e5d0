/* json: the JSON form of events (CloudEvents 1.0, docs/protocol.md "JSON"), in and out.
 *
 * The only user of jansson. In: one JSON object → source, and the event's MessagePack appended to a
 * buffer; a byte order mark before it is passed over. Out: a record → one line. 64-bit numbers
 * outside `data` are strings (they pass 2^53). Not on the hot path.
 */
#ifndef WEIR_COMMON_EVENT_JSON_H
#define WEIR_COMMON_EVENT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/event/event.h"
#include "common/event/reason.h"

enum { JSON_LINE_BYTES_MAX = 1024 * 1024 };
#define JSON_TIME_REQUIRED UINT64_MAX /* as now_ns: a line without `time` is BAD_INPUT */

/* Reads one line. Appends the event to `event` (not cleared first, unchanged on failure) and copies
 * the source to ret_source (NUL-terminated, EVENT_SOURCE_BYTES_MAX + 1 bytes; empty if the line
 * names none). `now_ns` is used where the line has no `time`. STATUS_BAD_INPUT with a detail that
 * names the member or the column; FULL or NO_MEMORY if `event` cannot hold it.
 *
 * CloudEvents' `id`, unknown members and extensions become attributes (strings, numbers and
 * booleans as text; null as if it were not there). `sequence`, `eventid` and `acceptedat` are left
 * out: they tell of the log that a line was read from. What is appended has passed event_read. */
MUST_USE enum status json_read_event(struct slice line, uint64_t now_ns, struct buffer *event,
                                     char *ret_source, struct detail *ret_detail);

enum { JSON_RECORD_TEXT_BYTES_MAX = 129 }; /* of a policy's name or a key, with its NUL */

/* A line that tells of a log's record: an event and, where the line says so, how the log has it. */
struct json_record {
    bool is_rejection; /* it has a rejectionid */
    uint64_t id;       /* eventid or rejectionid; 0: none */
    uint64_t time_ns;  /* acceptedat or rejectedat; 0: none */
    uint64_t sequence; /* 0: none */
    uint64_t count;    /* of a rejection; 1 where the line has none */
    bool has_key;      /* of a rejection, where a policy refused it */
    bool key_is_text;
    int64_t key_number;
    char source[EVENT_SOURCE_BYTES_MAX + 1]; /* "": none */
    char reason[JSON_RECORD_TEXT_BYTES_MAX]; /* of a rejection */
    char policy[JSON_RECORD_TEXT_BYTES_MAX];
    char key[JSON_RECORD_TEXT_BYTES_MAX];
};
/* Reads a line as json_read_event does, and what it tells of the log. Events of our own types
 * (weir…) pass, for they stand in logs. Of a rejection nothing is appended to `event`. */
MUST_USE enum status json_read_record(struct slice line, uint64_t now_ns, struct buffer *event,
                                      struct json_record *ret_record, struct detail *ret_detail);

/* One stored MessagePack item as JSON text, appended to `text`: for query --json, status and
 * evidence. Integers beyond ±2^53 become strings; bin and ext become a hex string; NaN and infinity
 * null; bytes that are not UTF-8 U+FFFD; an integer key its digits, any other that is no string its
 * bytes in hex. FULL, NO_MEMORY, or as mp_skip. */
MUST_USE enum status json_write_item(struct slice item, struct buffer *text);

/* As json_write_item, for an event's data and keys of policies: every integer from −2^63 to 2^63 −
 * 1 is a number, so that who reads the line again has what was stored. Only those above are
 * strings. */
MUST_USE enum status json_write_data(struct slice item, struct buffer *text);

/* An accepted record as one CloudEvents line (no newline). Its `id` is the attribute of that name,
 * else the event id; attributes whose name means something else here are left out. */
MUST_USE enum status json_write_accepted(uint64_t event_id, uint64_t accepted_at_ns,
                                         struct slice source, uint64_t sequence,
                                         const struct event *event, struct buffer *text);

/* A rejection record; a text of size 0 is not known. */
struct json_rejection {
    uint64_t rejection_id;
    uint64_t rejected_at_ns;
    uint64_t after_event_id;
    uint64_t sequence; /* where has_sequence */
    uint64_t count;
    uint64_t retry_after_ns; /* where has_retry_after */
    struct slice detail, source, type, subject, policy;
    struct slice key;          /* one MessagePack item */
    struct slice evidence;     /* the first bytes of what did not decode */
    const struct event *event; /* what was refused; NULL: it did not decode */
    enum reason reason;
    bool has_sequence;
    bool has_retry_after;
};

/* A rejection record as one CloudEvents line (no newline): the refused event with `rejectionid`,
 * `rejectedat`, `aftereventid`, `reason`, … beside. */
MUST_USE enum status json_write_rejected(const struct json_rejection *rejection,
                                         struct buffer *text);

#endif
