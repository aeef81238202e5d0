/* message: what the headers and replies of the wire have in common: an array that opens with the
 * protocol's version, the identity of a log, and text that is fit for readers in any language.
 *
 *     [1, …]
 */
#ifndef WEIR_COMMON_WIRE_MESSAGE_H
#define WEIR_COMMON_WIRE_MESSAGE_H

#include <stdint.h>

#include "common/event/event.h"

enum {
    WIRE_VERSION = 1,
    LOG_ID_BYTES = 16,
};

/* 16 random bytes made with the log; on the wire a bin. */
struct log_id {
    uint8_t bytes[LOG_ID_BYTES];
};
bool log_id_equal(const struct log_id *a, const struct log_id *b);
void log_id_write(struct buffer *buffer, const struct log_id *log_id);
/* INVALID for anything but a bin of LOG_ID_BYTES. */
MUST_USE enum status log_id_read(struct mp_reader *reader, struct log_id *ret_log_id);

/* Appends the array's header and the version; the caller then appends the other items − 1. */
void message_open_write(struct buffer *buffer, uint32_t items);
/* Moves past the header of an array of exactly `items` and its version. INVALID for another arity,
 * type or version. */
MUST_USE enum status message_open_read(struct mp_reader *reader, uint32_t items);
/* A message ends where its frame ends; MALFORMED if bytes are left. */
MUST_USE enum status message_end_read(const struct mp_reader *reader);

/* These two run for every record, so they are inlined: then the cursor stays in registers. */

/* Moves past the header of an array of exactly `items`; INVALID for another arity or type. */
MUST_USE static inline enum status message_array_read(struct mp_reader *reader, uint32_t items)
{
    struct mp_reader at = *reader;
    uint32_t count;
    enum status status = mp_read_array(&at, &count);
    if (status != STATUS_OK)
        return status;
    if (count != items)
        return STATUS_INVALID;
    reader->at = at.at;
    return STATUS_OK;
}

/* A source's name: a string of 1 to EVENT_SOURCE_BYTES_MAX bytes, else INVALID. */
MUST_USE static inline enum status message_source_read(struct mp_reader *reader,
                                                       struct slice *ret_source)
{
    struct mp_reader at = *reader;
    struct slice source;
    enum status status = mp_read_text(&at, &source);
    if (status != STATUS_OK)
        return status;
    if (source.size == 0 || source.size > EVENT_SOURCE_BYTES_MAX)
        return STATUS_INVALID;
    *ret_source = source;
    reader->at = at.at;
    return STATUS_OK;
}

/* Appends nil for an empty text, or one that is not UTF-8 (strict readers would give up on it). */
void message_text_or_nil_write(struct buffer *buffer, struct slice text);
/* nil gives size 0. INVALID when longer than bytes_max. */
MUST_USE enum status message_text_or_nil_read(struct mp_reader *reader, size_t bytes_max,
                                              struct slice *ret_text);

/* The longest beginning of `text` that is UTF-8 and has at most bytes_max bytes. */
struct slice text_fit(struct slice text, size_t bytes_max);

#endif
