/* background: a thread that works with what the others leave over.
 *
 * Its priority is the lowest, but that decides only between threads of one session that are ready
 * at the same moment: where processors are short it still takes each gap in which one of the others
 * waits for another, and is in the way when that gap ends. So it also rests in proportion to how
 * long it had to wait for a processor: not at all where there are enough, most of the time where
 * there are not.
 */
#ifndef WEIR_COMMON_BASE_BACKGROUND_H
#define WEIR_COMMON_BASE_BACKGROUND_H

#include <stdint.h>

struct background {
    int statistics;     /* of this thread, by the kernel; −1: there are none, it never rests */
    uint64_t looked_ns; /* CLOCK_BOOTTIME; the end of the last rest */
    uint64_t waited_ns; /* for a processor, until then, in all */
};

/* The calling thread is one from now on, and so are those that it starts, as to their priority. */
void background_begin(struct background *background);
/* The kernel weighs sessions against each other before it looks at priorities (sched(7),
 * "autogroup"): a session that the calling process leads stands behind the others from now on. */
void background_begin_session(void);
void background_end(struct background *background);
/* Between two pieces of work of some ms, at `now_ns` of CLOCK_BOOTTIME: for how long to do nothing
 * now, ≤ 1 s, by how long the thread had to wait since the last rest. */
uint64_t background_rest_ns(struct background *background, uint64_t now_ns);

#endif
