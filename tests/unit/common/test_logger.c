#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/logger.h"

enum { CAPTURE_BYTES = 16384 };

static int saved_stderr;
static int capture[2];

static int capture_stderr(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    return pipe(capture) == 0 && dup2(capture[1], STDERR_FILENO) >= 0 ? 0 : -1;
}

static int release_stderr(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(capture[0]);
    close(capture[1]);
    return 0;
}

/* What was logged since the last call, from the level on: the time changes. */
static const char *logged(void)
{
    static char text[CAPTURE_BYTES];
    assert_int_equal(write(STDERR_FILENO, "#", 1), 1); /* so that read never blocks */
    ssize_t size = read(capture[0], text, sizeof text - 1);
    assert_true(size >= 1);
    text[size - 1] = '\0';
    char *level = strstr(text, "level");
    return level != NULL ? level : text;
}

static void writes_one_logfmt_line_with_its_fields(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_INFO, LOGGER_LOGFMT);

    log_warn("set aside a torn batch", "file=\"%s\" offset=%d", "a b.seg", 12);

    assert_string_equal(logged(), "level=warn program=weir-test msg=\"set aside a torn batch\" "
                                  "file=\"a b.seg\" offset=12\n");
}

static void writes_json_with_the_same_fields(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_INFO, LOGGER_JSON);

    log_error("cannot write", "file=\"%s\" code=%d", "a b.seg", 5);

    assert_string_equal(logged(), "level\":\"error\",\"program\":\"weir-test\",\"msg\":\"cannot "
                                  "write\",\"file\":\"a b.seg\",\"code\":\"5\"}\n");
}

static void writes_a_message_without_fields(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_INFO, LOGGER_LOGFMT);

    log_info("ready", NULL);

    assert_string_equal(logged(), "level=info program=weir-test msg=\"ready\"\n");
}

static void leaves_out_what_is_below_the_level(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_WARN, LOGGER_LOGFMT);

    log_info("not said", NULL);
    log_debug("not said", NULL);

    assert_string_equal(logged(), "");
}

static void a_value_cannot_end_its_line_or_its_quotes(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_INFO, LOGGER_LOGFMT);

    log_info("message", "key=\"%s\" last=1", "a\"b\\c\nd\te\x7f");

    assert_string_equal(logged(), "level=info program=weir-test msg=\"message\" "
                                  "key=\"a\\\"b\\\\c\\nd\\u0009e\\u007f\" last=1\n");
}

static void keeps_words_that_are_not_pairs(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_INFO, LOGGER_LOGFMT);

    log_info("message", "one two=2 =");

    assert_string_equal(logged(),
                        "level=info program=weir-test msg=\"message\" note=one two=2 note==\n");
}

static void cuts_a_line_that_is_too_long_and_keeps_it_whole(void **state)
{
    (void)state;
    char value[5000];
    memset(value, 1, sizeof value - 1);
    value[sizeof value - 1] = '\0';
    logger_setup("weir-test", LOGGER_INFO, LOGGER_JSON);

    log_info(value, "key=\"%s\"", value);

    const char *line = logged();
    size_t size = strlen(line);
    assert_in_range(size, 7000, 8700);
    assert_string_equal(line + size - 9, "\\u0001\"}\n");
}

static void leaves_errno_alone(void **state)
{
    (void)state;
    logger_setup("weir-test", LOGGER_INFO, LOGGER_LOGFMT);
    errno = ENOSPC;

    log_info("message", "key=%d", 1);

    assert_int_equal(errno, ENOSPC);
    assert_string_not_equal(logged(), "");
}

static void knows_its_levels_and_formats_by_name(void **state)
{
    (void)state;
    enum logger_level level = LOGGER_ERROR;
    enum logger_format format = LOGGER_LOGFMT;

    assert_true(logger_level_parse("debug", &level));
    assert_int_equal(level, LOGGER_DEBUG);
    assert_false(logger_level_parse("loud", &level));
    assert_true(logger_format_parse("json", &format));
    assert_int_equal(format, LOGGER_JSON);
    assert_true(logger_format_parse("logfmt", &format));
    assert_int_equal(format, LOGGER_LOGFMT);
    assert_false(logger_format_parse("xml", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_one_logfmt_line_with_its_fields),
        cmocka_unit_test(writes_json_with_the_same_fields),
        cmocka_unit_test(writes_a_message_without_fields),
        cmocka_unit_test(leaves_out_what_is_below_the_level),
        cmocka_unit_test(a_value_cannot_end_its_line_or_its_quotes),
        cmocka_unit_test(keeps_words_that_are_not_pairs),
        cmocka_unit_test(cuts_a_line_that_is_too_long_and_keeps_it_whole),
        cmocka_unit_test(leaves_errno_alone),
        cmocka_unit_test(knows_its_levels_and_formats_by_name),
    };
    return cmocka_run_group_tests(tests, capture_stderr, release_stderr);
}
