#include "projector/core/asof_search.h"

void asof_search_init(struct asof_search *search, uint64_t event_id, uint64_t first, uint64_t last)
{
    *search = (struct asof_search){.event_id = event_id, .first = first, .end = last + 1};
}

static uint64_t middle(const struct asof_search *search)
{
    return search->first + (search->end - search->first) / 2;
}

bool asof_search_next(const struct asof_search *search, uint64_t *ret_rejection_id)
{
    if (search->first >= search->end)
        return false;
    *ret_rejection_id = middle(search);
    return true;
}

void asof_search_learn(struct asof_search *search, uint64_t after_event_id)
{
    if (after_event_id < search->event_id)
        search->first = middle(search) + 1;
    else
        search->end = middle(search);
}

uint64_t asof_search_result(const struct asof_search *search)
{
    return search->first - 1;
}
