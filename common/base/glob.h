/* glob: patterns over names such as event types: * stands for any bytes, ? for one byte, everything
 * else for itself. Pure; no escapes, no classes.
 */
#ifndef WEIR_COMMON_BASE_GLOB_H
#define WEIR_COMMON_BASE_GLOB_H

#include <stdbool.h>

#include "common/base/buffer.h"

/* Does the whole text match? Work is at most O(pattern × text). */
bool glob_matches(const char *pattern, struct slice text);

#endif
