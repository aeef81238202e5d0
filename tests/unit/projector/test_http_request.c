#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "projector/http/http_request.h"
#include "tests/lib/seed.h"

static struct http_request expect_read(const char *target)
{
    struct http_request request;
    struct detail detail = {.text = ""};
    unsigned status = http_request_read(target, &request, &detail);
    if (status != 200)
        fail_msg("%s: %u %s", target, status, detail.text);
    return request;
}

static void expect_refused(const char *target, unsigned expected)
{
    struct http_request request;
    struct detail detail = {.text = ""};
    assert_int_equal(http_request_read(target, &request, &detail), expected);
    assert_true(detail.text[0] != '\0');
}

static void reads_paths_and_parameters(void **state)
{
    (void)state;
    assert_int_equal(expect_read("/").route, HTTP_ASSET);
    assert_int_equal(expect_read("/?utm=1").route, HTTP_ASSET);
    assert_int_equal(expect_read("/events").limit, HTTP_EVENTS_DEFAULT);
    assert_int_equal(expect_read("/live?stream=rejected").stream, STREAM_REJECTED);
    struct http_request request = expect_read("/views/a%20b?at=%231&offset=7&limit=3");
    assert_int_equal(request.route, HTTP_VIEW);
    assert_string_equal(request.name, "a b");
    assert_true(request.at.is_given);
    assert_int_equal(request.at.moment.kind, MOMENT_ID);
    assert_int_equal(request.at.moment.value, 1);
    assert_int_equal(request.offset, 7);
    assert_int_equal(request.limit, 3);
}

static void reads_moments_as_the_command_line_does_and_bare_ids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct moment moment;
    } cases[] = {
        {"1234", {MOMENT_ID, 1234}},
        {"0", {MOMENT_ID, 0}},
        {"%2318446744073709551615", {MOMENT_ID, UINT64_MAX}},
        {"18446744073709551615", {MOMENT_ID, UINT64_MAX}},
        {"1970-01-01T01:00:05.5+01:00", {MOMENT_TIME, 5500000000}},
        {"-5m", {MOMENT_BACK, 300000000000}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char target[128];
        snprintf(target, sizeof target, "/events?to=%s", cases[i].text);
        struct http_request request = expect_read(target);
        assert_false(request.from.is_given);
        assert_true(request.to.is_given);
        assert_int_equal(request.to.moment.kind, cases[i].moment.kind);
        assert_int_equal(request.to.moment.value, cases[i].moment.value);
    }
    expect_refused("/events?from=18446744073709551616", 400);
    expect_refused("/events?from=soon", 400);
    expect_refused("/events?to=-5", 400);
    expect_refused("/views/a?at=%23", 400);
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"/views/%",           "/views/%4",
                                      "/views/%zz",         "/views/%00",
                                      "/views/%c3%28",      "/views?a=b",
                                      "/views/a?at=",       "/views/a?at",
                                      "/views/a?limit=-1",  "/views/a?limit=10001",
                                      "/events?limit=0",    "/events?stream=x",
                                      "/views/a?at=1&at=1", "/samples?after=99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(bad[i], 400);
    expect_refused("", 404);
    expect_refused("*", 404);
    expect_refused("/views/", 404);
    expect_refused("/views/a/b", 404);
    expect_refused("//", 404);
}

static void refuses_what_is_too_long(void **state)
{
    (void)state;
    char target[HTTP_TARGET_BYTES_MAX + 2];
    memset(target, 'a', sizeof target);
    target[0] = '/';
    target[sizeof target - 1] = '\0';
    expect_refused(target, 414);
    memcpy(target, "/views/", 7);
    target[7 + HTTP_VALUE_BYTES_MAX] = '\0';
    assert_int_equal(strlen(expect_read(target).name), HTTP_VALUE_BYTES_MAX);
    target[7 + HTTP_VALUE_BYTES_MAX] = 'a';
    target[8 + HTTP_VALUE_BYTES_MAX] = '\0';
    expect_refused(target, 414);
}

static void survives_random_targets(void **state)
{
    (void)state;
    static const char letters[] = "/?&=%#+-0123456789abcefvilmntow\x01\xff";
    struct rng rng = test_rng();
    struct http_request request;
    struct detail detail;
    for (uint64_t round = test_number("WEIR_ROUNDS", 20000); round > 0; round--) {
        char target[64];
        size_t size = rng_below(&rng, sizeof target);
        for (size_t i = 0; i < size; i++)
            target[i] = letters[rng_below(&rng, sizeof letters - 1)];
        memcpy(target, rng_below(&rng, 2) == 0 ? "/views/a?" : "/events?", size > 9 ? 8 : 0);
        target[size] = '\0';
        unsigned status = http_request_read(target, &request, &detail);
        assert_true(status == 200 || status == 400 || status == 404 || status == 414);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_paths_and_parameters),
        cmocka_unit_test(reads_moments_as_the_command_line_does_and_bare_ids),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(survives_random_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
