#include "processor/recorder.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/event/codec.h"
#include "common/policy/policy.h"

enum {
    KEY_ITEM_BYTES_MAX = 5 + POLICY_KEY_BYTES_MAX,
    PLACES = 2 * RECORDER_SUMMARIES_MAX, /* of the index, a power of two */
};

/* What refusals are counted by. The bytes of all fields lie one after another. */
struct summary {
    uint64_t count;
    enum reason reason;
    uint8_t source_size, policy_size, key_size;
    uint8_t bytes[EVENT_SOURCE_BYTES_MAX + POLICY_NAME_BYTES_MAX + KEY_ITEM_BYTES_MAX];
};

struct recorder {
    struct hash_seed seed;
    uint32_t records_per_s;
    uint64_t second;  /* log time in s that `taken` and `entered` belong to */
    uint32_t taken;   /* records in that second */
    uint32_t entered; /* entries of the table in that second */
    uint32_t summary_count;
    uint16_t places[PLACES]; /* hash → summary index + 1; 0: free */
    struct summary summaries[RECORDER_SUMMARIES_MAX];
    uint64_t overflow[REASON_COUNT]; /* counted by reason alone */
};

struct recorder *recorder_new(uint32_t records_per_s)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (recorder == NULL)
        return NULL;
    hash_seed_random(&recorder->seed);
    recorder->records_per_s = records_per_s;
    return recorder;
}

void recorder_destroy(struct recorder **recorder)
{
    free(*recorder);
    *recorder = NULL;
}

static void second_begin(struct recorder *recorder, uint64_t now_ns)
{
    uint64_t second = now_ns / NS_PER_S;
    if (second == recorder->second)
        return;
    recorder->second = second;
    recorder->taken = 0;
    recorder->entered = 0;
}

static bool rate_allows(struct recorder *recorder)
{
    if (recorder->taken >= recorder->records_per_s)
        return false;
    recorder->taken++;
    return true;
}

static struct summary summary_of(const struct rejection *rejection)
{
    struct summary summary = {.reason = rejection->reason,
                              .source_size = (uint8_t)rejection->source.size,
                              .policy_size = (uint8_t)rejection->policy.size,
                              .key_size = (uint8_t)rejection->key.size};
    uint8_t *at = codec_put_bytes(summary.bytes, rejection->source);
    at = codec_put_bytes(at, rejection->policy);
    codec_put_bytes(at, rejection->key);
    return summary;
}

static size_t summary_bytes(const struct summary *summary)
{
    return (size_t)summary->source_size + summary->policy_size + summary->key_size;
}

static bool summary_equal(const struct summary *a, const struct summary *b)
{
    return a->reason == b->reason && a->source_size == b->source_size &&
           a->policy_size == b->policy_size && a->key_size == b->key_size &&
           memcmp(a->bytes, b->bytes, summary_bytes(a)) == 0;
}

/* The entry for what `wanted` counts by, entered if there is room; NULL when the table is full or
 * has had its share of this second. */
static struct summary *summary_find(struct recorder *recorder, const struct summary *wanted)
{
    uint64_t hash = hash_keyed(&recorder->seed, wanted->bytes, summary_bytes(wanted));
    uint32_t place = (uint32_t)(hash + wanted->reason) % PLACES;
    while (recorder->places[place] != 0) {
        struct summary *found = &recorder->summaries[recorder->places[place] - 1];
        if (summary_equal(found, wanted))
            return found;
        place = (place + 1) % PLACES;
    }
    if (recorder->summary_count == RECORDER_SUMMARIES_MAX ||
        recorder->entered == RECORDER_SUMMARIES_PER_S)
        return NULL;
    recorder->entered++;
    recorder->summaries[recorder->summary_count] = *wanted;
    recorder->places[place] = (uint16_t)++recorder->summary_count;
    return &recorder->summaries[recorder->summary_count - 1];
}

uint32_t recorder_take(struct recorder *recorder, const struct rejection *rejection,
                       struct buffer *records)
{
    second_begin(recorder, rejection->rejected_at_ns);
    if (rate_allows(recorder)) {
        rejection_write(records, rejection);
        return 1;
    }
    struct summary wanted = summary_of(rejection);
    struct summary *summary = summary_find(recorder, &wanted);
    if (summary != NULL)
        summary->count += rejection->count;
    else
        recorder->overflow[rejection->reason] += rejection->count;
    return 0;
}

static struct rejection rejection_of(const struct summary *summary)
{
    const uint8_t *policy = summary->bytes + summary->source_size;
    return (struct rejection){.reason = summary->reason,
                              .count = summary->count,
                              .retry_after_ns = RECORD_NEVER,
                              .detail = slice_of_text("summary: refused above the recorded rate"),
                              .source = {summary->bytes, summary->source_size},
                              .policy = {policy, summary->policy_size},
                              .key = {policy + summary->policy_size, summary->key_size}};
}

uint32_t recorder_close(struct recorder *recorder, uint64_t first_id, uint64_t now_ns,
                        uint64_t after_event_id, struct buffer *records)
{
    uint64_t id = first_id;
    for (uint32_t i = 0; i < recorder->summary_count + REASON_COUNT; i++) {
        struct summary by_reason = {0};
        const struct summary *summary = &by_reason;
        if (i < recorder->summary_count) {
            summary = &recorder->summaries[i];
        } else {
            by_reason.reason = (enum reason)(i - recorder->summary_count);
            by_reason.count = recorder->overflow[by_reason.reason];
        }
        if (summary->count == 0)
            continue;
        struct rejection rejection = rejection_of(summary);
        rejection.rejection_id = id++;
        rejection.rejected_at_ns = now_ns;
        rejection.after_event_id = after_event_id;
        rejection_write(records, &rejection);
    }
    if (recorder->summary_count > 0)
        memset(recorder->places, 0, sizeof recorder->places);
    recorder->summary_count = 0;
    memset(recorder->overflow, 0, sizeof recorder->overflow);
    return (uint32_t)(id - first_id);
}

bool recorder_is_empty(const struct recorder *recorder)
{
    for (int i = 0; i < REASON_COUNT; i++)
        if (recorder->overflow[i] > 0)
            return false;
    return recorder->summary_count == 0;
}

size_t recorder_close_bytes(const struct recorder *recorder)
{
    return (recorder->summary_count + (size_t)REASON_COUNT) * RECORDER_SUMMARY_BYTES_MAX;
}
