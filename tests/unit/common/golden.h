/* golden: the bytes in tests/golden/KIND.hex, which are never regenerated, and small tools that the
 * tests of the wire share. */
#ifndef WEIR_TESTS_UNIT_COMMON_GOLDEN_H
#define WEIR_TESTS_UNIT_COMMON_GOLDEN_H

#include "common/base/buffer.h"
#include "common/base/rng.h"

/* Appends the bytes of message `name`; fails the test if there is none. */
void golden_read(const char *kind, const char *name, struct buffer *bytes);
/* Fails the test unless `written` is exactly the golden message. */
void assert_golden(struct slice written, const char *kind, const char *name);
void assert_text(struct slice slice, const char *text);
void assert_bytes(struct slice slice, struct slice expected);

/* [1700000000000000000, "order.created", "order-1", 1, {"status": "new", "amount": 1250}] */
void golden_event_created(struct buffer *bytes);
/* [1700000000000000001, "user.login", "Zoë", 65535, {}, {"traceparent": "00-ab-cd-01"}] */
void golden_event_traced(struct buffer *bytes);

/* Spoils a message at random: bytes changed, cut off, put in, taken out or doubled. */
void golden_spoil(struct rng *rng, struct buffer *bytes);
/* Calls `read` with spoiled copies of every message of a kind (WEIR_SPOILED_COPIES of each); it
 * must come back. A copy has no byte to spare behind it, so that sanitizers see a read past its
 * end. */
typedef void golden_read_fn(struct slice bytes);
void golden_spoil_all(const char *kind, golden_read_fn *read);

#define GOLDEN_TIME 1700000000000000000ULL

#endif
