/* lines: a file or stream as lines, and the hash of what was taken from its beginning.
 *
 * Reads only when told to, so that a poll loop decides when. A line ends with '\n' or with the
 * input; one longer than JSON_LINE_BYTES_MAX is thrown away and reported once. The hash is XXH3
 * over blocks of 64 KiB, each seeded with the hash before it; so it does not depend on how the
 * bytes came in. Belongs to one thread.
 */
#ifndef WEIR_COMMON_UPLOAD_LINES_H
#define WEIR_COMMON_UPLOAD_LINES_H

#include <stdbool.h>

#include "common/base/buffer.h"
#include "common/upload/upload.h"

struct lines; /* opaque */

/* Opens PATH, or standard input for "-". BAD_INPUT if it cannot be read. */
MUST_USE enum status lines_open(const char *path, struct lines **ret_lines,
                                struct detail *ret_detail);
void lines_close(struct lines **lines);

int lines_fd(const struct lines *lines);
/* Is it a file that can be read again from its beginning? */
bool lines_is_file(const struct lines *lines);

/* Moves past a beginning that was taken before. BAD_INPUT, moving no further, if the input is
 * shorter or its bytes are others. */
MUST_USE enum status lines_skip(struct lines *lines, const struct upload_prefix *prefix,
                                struct detail *ret_detail);
/* The next line without its end, valid until the next call. END: no whole line has been read yet
 * (lines_read), or the input is over (lines_over). TOO_LARGE: a line was thrown away. */
MUST_USE enum status lines_next(struct lines *lines, struct slice *ret_line);
/* One read(2). OK (also at the end of input), IO. */
MUST_USE enum status lines_read(struct lines *lines, struct detail *ret_detail);
/* Everything was taken and the input has ended. */
bool lines_over(const struct lines *lines);

/* What was taken so far; `lines` is the number of the newest line. Hashes up to 64 KiB each time.
 */
struct upload_prefix lines_taken(const struct lines *lines);
/* The number of the newest line alone. */
uint64_t lines_number(const struct lines *lines);

#endif
