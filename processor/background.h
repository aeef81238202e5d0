/* background: a thread that works with what the others leave over.
 *
 * Its priority is the lowest, but that decides only between threads that are ready at the same
 * moment: where processors are short it still takes each gap in which one of the others waits for
 * another, and is in the way when that gap ends. So it also rests in proportion to how long it had
 * to wait for a processor: not at all where there are enough, most of the time where there are not.
 */
#ifndef WEIR_PROCESSOR_BACKGROUND_H
#define WEIR_PROCESSOR_BACKGROUND_H

#include <stdint.h>

struct background {
    int statistics;     /* of this thread, by the kernel; −1: there are none, it never rests */
    uint64_t looked_ns; /* CLOCK_BOOTTIME */
    uint64_t waited_ns; /* for a processor, until then, in all */
};

/* The calling thread is one from now on. */
void background_begin(struct background *background);
void background_end(struct background *background);
/* Between two pieces of work of some ms: rests, if it had to wait since the last time. */
void background_yield(struct background *background);

#endif
