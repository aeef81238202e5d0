/* metrics: the text format of Prometheus (version 0.0.4) for a projector and the processor behind
 * it. Pure. Labels have few values by construction (reason, view, policy): never one for each key.
 */
#ifndef WEIR_PROJECTOR_HTTP_METRICS_H
#define WEIR_PROJECTOR_HTTP_METRICS_H

#include "common/base/buffer.h"
#include "projector/core/fold.h"
#include "projector/http/delays.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
    struct fold *fold;
    uint64_t newest_event_id; /* that the processor is known to have */
    uint64_t replays;
    uint64_t kept_event_id; /* of the newest checkpoint */
    uint64_t requests;      /* over HTTP */
    uint32_t connections;
    double events_per_s; /* accepted by the processor, of the last second */
    const struct delays *accepted_to_seen, *published_to_seen, *checkpoints;
    bool live, processor_up;
    struct slice processor; /* its status, the map's MessagePack; size 0: not known yet */
};

void metrics_write(const struct metrics *metrics, struct buffer *text);

#endif
