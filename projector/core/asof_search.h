/* asof_search: how many rejections belong to "as of event N": those with after_event_id < N. Pure.
 *
 * after_event_id never decreases along the stream, so the first rejection that is beyond is found
 * by halving: look at the one that asof_search_next names, tell asof_search_learn, until there is
 * none.
 */
#ifndef WEIR_PROJECTOR_CORE_ASOF_SEARCH_H
#define WEIR_PROJECTOR_CORE_ASOF_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

struct asof_search {
    uint64_t event_id; /* N */
    uint64_t first;    /* all rejections below belong to it */
    uint64_t end;      /* none from here on does; first = end: found */
};

/* Of rejections `first` … `last` of the log. */
void asof_search_init(struct asof_search *search, uint64_t event_id, uint64_t first, uint64_t last);
/* The rejection to look at; false: found, asof_search_result has it. */
bool asof_search_next(const struct asof_search *search, uint64_t *ret_rejection_id);
/* What asof_search_next named stands behind event `after_event_id`. */
void asof_search_learn(struct asof_search *search, uint64_t after_event_id);
/* The last rejection that belongs to it; first − 1: none. */
uint64_t asof_search_result(const struct asof_search *search);

#endif
