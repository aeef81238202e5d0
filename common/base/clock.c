#include "common/base/clock.h"

#include <assert.h>
#include <stddef.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;
    int failed = clock_gettime(id, &now);
    assert(failed == 0); /* only a wrong id can fail */
    (void)failed;
    if (now.tv_sec < 0)
        return 0;
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

uint64_t clock_boot_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

void log_clock_init(struct log_clock *clock, uint64_t wall_ns, uint64_t boot_ns,
                    uint64_t last_stamp_ns)
{
    clock->anchor_ns = wall_ns > last_stamp_ns ? wall_ns : last_stamp_ns;
    clock->boot_start_ns = boot_ns;
    clock->last_stamp_ns = last_stamp_ns;
}

/* Log time at a reading of CLOCK_BOOTTIME, without the promise never to decrease. */
uint64_t log_clock_at(const struct log_clock *clock, uint64_t boot_ns)
{
    uint64_t elapsed_ns = boot_ns > clock->boot_start_ns ? boot_ns - clock->boot_start_ns : 0;
    return clock->anchor_ns + elapsed_ns;
}

uint64_t log_clock_stamp(struct log_clock *clock, uint64_t boot_ns)
{
    uint64_t now_ns = log_clock_at(clock, boot_ns);
    if (now_ns > clock->last_stamp_ns)
        clock->last_stamp_ns = now_ns;
    return clock->last_stamp_ns;
}

int64_t log_clock_wall_step(const struct log_clock *clock, uint64_t wall_ns, uint64_t boot_ns)
{
    uint64_t log_ns = log_clock_at(clock, boot_ns);
    uint64_t distance_ns = wall_ns > log_ns ? wall_ns - log_ns : log_ns - wall_ns;
    if (distance_ns > INT64_MAX)
        distance_ns = INT64_MAX;
    return wall_ns > log_ns ? (int64_t)distance_ns : -(int64_t)distance_ns;
}

/* The date of a day since 1970-01-01. Years begin in March here, so that a leap day is the last
 * (H. Hinnant, chrono-compatible low-level date algorithms, civil_from_days). */
static void date_of(unsigned days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    unsigned z = days + 719468; /* since 0000-03-01 */
    unsigned era = z / 146097, of_era = z % 146097;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153;
    *ret_day = of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

/* So many digits and a byte behind them. */
static char *put_digits(char *at, unsigned value, unsigned digits, char behind)
{
    for (unsigned i = digits; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    at[digits] = behind;
    return at + digits + 1;
}

void clock_format(uint64_t time_ns, char ret_text[CLOCK_TEXT_BYTES])
{
    uint64_t seconds = time_ns / NS_PER_S; /* uint64 ns end in the year 2554 */
    unsigned year, month, day, second = (unsigned)(seconds % 86400);
    date_of((unsigned)(seconds / 86400), &year, &month, &day);
    char *at = put_digits(ret_text, year, 4, '-');
    at = put_digits(at, month, 2, '-');
    at = put_digits(at, day, 2, 'T');
    at = put_digits(at, second / 3600, 2, ':');
    at = put_digits(at, second / 60 % 60, 2, ':');
    at = put_digits(at, second % 60, 2, '.');
    at = put_digits(at, (unsigned)(time_ns % NS_PER_S), 9, 'Z');
    *at = '\0';
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; year ≥ 1970, month 1 to 12. */
static uint64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
    static const unsigned days_before_month[] = {0,   31,  59,  90,  120, 151,
                                                 181, 212, 243, 273, 304, 334};
    /* Leap days before this date count the years that are complete, or past February. */
    unsigned leap_year = month > 2 ? year : year - 1;
    unsigned leap_days = leap_year / 4 - leap_year / 100 + leap_year / 400;
    enum { LEAP_DAYS_BEFORE_1970 = 1969 / 4 - 1969 / 100 + 1969 / 400 };
    return (uint64_t)(year - 1970) * 365 + (leap_days - LEAP_DAYS_BEFORE_1970) +
           days_before_month[month - 1] + (day - 1);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Exactly `digits` decimal digits; moves past them. */
static bool read_digits(const char **at, unsigned digits, unsigned *ret_value)
{
    unsigned value = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (unsigned)(c - '0');
    }
    *at += digits;
    *ret_value = value;
    return true;
}

static bool read_either(const char **at, char a, char b)
{
    if (**at != a && **at != b)
        return false;
    (*at)++;
    return true;
}

static bool read_date(const char **at, uint64_t *ret_days)
{
    unsigned year, month, day;
    if (!read_digits(at, 4, &year) || !read_either(at, '-', '-') || !read_digits(at, 2, &month) ||
        !read_either(at, '-', '-') || !read_digits(at, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret_days = days_since_epoch(year, month, day);
    return true;
}

/* A second of 60 is a leap second; it is the first second of the next minute, as in POSIX. */
static bool read_time_of_day(const char **at, uint64_t *ret_seconds)
{
    unsigned hour, minute, second;
    if (!read_digits(at, 2, &hour) || !read_either(at, ':', ':') || !read_digits(at, 2, &minute) ||
        !read_either(at, ':', ':') || !read_digits(at, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *ret_seconds = (uint64_t)hour * 3600 + (uint64_t)minute * 60 + second;
    return true;
}

/* Nothing, or a point and one to nine digits. */
static bool read_fraction(const char **at, uint64_t *ret_ns)
{
    *ret_ns = 0;
    if (**at != '.')
        return true;
    (*at)++;
    uint64_t unit_ns = NS_PER_S;
    unsigned digit;
    while (unit_ns > 1 && read_digits(at, 1, &digit)) {
        unit_ns /= 10;
        *ret_ns += digit * unit_ns;
    }
    return unit_ns < NS_PER_S;
}

/* Z, or an offset from UTC. */
static bool read_zone(const char **at, int64_t *ret_offset_seconds)
{
    *ret_offset_seconds = 0;
    if (read_either(at, 'Z', 'z'))
        return true;
    bool east = **at == '+';
    unsigned hour, minute;
    if (!read_either(at, '+', '-') || !read_digits(at, 2, &hour) || !read_either(at, ':', ':') ||
        !read_digits(at, 2, &minute))
        return false;
    if (hour > 23 || minute > 59)
        return false;
    int64_t seconds = (int64_t)hour * 3600 + (int64_t)minute * 60;
    *ret_offset_seconds = east ? seconds : -seconds;
    return true;
}

bool clock_parse(const char *text, uint64_t *ret_time_ns)
{
    const char *at = text;
    uint64_t days, day_seconds, fraction_ns;
    int64_t offset_seconds;
    if (!read_date(&at, &days) || !read_either(&at, 'T', 't') ||
        !read_time_of_day(&at, &day_seconds) || !read_fraction(&at, &fraction_ns) ||
        !read_zone(&at, &offset_seconds) || *at != '\0')
        return false;

    int64_t seconds = (int64_t)(days * 86400 + day_seconds) - offset_seconds;
    if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / NS_PER_S - 1)
        return false;
    *ret_time_ns = (uint64_t)seconds * NS_PER_S + fraction_ns;
    return true;
}
