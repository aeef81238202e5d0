#include "common/base/glob.h"

/* The usual greedy match with one step back to the last star: O(pattern × text), no recursion. */
bool glob_matches(const char *pattern, struct slice text)
{
    const char *star = NULL; /* the last star seen, and how much of the text it has taken */
    size_t at = 0, star_at = 0;
    while (at < text.size) {
        if (*pattern == '*') {
            star = pattern++;
            star_at = at;
        } else if (*pattern == '?' || (*pattern != '\0' && (uint8_t)*pattern == text.data[at])) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
