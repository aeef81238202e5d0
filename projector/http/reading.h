/* reading: events out of the log for HTTP: pages of /events, and the streams of /live.
 *
 * Both replay from the processor over `upstream`, at the reader's pace: the next piece is asked for
 * when the one before was handed on. So a reader who takes nothing costs one buffer, one who comes
 * back resumes exactly, and following the log never waits for either. A page is at most
 * READING_ROUNDS_MAX replays, however little its filter lets through; `next` says where to go on.
 */
#ifndef WEIR_PROJECTOR_HTTP_READING_H
#define WEIR_PROJECTOR_HTTP_READING_H

#include "projector/http/http_request.h"
#include "projector/http/http_server.h"
#include "projector/http/upstream.h"

enum {
    READING_ROUNDS_MAX = 4,   /* replays of at most 1 MiB for one page */
    READING_PAGES_MAX = 32,   /* pages in the making; beyond: 503 */
    READING_STREAMS_MAX = 32, /* of /live; beyond: 503 */
};

#define READING_EVERY_NS    (100 * NS_PER_MS) /* a stream asks at most so often */
#define READING_POSITION_NS (1 * NS_PER_S)    /* a stream hears where the projector is */

struct readings;

MUST_USE enum status readings_open(struct upstream *upstream, const struct log_id *log_id,
                                   struct readings **ret_readings, struct detail *ret_detail);
/* All their exchanges must be over. */
void readings_close(struct readings **readings);

/* Where the log and the projector are, as far as is known. */
struct reading_position {
    uint64_t newest_event_id, newest_rejection_id; /* that the processor has */
    uint64_t event_id, rejection_id, time_ns;      /* of the views */
    bool live;
};

/* Answers the exchange later. `from` and `to`, which is inclusive: ids of the stream, or times. */
void readings_page(struct readings *readings, struct http_exchange *exchange,
                   const struct http_request *request, struct moment from, struct moment to,
                   uint64_t now_ns);
/* Makes a stream of the exchange, from `from` on. */
void readings_stream(struct readings *readings, struct http_exchange *exchange, enum stream stream,
                     uint64_t from);

/* Asks for what streams lack, and says positions. `now_ns`: CLOCK_BOOTTIME. */
void readings_turn(struct readings *readings, const struct reading_position *position,
                   uint64_t now_ns);
/* When a turn is due if nothing comes before; UINT64_MAX: never. */
uint64_t readings_due_ns(const struct readings *readings);
uint32_t readings_stream_count(const struct readings *readings);

#endif
