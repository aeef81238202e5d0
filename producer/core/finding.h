/* finding: what came back for one injection, against what the protocol says must. Pure.
 *
 * It is shown every record of refusal and every ack that the feed brings, whoever they are about,
 * picks out its own and notes the first thing that is not as it should be. A record is its own if
 * it names the source or, where none can be named, if its evidence is the injection's first bytes.
 * While refusals come faster than they are recorded one by one, a summary by reason stands for it.
 */
#ifndef WEIR_PRODUCER_CORE_FINDING_H
#define WEIR_PRODUCER_CORE_FINDING_H

#include "common/event/codec.h"
#include "common/wire/control.h"
#include "common/wire/feed.h"
#include "common/wire/record.h"
#include "producer/core/burst.h"
#include "producer/core/catalogue.h"

/* A record of refusal, copied out of the feed. */
struct found_record {
    uint64_t rejection_id;
    uint64_t sequence; /* meaningful where has_sequence */
    uint64_t count;
    uint64_t retry_after_ns; /* RECORD_NEVER: nil */
    enum reason reason;
    bool has_sequence;
    bool names_source;
    char detail[RECORD_DETAIL_BYTES_MAX + 1];
    char policy[RECORD_POLICY_BYTES_MAX + 1];
    uint8_t key[CONTROL_KEY_BYTES_MAX + CODEC_TEXT_HEADER_BYTES_MAX]; /* one MessagePack item */
    size_t key_size;                                                  /* 0: nil */
    uint8_t evidence[RECORD_EVIDENCE_BYTES_MAX];                      /* its beginning */
    size_t evidence_size;                                             /* bytes kept */
};

/* The newest ack. */
struct found_ack {
    uint64_t epoch, first_sequence, last_sequence;
    enum ack_status status;
};

struct finding {
    const struct kind *kind;
    struct injection_place place; /* borrowed */
    struct slice sent;            /* borrowed: what evidence is compared with */
    const struct burst *burst;    /* borrowed; NULL: not ANSWER_LIMIT */
    uint64_t sequences;           /* that it should use */
    bool nothing_spent;           /* before a burst, under its key */
    bool resent;                  /* ANSWER_RESEND: the second time */

    bool has_record, has_ack;
    struct found_record record; /* the first of its own */
    struct found_ack ack;
    uint64_t recorded;  /* refusals in its records */
    uint64_t anonymous; /* refusals in summaries that name no source: others' and perhaps its own */
    uint64_t decided;   /* of its sequences, by acks */
    uint64_t refused;   /* of those */
    uint64_t refused_first_time; /* ANSWER_RESEND */

    bool skipped;          /* not injected: `problem` says why */
    struct detail problem; /* the first; empty: none */
};

struct finding_options {
    const struct kind *kind;
    struct injection_place place;
    struct slice sent;         /* the first frame; of a burst, its first submission */
    const struct burst *burst; /* ANSWER_LIMIT, else NULL */
    bool nothing_spent;
};
/* What the options point at must outlive the finding. */
void finding_init(struct finding *finding, const struct finding_options *options);

/* Something from the feed. */
void finding_record(struct finding *finding, const struct rejection *rejection);
void finding_ack(struct finding *finding, const struct ack *ack);

/* Is all there that must come, or something that must not? */
bool finding_complete(const struct finding *finding);
/* Would it be complete if a summary without a source stood for its record? */
bool finding_summarised(const struct finding *finding);

/* ANSWER_RESEND: the same bytes are about to be sent again. */
void finding_resend(struct finding *finding);
/* Ends it: the source's last sequence is now this one, and deciding took at most so long. */
void finding_close(struct finding *finding, uint64_t last_sequence, uint64_t elapsed_ns);
/* Ends it, not as stated, if there is no problem yet. */
void finding_fail(struct finding *finding, const char *format, ...) PRINTF_LIKE(2, 3);
void finding_skip(struct finding *finding, const struct detail *why);

/* Not skipped, and all as the protocol states. */
bool finding_as_stated(const struct finding *finding);

#endif
