#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/glob.h"
#include "common/base/rng.h"

/* The plain recursive definition. */
static bool naive_glob(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return naive_glob(pattern + 1, text) || (*text != '\0' && naive_glob(pattern, text + 1));
    return *text != '\0' && (*pattern == '?' || *pattern == *text) &&
           naive_glob(pattern + 1, text + 1);
}

static void matches_as_the_plain_definition_of_a_glob_does(void **unused)
{
    (void)unused;
    struct rng rng;
    rng_init(&rng, 4);
    for (unsigned i = 0; i < 200000; i++) {
        char pattern[16] = {0}, text[16] = {0};
        uint64_t pattern_size = rng_below(&rng, 8) + 1, text_size = rng_below(&rng, 10);
        for (uint64_t p = 0; p < pattern_size; p++)
            pattern[p] = "ab*?"[rng_below(&rng, 4)];
        for (uint64_t t = 0; t < text_size; t++)
            text[t] = "ab"[rng_below(&rng, 2)];
        bool expected = naive_glob(pattern, text);
        if (glob_matches(pattern, slice_of_text(text)) != expected)
            fail_msg("'%s' against '%s'", pattern, text);
    }
}

static void matches_the_whole_text(void **unused)
{
    (void)unused;
    assert_true(glob_matches("*", slice_of_text("")));
    assert_true(glob_matches("order.*", slice_of_text("order.")));
    assert_false(glob_matches("order", slice_of_text("order.created")));
    assert_false(glob_matches("created", slice_of_text("order.created")));
    assert_false(glob_matches("", slice_of_text("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_as_the_plain_definition_of_a_glob_does),
        cmocka_unit_test(matches_the_whole_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
