/* json_fast: a line of JSON straight into an event's MessagePack, without a tree between them.
 *
 * For lines of the usual shape, which is nearly all of them: strings without escapes, integers of
 * up to 18 digits, one member of each name, at most 16 extensions. It gives up on every other line
 * and on every line that is wrong; json.c then reads it through jansson, which also finds the words
 * for what is wrong. So a line has one meaning, whoever read it: where json_fast_read is true, its
 * bytes are those that json_tree_read gives (the tests and a fuzzer compare them).
 *
 * Private to common/event and its tests.
 */
#ifndef WEIR_COMMON_EVENT_JSON_FAST_H
#define WEIR_COMMON_EVENT_JSON_FAST_H

#include "common/event/json.h"

/* As json_read_event; false: not read, nothing was appended. */
bool json_fast_read(struct slice line, uint64_t now_ns, struct buffer *event, char *ret_source);

/* The other way, in json.c. As json_read_event. */
MUST_USE enum status json_tree_read(struct slice line, uint64_t now_ns, struct buffer *event,
                                    char *ret_source, struct detail *ret_detail);

#endif
