/* The text of policies: INI, --limit and the canonical form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/policy/policy.h"
#include "tests/lib/seed.h"

#define HEAD      "[policy \"p\"]\n"
#define NEEDED    "quota = 1\nwindow = 1s\n"
#define COUNT(a)  (sizeof(a) / sizeof(a)[0])
#define LONG_TEXT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 65 */
#define MINUTE_NS 60000000000ULL
#define DAY_NS    86400000000000ULL

static struct policy_set *set_new(void)
{
    struct policy_set *set = calloc(1, sizeof *set);
    assert_non_null(set);
    return set;
}

static struct policy_set *parse(const char *text)
{
    struct policy_set *set = set_new();
    struct detail detail;
    if (policy_set_parse(text, "test.ini", set, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return set;
}

static void expect_error(const char *text, const char *message)
{
    struct policy_set *set = set_new();
    struct detail detail = {.text = ""};
    enum status status = policy_set_parse(text, "test.ini", set, &detail);
    if (status != STATUS_CONFIG || strcmp(detail.text, message) != 0)
        fail_msg("status %d, '%s' instead of '%s' for:\n%s", (int)status, detail.text, message,
                 text);
    free(set);
}

/* ---- INI ---- */

static void reads_the_example_of_the_documentation(void **unused)
{
    (void)unused;
    struct policy_set *set =
        parse("    [policy \"per-source\"]\n"
              "    match  = order.*        ; glob over type, default *\n"
              "    key    = source         ; source | subject | type | global | data.FIELD\n"
              "    quota  = 100            ; at least 1\n"
              "    window = 60s            ; ns us ms s m h d, at most 31d\n"
              "    cost   = 1              ; or data.FIELD\n"
              "    mode   = enforce        ; or shadow\n");
    const struct policy *policy = &set->items[0];
    assert_int_equal(set->count, 1);
    assert_string_equal(policy->name, "per-source");
    assert_string_equal(policy->match, "order.*");
    assert_int_equal(policy->key, POLICY_KEY_SOURCE);
    assert_int_equal(policy->quota, 100);
    assert_true(policy->window_ns == MINUTE_NS);
    assert_int_equal(policy->cost, 1);
    assert_int_equal(policy->mode, POLICY_ENFORCE);
    assert_string_equal(set->text, "[policy \"per-source\"]\n"
                                   "match = order.*\n"
                                   "key = source\n"
                                   "quota = 100\n"
                                   "window = 1m\n"
                                   "cost = 1\n"
                                   "mode = enforce\n"
                                   "max_keys = 1000000\n"
                                   "max_units = 100000000\n");
    free(set);
}

static void fills_in_the_defaults(void **unused)
{
    (void)unused;
    struct policy_set *set = parse("# a comment\n\n" HEAD NEEDED);
    const struct policy *policy = &set->items[0];
    assert_string_equal(policy->match, "*");
    assert_int_equal(policy->key, POLICY_KEY_SOURCE);
    assert_int_equal(policy->cost, 1);
    assert_string_equal(policy->cost_field, "");
    assert_int_equal(policy->mode, POLICY_ENFORCE);
    assert_int_equal(policy->keys_max, POLICY_KEYS_MAX_DEFAULT);
    assert_int_equal(policy->units_max, POLICY_UNITS_MAX_DEFAULT);
    free(set);
}

static void an_empty_text_has_no_policies_and_an_empty_canonical_text(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"", "\n\n", "; nothing\n# here", "  \t\r\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct policy_set *set = parse(texts[i]);
        assert_int_equal(set->count, 0);
        assert_string_equal(set->text, "");
        free(set);
    }
}

static void reads_fields_shadow_and_limits_in_any_order_and_with_windows_line_ends(void **unused)
{
    (void)unused;
    struct policy_set *set = parse("[policy \"a\"] ; first\r\nmax_units = 7\r\nmode = shadow\r\n"
                                   "cost = data.n\r\nwindow = 250ms\r\nquota = 3\r\n"
                                   "key = data.user.id\r\nmax_keys = 5\r\nmatch = a?c*\r\n");
    assert_string_equal(set->text, "[policy \"a\"]\n"
                                   "match = a?c*\n"
                                   "key = data.user.id\n"
                                   "quota = 3\n"
                                   "window = 250ms\n"
                                   "cost = data.n\n"
                                   "mode = shadow\n"
                                   "max_keys = 5\n"
                                   "max_units = 7\n");
    free(set);
}

static void separates_policies_by_one_empty_line(void **unused)
{
    (void)unused;
    struct policy_set *set = parse(HEAD NEEDED "[policy \"q\"]\n" NEEDED);
    assert_int_equal(set->count, 2);
    assert_non_null(strstr(set->text, "max_units = 100000000\n\n[policy \"q\"]\nmatch = *\n"));
    free(set);
}

static void writes_windows_in_the_largest_exact_unit(void **unused)
{
    (void)unused;
    static const char *const windows[][2] = {
        {"1ns", "1ns"},      {"1000ns", "1us"}, {"1001us", "1001us"}, {"90s", "90s"},
        {"120s", "2m"},      {"3600s", "1h"},   {"48h", "2d"},        {"31d", "31d"},
        {"2678400s", "31d"}, {"0007s", "7s"},   {"86400000ms", "1d"}, {"61m", "61m"},
    };
    for (size_t i = 0; i < COUNT(windows); i++) {
        char text[128], expected[64];
        snprintf(text, sizeof text, HEAD "quota = 1\nwindow = %s\n", windows[i][0]);
        snprintf(expected, sizeof expected, "\nwindow = %s\n", windows[i][1]);
        struct policy_set *set = parse(text);
        assert_non_null(strstr(set->text, expected));
        free(set);
    }
}

static void names_line_and_reason_of_every_mistake(void **unused)
{
    (void)unused;
    static const char *const mistakes[][2] = {
        {HEAD NEEDED "color = red\n",
         "test.ini:4: unknown key 'color'; there are match, key, quota, window, cost, mode, "
         "max_keys, max_units"},
        {HEAD NEEDED "\n" HEAD NEEDED, "test.ini:5: policy 'p' is there twice"},
        {HEAD "quota = 1\nquota = 2\nwindow = 1s", "test.ini:3: quota is there twice"},
        {"\n\n" HEAD "window = 1s\n\n\n", "test.ini:3: policy 'p' has no quota"},
        {HEAD "quota = 1\n[policy \"q\"]\n" NEEDED, "test.ini:1: policy 'p' has no window"},
        {HEAD, "test.ini:1: policy 'p' has no quota"},
        {"quota = 1\n", "test.ini:1: a setting before the first [policy \"NAME\"]"},
        {HEAD NEEDED "[policies]\n", "test.ini:4: a section is headed [policy \"NAME\"]"},
        {"[policy p]\n", "test.ini:1: a section is headed [policy \"NAME\"]"},
        {"[policy \"p\"\n", "test.ini:1: a section is headed [policy \"NAME\"]"},
        {"[policy \"p\"] x\n", "test.ini:1: a section is headed [policy \"NAME\"]"},
        {"[policy \"\"]\n", "test.ini:1: a policy's name is 1 to 64 of A-Z a-z 0-9 _ . -"},
        {"[policy \"a b\"]\n", "test.ini:1: a policy's name is 1 to 64 of A-Z a-z 0-9 _ . -"},
        {"[policy \"" LONG_TEXT "\"]\n",
         "test.ini:1: a policy's name is 1 to 64 of A-Z a-z 0-9 _ . -"},
        {HEAD NEEDED "nonsense\n", "test.ini:4: expected KEY = VALUE"},
        {HEAD "nonsense\ncolor = red\n", "test.ini:2: expected KEY = VALUE"},
        {HEAD "quota = 0\n",
         "test.ini:2: quota is '0'; expected an integer from 1 to 9223372036854775807"},
        {HEAD "quota = -1\n",
         "test.ini:2: quota is '-1'; expected an integer from 1 to 9223372036854775807"},
        {HEAD "quota =\n",
         "test.ini:2: quota is ''; expected an integer from 1 to 9223372036854775807"},
        {HEAD "quota = 9223372036854775808\n", "test.ini:2: quota is '9223372036854775808'; "
                                               "expected an integer from 1 to 9223372036854775807"},
        {HEAD "window = 0s\n", "test.ini:2: window is '0s'; expected an integer ≥ 1 and a unit (ns "
                               "us ms s m h d), at most 31d"},
        {HEAD "window = 60\n", "test.ini:2: window is '60'; expected an integer ≥ 1 and a unit (ns "
                               "us ms s m h d), at most 31d"},
        {HEAD "window = s\n", "test.ini:2: window is 's'; expected an integer ≥ 1 and a unit (ns "
                              "us ms s m h d), at most 31d"},
        {HEAD "window = 1.5s\n", "test.ini:2: window is '1.5s'; expected an integer ≥ 1 and a unit "
                                 "(ns us ms s m h d), at most 31d"},
        {HEAD "window = 1 s\n", "test.ini:2: window is '1 s'; expected an integer ≥ 1 and a unit "
                                "(ns us ms s m h d), at most 31d"},
        {HEAD "window = 32d\n", "test.ini:2: window is '32d'; expected an integer ≥ 1 and a unit "
                                "(ns us ms s m h d), at most 31d"},
        {HEAD "window = 2678401s\n",
         "test.ini:2: window is '2678401s'; expected an integer ≥ 1 and a unit (ns us ms s m h d), "
         "at most 31d"},
        {HEAD "window = 99999999999999999999999d\n",
         "test.ini:2: window is '99999999999999999999999d'; expected an integer ≥ 1 and a unit (ns "
         "us ms s m h d), at most 31d"},
        {HEAD "cost = -1\n", "test.ini:2: cost is '-1'; expected an integer ≥ 0 or data.FIELD"},
        {HEAD "cost = n\n", "test.ini:2: cost is 'n'; expected an integer ≥ 0 or data.FIELD"},
        {HEAD "cost = data.\n",
         "test.ini:2: cost is 'data.'; expected an integer ≥ 0 or data.FIELD"},
        {HEAD "key = user\n", "test.ini:2: key is 'user'; expected source, subject, type, global "
                              "or data.FIELD"},
        {HEAD "key = data.a..b\n", "test.ini:2: key is 'data.a..b'; expected source, subject, "
                                   "type, global or data.FIELD"},
        {HEAD "key = data.a b\n", "test.ini:2: key is 'data.a b'; expected source, subject, type, "
                                  "global or data.FIELD"},
        {HEAD "key = data.\xff\n", "test.ini:2: key is 'data.\xff'; expected source, subject, "
                                   "type, global or data.FIELD"},
        {HEAD "match = Order\n", "test.ini:2: match is 'Order'; expected up to 64 of a-z 0-9 _ . - "
                                 "and the wildcards * and ?"},
        {HEAD "match =\n", "test.ini:2: match is ''; expected up to 64 of a-z 0-9 _ . - and the "
                           "wildcards * and ?"},
        {HEAD "match = " LONG_TEXT "\n", "test.ini:2: match is '" LONG_TEXT "'; expected up to 64 "
                                         "of a-z 0-9 _ . - and the wildcards * and ?"},
        {HEAD "mode = off\n", "test.ini:2: mode is 'off'; expected enforce or shadow"},
        {HEAD "max_keys = 0\n",
         "test.ini:2: max_keys is '0'; expected an integer from 1 to 1000000000"},
        {HEAD "max_units = 2000000001\n",
         "test.ini:2: max_units is '2000000001'; expected an integer from 1 to 2000000000"},
        {HEAD "cost = " LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT "\n",
         "test.ini:2: the line is longer than 197 bytes"},
    };
    for (size_t i = 0; i < COUNT(mistakes); i++)
        expect_error(mistakes[i][0], mistakes[i][1]);
}

static void a_long_comment_is_no_mistake(void **unused)
{
    (void)unused;
    struct policy_set *set = parse("; " LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT "\n" HEAD NEEDED
                                   "; " LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT "\n");
    assert_int_equal(set->count, 1);
    free(set);
}

/* `count` policies of six lines each; `longest`: with everything as long as it may be. */
static struct buffer many_policies(unsigned count, bool longest)
{
    struct buffer text;
    char pad[POLICY_FIELD_BYTES_MAX + 1] = {0};
    memset(pad, 'f', POLICY_FIELD_BYTES_MAX);
    buffer_init(&text, 1 << 20);
    for (unsigned i = 0; i < count; i++) {
        char policy[1024];
        int name = longest ? POLICY_NAME_BYTES_MAX - 2 : 1;
        int match = longest ? POLICY_MATCH_BYTES_MAX : 1;
        int field = longest ? POLICY_FIELD_BYTES_MAX : 1;
        snprintf(policy, sizeof policy,
                 "[policy \"%.*s%02u\"]\nquota = %s\nwindow = 1s\nmatch = %.*s\n"
                 "key = data.%.*s\ncost = data.%.*s\n",
                 name, pad, i, longest ? "9223372036854775807" : "1", match, pad, field, pad, field,
                 pad);
        buffer_append_text(&text, policy);
    }
    buffer_append(&text, "", 1);
    assert_int_equal(text.status, STATUS_OK);
    return text;
}

static void takes_64_policies_and_not_65(void **unused)
{
    (void)unused;
    struct buffer text = many_policies(64, false);
    struct policy_set *set = parse((const char *)text.data);
    assert_int_equal(set->count, 64);
    free(set);
    buffer_fini(&text);
    text = many_policies(65, false);
    expect_error((const char *)text.data, "test.ini:385: more than 64 policies");
    buffer_fini(&text);
}

static void refuses_policies_whose_canonical_text_is_too_long(void **unused)
{
    (void)unused;
    struct buffer text = many_policies(60, true);
    struct policy_set *set = parse((const char *)text.data);
    assert_true(strlen(set->text) < POLICY_TEXT_BYTES_MAX);
    free(set);
    buffer_fini(&text);
    text = many_policies(64, true);
    expect_error((const char *)text.data,
                 "test.ini:384: the policies written out are longer than 32767 bytes");
    buffer_fini(&text);
}

/* ---- canonical text ---- */

static void append_random_policy(struct rng *rng, unsigned number, struct buffer *text)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    static const char *const keys[] = {"source", "subject", "type", "global", "data.a", "data.b.c"};
    char line[512];
    snprintf(line, sizeof line, "[policy \"p%u\"]\nquota = %u\nwindow = %u%s\nkey = %s\n", number,
             (unsigned)rng_below(rng, 1000) + 1, (unsigned)rng_below(rng, 100000) + 1,
             units[rng_below(rng, 4)], keys[rng_below(rng, 6)]);
    buffer_append_text(text, line);
    if (rng_below(rng, 2) == 0)
        buffer_append_text(text, "mode = shadow\n");
    if (rng_below(rng, 2) == 0)
        buffer_append_text(text, "cost = data.n\n");
    if (rng_below(rng, 2) == 0)
        buffer_append_text(text, "match = order.?*\n");
}

static void the_canonical_text_of_a_canonical_text_is_itself(void **unused)
{
    (void)unused;
    struct rng rng = test_rng();
    for (unsigned i = 0; i < 300; i++) {
        struct buffer text;
        buffer_init(&text, 1 << 20);
        unsigned count = (unsigned)rng_below(&rng, 6);
        for (unsigned p = 0; p < count; p++)
            append_random_policy(&rng, p, &text);
        buffer_append(&text, "", 1);
        struct policy_set *set = parse((const char *)text.data);
        struct policy_set *again = parse(set->text);
        assert_string_equal(again->text, set->text);
        assert_int_equal(again->count, count);
        for (unsigned p = 0; p < count; p++)
            assert_true(policy_equal(&again->items[p], &set->items[p]));
        free(again);
        free(set);
        buffer_fini(&text);
    }
}

/* ---- --limit ---- */

static void a_limit_item_means_the_same_as_its_ini_text(void **unused)
{
    (void)unused;
    static const char *const pairs[][2] = {
        {"\"per-source\";q=100;w=60;pk=source",
         "[policy \"per-source\"]\nquota=100\nwindow=60s\nkey=source\n"},
        {"\"a\"; q=5; wms=250", "[policy \"a\"]\nquota=5\nwindow=250ms\n"},
        {"\"a\";wms=1000;q=5;pk=data.user.id;match=order.*;cost=data.n;mode=shadow;max_keys=9;"
         "max_units=10",
         "[policy \"a\"]\nquota=5\nwindow=1s\nkey=data.user.id\nmatch=order.*\ncost=data.n\n"
         "mode=shadow\nmax_keys=9\nmax_units=10\n"},
        {"\"a\";quota=5;window=2h;key=global", "[policy \"a\"]\nquota=5\nwindow=2h\nkey=global\n"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct policy_set *set = set_new(), *ini = parse(pairs[i][1]);
        struct detail detail;
        if (policy_set_add_limit(set, pairs[i][0], &detail) != STATUS_OK)
            fail_msg("%s", detail.text);
        assert_string_equal(set->text, ini->text);
        free(set);
        free(ini);
    }
}

static void names_a_bad_limit_item_and_keeps_the_set_as_it_was(void **unused)
{
    (void)unused;
    static const char *const mistakes[][2] = {
        {"per-source;q=1;w=1", "--limit per-source;q=1;w=1: expected \"NAME\";q=QUOTA;w=SECONDS;"
                               "pk=KEY, the name in quotes"},
        {"\"a\"", "--limit \"a\": policy 'a' has no quota"},
        {"\"a\";q=1", "--limit \"a\";q=1: policy 'a' has no window"},
        {"\"a\";q=1;w=1;wms=5", "--limit \"a\";q=1;w=1;wms=5: window is there twice"},
        {"\"a\";q=1;w", "--limit \"a\";q=1;w: expected NAME=VALUE at 'w'"},
        {"\"a\" q=1;w=1", "--limit \"a\" q=1;w=1: expected ';' at ' q=1;w=1'"},
        {"\"a\";q=1;w=1;", "--limit \"a\";q=1;w=1;: expected NAME=VALUE at ''"},
        {"\"old\";q=1;w=1", "--limit \"old\";q=1;w=1: policy 'old' is there twice"},
        {"\"a\";q=0;w=1", "--limit \"a\";q=0;w=1: quota is '0'; expected an integer from 1 to "
                          "9223372036854775807"},
        {"\"a", "--limit \"a: expected \"NAME\";q=QUOTA;w=SECONDS;pk=KEY, the name in quotes"},
    };
    struct policy_set *set = parse("[policy \"old\"]\n" NEEDED);
    char before[1024];
    strcpy(before, set->text);
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct detail detail;
        assert_int_equal(policy_set_add_limit(set, mistakes[i][0], &detail), STATUS_CONFIG);
        assert_string_equal(detail.text, mistakes[i][1]);
        assert_int_equal(set->count, 1);
        assert_string_equal(set->text, before);
    }
    free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_example_of_the_documentation),
        cmocka_unit_test(fills_in_the_defaults),
        cmocka_unit_test(an_empty_text_has_no_policies_and_an_empty_canonical_text),
        cmocka_unit_test(reads_fields_shadow_and_limits_in_any_order_and_with_windows_line_ends),
        cmocka_unit_test(separates_policies_by_one_empty_line),
        cmocka_unit_test(writes_windows_in_the_largest_exact_unit),
        cmocka_unit_test(names_line_and_reason_of_every_mistake),
        cmocka_unit_test(a_long_comment_is_no_mistake),
        cmocka_unit_test(takes_64_policies_and_not_65),
        cmocka_unit_test(refuses_policies_whose_canonical_text_is_too_long),
        cmocka_unit_test(the_canonical_text_of_a_canonical_text_is_itself),
        cmocka_unit_test(a_limit_item_means_the_same_as_its_ini_text),
        cmocka_unit_test(names_a_bad_limit_item_and_keeps_the_set_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
