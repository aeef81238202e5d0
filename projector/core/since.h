/* since: the event that a projector's views begin with. 1 is the log's beginning; another one is
 * asked for with --from-id where the log has lost that, and is then kept with every checkpoint, so
 * that a restart need not ask again.
 *
 * Pure.
 */
#ifndef WEIR_PROJECTOR_CORE_SINCE_H
#define WEIR_PROJECTOR_CORE_SINCE_H

#include <stdint.h>

#include "common/base/status.h"

/* `asked`: of --from-id, 0: not given. `kept`: of the checkpoints, 0: there are none. CONFIG where
 * the two differ. */
MUST_USE enum status since_choose(uint64_t asked, uint64_t kept, uint64_t *ret_since,
                                  struct detail *ret_detail);

/* A view is to be made from the log: GONE where the log no longer has what is needed. */
MUST_USE enum status since_check(uint64_t since, uint64_t first_event_id,
                                 struct detail *ret_detail);

#endif
