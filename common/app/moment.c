#include "common/app/moment.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/duration.h"

static enum status bad(const char *text, const char *why, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_USAGE, "'%.64s': %s", text, why);
}

static enum status parse_id(const char *text, struct moment *ret_moment, struct detail *ret_detail)
{
    const char *digits = text + 1;
    uint64_t id;
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits))
        return bad(text, "an id is # and digits, such as #1234", ret_detail);
    if (!decimal_parse(digits, UINT64_MAX, &id))
        return bad(text, "the id does not fit 64 bits", ret_detail);
    *ret_moment = (struct moment){.kind = MOMENT_ID, .value = id};
    return STATUS_OK;
}

static enum status parse_back(const char *text, struct moment *ret_moment,
                              struct detail *ret_detail)
{
    const char *length = text + 1;
    const char *unit = length + strspn(length, "0123456789");
    uint64_t ns;
    if (unit == length)
        return bad(text, "- takes digits and a unit, such as -5m", ret_detail);
    if (*unit == '\0')
        return bad(text, "the unit is missing: one of ns us ms s m h d", ret_detail);
    if (!duration_parse(length, UINT64_MAX, &ns))
        return bad(text, "no length of time: an integer ≥ 1 and one of ns us ms s m h d",
                   ret_detail);
    *ret_moment = (struct moment){.kind = MOMENT_BACK, .value = ns};
    return STATUS_OK;
}

static enum status parse_time(const char *text, struct moment *ret_moment,
                              struct detail *ret_detail)
{
    uint64_t time_ns;
    if (clock_parse(text, &time_ns)) {
        *ret_moment = (struct moment){.kind = MOMENT_TIME, .value = time_ns};
        return STATUS_OK;
    }
    /* What people try first. */
    if (strspn(text, "0123456789") == strlen(text))
        return bad(text, "a bare number: an id is written #1234", ret_detail);
    if (*text < '0' || *text > '9' || (strchr(text, 'T') == NULL && strchr(text, 't') == NULL))
        return bad(text, "neither #ID, nor a time such as 2026-01-02T03:04:05Z, nor -5m",
                   ret_detail);
    return bad(text, "no time of RFC 3339 from 1970 to 2554, such as 2026-01-02T03:04:05.5+01:00",
               ret_detail);
}

enum status moment_parse(const char *text, struct moment *ret_moment, struct detail *ret_detail)
{
    if (text[0] == '\0')
        return bad(text, "empty: give #ID, a time such as 2026-01-02T03:04:05Z, or -5m",
                   ret_detail);
    if (text[0] == '#')
        return parse_id(text, ret_moment, ret_detail);
    if (text[0] == '-')
        return parse_back(text, ret_moment, ret_detail);
    return parse_time(text, ret_moment, ret_detail);
}

struct moment moment_resolve(struct moment moment, uint64_t last_time_ns)
{
    if (moment.kind != MOMENT_BACK)
        return moment;
    return (struct moment){.kind = MOMENT_TIME,
                           .value = moment.value < last_time_ns ? last_time_ns - moment.value : 0};
}
