/* catalogue: every kind of bad submission that `inject` knows, its bytes, and what the protocol
 * says must come back. Pure.
 *
 * The table is the protocol's list of checks (docs/protocol.md, "What is checked, in this order")
 * with one entry or more per check; a new kind is one row and, where none fits, one builder. All
 * bytes are made from the place alone, so the same place gives the same bytes. They carry the
 * source's name or the marker wherever the kind leaves room, so that a record of refusal that names
 * no source can be told from others by its evidence.
 */
#ifndef WEIR_PRODUCER_CORE_CATALOGUE_H
#define WEIR_PRODUCER_CORE_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/event/event.h"
#include "common/event/reason.h"

enum {
    INJECTION_BYTES_MAX = 2 * 1024 * 1024,
    INJECTION_MARKER_BYTES_MAX = EVENT_SUBJECT_BYTES_MAX,
    INJECTION_GAP = 100, /* sequences that a gap leaves out */
};
#define INJECTION_TYPE "inject.probe" /* of good events */

/* What a kind is answered with. */
enum answer {
    ANSWER_RECORD, /* a record of refusal; where sequences are used, acks too */
    ANSWER_LIMIT,  /* a burst: as many accepted as fit, rate_limited for the others */
    ANSWER_RESEND, /* sent twice: the second ack repeats the first; nothing is recorded */
    ANSWER_GAP,    /* an ack that says where to resume; nothing is recorded */
    ANSWER_FENCED, /* an ack that tells the current epoch; nothing is recorded */
};

/* Where an injection takes place: what is true of its source, and what sets it apart. */
struct injection_place {
    struct slice source;
    uint64_t epoch;          /* current; ≥ 2, so that there is an older one */
    uint64_t first_sequence; /* the one after the source's last */
    struct slice marker;     /* subject of its events, ≤ INJECTION_MARKER_BYTES_MAX */
    uint64_t time_ns;        /* occurred_at of its events */
};

struct kind {
    const char *name;
    const char *what; /* is sent, for people */
    enum reason reason;
    enum answer answer;
    uint32_t good; /* events that are decided before the bad ones; they use sequences */
    uint32_t
        refused; /* sequences that are refused; 0: the submission is refused, or what is left */
    bool unsequenced;
    bool nameless;     /* the record cannot name the source: the header was not read */
    bool two_frames;   /* sent as a message of two frames, each of these bytes */
    struct slice item; /* what the builder puts in */
    void (*build)(const struct kind *kind, const struct injection_place *place,
                  struct buffer *bytes);
};

uint32_t catalogue_count(void);
/* index < catalogue_count (). */
const struct kind *catalogue_kind(uint32_t index);
/* NULL if there is none of that name. */
const struct kind *catalogue_find(const char *name);

/* Appends the kind's bytes; a failure sticks in the buffer. Not for ANSWER_LIMIT, whose events
 * depend on the policies (burst.h). */
void catalogue_build(const struct kind *kind, const struct injection_place *place,
                     struct buffer *bytes);
/* How many sequences the kind uses; not for ANSWER_LIMIT. */
uint64_t catalogue_sequences(const struct kind *kind);

/* The header of a good submission of `count` events at that place. */
void injection_header(const struct injection_place *place, uint32_t count, struct buffer *bytes);

#endif
