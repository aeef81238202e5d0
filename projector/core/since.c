#include "projector/core/since.h"

#include <inttypes.h>

enum status since_choose(uint64_t asked, uint64_t kept, uint64_t *ret_since,
                         struct detail *ret_detail)
{
    if (asked != 0 && kept != 0 && asked != kept)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "--from-id %" PRIu64 ": the database has views that begin with event "
                          "%" PRIu64 "; start without it, or with --rebuild to make them anew",
                          asked, kept);
    if (kept != 0)
        *ret_since = kept;
    else
        *ret_since = asked != 0 ? asked : 1;
    return STATUS_OK;
}

enum status since_check(uint64_t since, uint64_t first_event_id, struct detail *ret_detail)
{
    if (since >= first_event_id)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_GONE,
                      "views from event %" PRIu64 " on cannot be made: the log begins with event "
                      "%" PRIu64 ", retention dropped what was before; views of what is left: "
                      "start with --from-id %" PRIu64 " (with --rebuild if others were kept)",
                      since, first_event_id, first_event_id);
}
