#include "common/base/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t ns;
};
static const struct unit units[] = {
    /* largest first: the shortest text takes the first that divides */
    {"d", 86400 * 1000000000ULL},
    {"h", 3600 * 1000000000ULL},
    {"m", 60 * 1000000000ULL},
    {"s", 1000000000ULL},
    {"ms", 1000000},
    {"us", 1000},
    {"ns", 1},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

bool decimal_parse(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static const struct unit *find_unit(const char *name)
{
    for (unsigned i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    }
    return NULL;
}

bool duration_parse(const char *text, uint64_t max_ns, uint64_t *ret_ns)
{
    char digits[DURATION_TEXT_BYTES];
    size_t size = strspn(text, "0123456789");
    const struct unit *unit = find_unit(text + size);
    if (unit == NULL || size >= sizeof digits)
        return false;
    memcpy(digits, text, size);
    digits[size] = '\0';
    uint64_t count;
    if (!decimal_parse(digits, max_ns / unit->ns, &count) || count == 0)
        return false;
    *ret_ns = count * unit->ns;
    return true;
}

void duration_format(uint64_t ns, char ret_text[DURATION_TEXT_BYTES])
{
    const struct unit *unit = units;
    while (ns % unit->ns != 0)
        unit++;
    (void)snprintf(ret_text, DURATION_TEXT_BYTES, "%" PRIu64 "%s", ns / unit->ns, unit->name);
}
