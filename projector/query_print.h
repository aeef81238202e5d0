/* query_print: a view's reply for people (a table) and for programs (JSON). Pure: bytes in, text
 * out. */
#ifndef WEIR_PROJECTOR_QUERY_PRINT_H
#define WEIR_PROJECTOR_QUERY_PRINT_H

#include "common/base/buffer.h"

/* `map` is the one item of a good reply to `view`. Each appends to `text`, and gives MALFORMED or
 * INVALID for a map that is no view. */

/* The rows in aligned columns under a line of their names, control characters escaped; columns
 * whose name ends in _at as times. */
MUST_USE enum status query_print_table(struct slice map, struct buffer *text);
/* One line: view, position, time and digest. */
MUST_USE enum status query_print_position(struct slice map, struct buffer *text);
/* The map, or that of a processor's status, as one JSON object; ids and times as strings. */
MUST_USE enum status query_print_json(struct slice map, struct buffer *text);

#endif
