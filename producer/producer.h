/* producer: the outboxes of all sources of one program over one link, and the loop that serves
 * them.
 *
 * The commands (send, generate) put events in; producer_turn sends, listens and waits. Belongs to
 * one thread. Invariant: all outboxes together hold at most about PRODUCER_BYTES_MAX.
 */
#ifndef WEIR_PRODUCER_PRODUCER_H
#define WEIR_PRODUCER_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/control.h"
#include "common/wire/endpoint.h"
#include "producer/core/outbox.h"
#include "producer/link.h"

enum {
    PRODUCER_SOURCES_MAX = 1024,
    PRODUCER_BYTES_MAX = 64 * 1024 * 1024,
    PRODUCER_SOURCE_NONE = PRODUCER_SOURCES_MAX,
};
#define PRODUCER_JOIN_NS_MAX 5000000000ULL
/* How long the end waits for outstanding acks after a stop was asked for. */
#define PRODUCER_DRAIN_NS 5000000000ULL

struct producer; /* opaque */

/* Sets the sockets up and connects; no processor need be there yet. */
MUST_USE enum status producer_open(const struct endpoint_options *options,
                                   struct producer **ret_producer, struct detail *ret_detail);
void producer_close(struct producer **producer);

/* As link_status. */
MUST_USE enum status producer_status(struct producer *producer, struct processor_status *ret_status,
                                     struct detail *ret_detail);
/* Says hello for a source that has none yet, and gives it an outbox. *ret_hello: where it stands.
 * FULL above PRODUCER_SOURCES_MAX; UNAVAILABLE, INTERRUPTED as link_hello. */
MUST_USE enum status producer_add_source(struct producer *producer, struct slice source,
                                         uint32_t *ret_index, struct hello_reply *ret_hello,
                                         struct detail *ret_detail);
/* The source's index, or PRODUCER_SOURCE_NONE. */
uint32_t producer_find(const struct producer *producer, struct slice source);
uint32_t producer_source_count(const struct producer *producer);
const struct outbox *producer_outbox(const struct producer *producer, uint32_t index);

/* As the outbox's, within PRODUCER_BYTES_MAX. */
MUST_USE enum status producer_reserve(struct producer *producer, uint32_t index, size_t bytes,
                                      uint8_t **ret_at);
void producer_added(struct producer *producer, uint32_t index, uint8_t *end, uint32_t events);
void producer_seal(struct producer *producer, uint32_t index);
void producer_seal_all(struct producer *producer);

/* What may end a turn's wait besides acks, room to push, a quiet timer and a stop. */
struct turn {
    int fd;         /* readable; −1: none */
    int timeout_ms; /* 0: do not wait; −1: no limit */
    bool fd_ready;  /* result */
};
/* Who hears what else the feed brings; the message lives as long as the call. */
typedef void producer_message_fn(void *context, const struct link_message *message);
/* Subscribes to one more topic for a listener (one per producer) and waits for a heartbeat: what is
 * published after that reaches it, unless a queue overflows. UNAVAILABLE when there is no heartbeat
 * for PRODUCER_JOIN_NS_MAX; else as producer_turn. */
MUST_USE enum status producer_listen(struct producer *producer, const char *topic,
                                     producer_message_fn *listener, void *context,
                                     struct detail *ret_detail);
/* One turn: pushes what can be pushed, waits as told, takes all acks, runs the timers.
 * STATUS_FENCED when a source was taken over or the log is another one: the detail says which. */
MUST_USE enum status producer_turn(struct producer *producer, struct turn *turn,
                                   struct detail *ret_detail);
/* Turns until every event has its verdict: without limit, or after a stop for PRODUCER_DRAIN_NS at
 * most. STATUS_TIMED_OUT, FENCED, IO. */
MUST_USE enum status producer_drain(struct producer *producer, struct detail *ret_detail);

/* Events without a verdict. */
uint64_t producer_pending(const struct producer *producer);
/* The sum over all sources. */
struct outbox_counts producer_counts(const struct producer *producer);

enum { PRODUCER_COUNTS_BYTES_MAX = 512 };
/* "12 accepted, 3 refused (rate_limited 2, invalid 1)" */
void producer_counts_format(const struct outbox_counts *counts,
                            char ret_text[PRODUCER_COUNTS_BYTES_MAX]);
/* The exit code for these verdicts: all accepted, or not; TEMPORARY if some have none. */
int producer_exit_code(const struct producer *producer);

#endif
