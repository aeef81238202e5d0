/* asof_replay: works out one view as of a moment, over a control connection of its own: what was
 * then the last event and the last rejection, the newest snapshot before them, and a replay from
 * there. Waits for the processor; belongs to one thread.
 */
#ifndef WEIR_PROJECTOR_ASOF_REPLAY_H
#define WEIR_PROJECTOR_ASOF_REPLAY_H

#include <stdatomic.h>

#include "projector/asof.h"
#include "projector/core/answer.h"

struct asof_replay;

/* As asof_options; what it points at outlives this. `stop` ends a wait once it is true. */
MUST_USE enum status asof_replay_open(const struct asof_options *options, const atomic_bool *stop,
                                      struct asof_replay **ret_replay, struct detail *ret_detail);
void asof_replay_close(struct asof_replay **replay);

/* Appends the reply, good or an error, to an empty buffer of ANSWER_BYTES_MAX. True: the log cannot
 * change this answer any more. */
bool asof_replay_answer(struct asof_replay *replay, const struct asof_question *question,
                        struct buffer *reply);

#endif
