/* injector: sends what the catalogue has, one injection at a time, and listens to what comes back.
 *
 * It has a source of its own and hears its acks and all records of refusal; records that the feed
 * lost on the way it replays. After each injection it says hello again, which tells exactly how
 * many sequences were used and makes the epoch before a stale one. Belongs to one thread.
 */
#ifndef WEIR_PRODUCER_INJECTOR_H
#define WEIR_PRODUCER_INJECTOR_H

#include "common/wire/endpoint.h"
#include "producer/core/finding.h"

/* How long an injection waits for its answer. */
#define INJECTOR_ANSWER_NS_MAX 10000000000ULL

struct injector; /* opaque */

/* Connects, joins the feed and takes a new source over. UNAVAILABLE when no processor answers in
 * time, INTERRUPTED, IO. */
MUST_USE enum status injector_open(const struct endpoint_options *options,
                                   struct injector **ret_injector, struct detail *ret_detail);
void injector_close(struct injector **injector);

/* Its source; lives as long as it does. */
const char *injector_source(const struct injector *injector);

/* Injects one of the kind. OK: the finding is closed; it borrows the injector's memory until the
 * next one. UNAVAILABLE: the processor does not answer any more. INTERRUPTED, IO, NO_MEMORY,
 * MALFORMED: the feed is not the protocol's. */
MUST_USE enum status injector_run(struct injector *injector, const struct kind *kind,
                                  struct finding *ret_finding, struct detail *ret_detail);

#endif
