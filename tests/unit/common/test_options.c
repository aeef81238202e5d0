#include "common/app/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS_MAX = 100, OUTPUT_BYTES_MAX = 8192 };

/* What the command lines below fill. */
static struct {
    bool append;
    const char *store;
    uint64_t rate;
    struct option_list limits;
    struct endpoint_options endpoints;
} got;

static const struct option_spec specs[] = {
    {"append", NULL, "go on behind the last event", OPTION_FLAG, &got.append, 0},
    {"store", "DIR", "folder of the log", OPTION_TEXT, &got.store, 0},
    {"rate", "PER_S", "events per second", OPTION_UINT, &got.rate, 1000},
    {"limit", "SPEC", "one more policy", OPTION_LIST, &got.limits, 0},
    OPTIONS_ENDPOINTS(got.endpoints),
};
static const struct command command = {
    .name = "send",
    .operands = "FILE|-",
    .help = "Sends events.",
    .options = specs,
    .option_count = sizeof specs / sizeof specs[0],
    .operands_min = 1,
    .operands_max = 2,
};

/* stdout and stderr go to a file each while a command line is read. */
static struct {
    int saved_out, saved_err;
    FILE *out, *err;
    char out_text[OUTPUT_BYTES_MAX], err_text[OUTPUT_BYTES_MAX];
} captured;

static void capture_start(void)
{
    fflush(NULL);
    captured.saved_out = dup(STDOUT_FILENO);
    captured.saved_err = dup(STDERR_FILENO);
    captured.out = tmpfile();
    captured.err = tmpfile();
    dup2(fileno(captured.out), STDOUT_FILENO);
    dup2(fileno(captured.err), STDERR_FILENO);
}

static void capture_read(FILE *file, char text[OUTPUT_BYTES_MAX])
{
    rewind(file);
    text[fread(text, 1, OUTPUT_BYTES_MAX - 1, file)] = '\0';
    fclose(file);
}

static void capture_stop(void)
{
    fflush(NULL);
    dup2(captured.saved_out, STDOUT_FILENO);
    dup2(captured.saved_err, STDERR_FILENO);
    close(captured.saved_out);
    close(captured.saved_err);
    capture_read(captured.out, captured.out_text);
    capture_read(captured.err, captured.err_text);
}

static char *words[WORDS_MAX];
static char **operands;
static int operand_count;

/* Splits at spaces; a word "''" is an empty one. */
static int split(char *line)
{
    int count = 0;
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " "))
        words[count++] = strcmp(word, "''") == 0 ? word + 2 : word;
    words[count] = NULL;
    return count;
}

static enum status parse_line(const char *text)
{
    static char line[4096];
    memset(&got, 0, sizeof got);
    snprintf(line, sizeof line, "send %s", text);
    int count = split(line);
    capture_start();
    enum status status =
        options_parse("weir-test", &command, count, words, &operands, &operand_count);
    capture_stop();
    return status;
}

static void assert_usage(const char *text, const char *message)
{
    if (parse_line(text) != STATUS_USAGE)
        fail_msg("'%s' is taken", text);
    if (strstr(captured.err_text, message) == NULL)
        fail_msg("'%s' gives: %s", text, captured.err_text);
    assert_non_null(strstr(captured.err_text, "Try 'weir-test send --help'."));
    assert_string_equal(captured.out_text, "");
}

static void reads_every_kind_of_option(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("--append --store=/s --rate 1000 --limit a --limit=b x"),
                     STATUS_OK);
    assert_true(got.append);
    assert_string_equal(got.store, "/s");
    assert_int_equal(got.rate, 1000);
    assert_int_equal(got.limits.count, 2);
    assert_string_equal(got.limits.items[0], "a");
    assert_string_equal(got.limits.items[1], "b");
    assert_int_equal(operand_count, 1);
    assert_string_equal(operands[0], "x");
    assert_string_equal(captured.err_text, "");
}

static void leaves_what_was_not_given_alone(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("x"), STATUS_OK);
    assert_false(got.append);
    assert_null(got.store);
    assert_int_equal(got.rate, 0);
    assert_int_equal(got.limits.count, 0);
}

static void takes_options_behind_operands_and_a_dash_as_operand(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("- --append y"), STATUS_OK);
    assert_true(got.append);
    assert_int_equal(operand_count, 2);
    assert_string_equal(operands[0], "-");
    assert_string_equal(operands[1], "y");
}

static void takes_everything_behind_two_dashes_as_operands(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("-- --append --help"), STATUS_OK);
    assert_false(got.append);
    assert_int_equal(operand_count, 2);
    assert_string_equal(operands[0], "--append");
}

static void takes_values_that_look_like_options(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("--store -5m x"), STATUS_OK);
    assert_string_equal(got.store, "-5m");
    assert_int_equal(parse_line("--store --append x"), STATUS_OK);
    assert_string_equal(got.store, "--append");
    assert_false(got.append);
}

static void lets_the_last_of_several_win(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("--store a --store b x"), STATUS_OK);
    assert_string_equal(got.store, "b");
}

static void locates_sockets(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("--run-dir /r --control tcp://h:1 x"), STATUS_OK);
    assert_string_equal(got.endpoints.run_dir, "/r");
    assert_string_equal(got.endpoints.control, "tcp://h:1");
    assert_null(got.endpoints.ingest);
}

static void refuses_abbreviations(void **test_state)
{
    (void)test_state;
    assert_usage("--app x", "unknown option --app");
    assert_usage("--sto /s x", "unknown option --sto");
    assert_usage("--sto=/s x", "unknown option --sto=/s");
    assert_usage("x --rat 1", "unknown option --rat");
    assert_usage("--hel", "unknown option --hel");
    assert_usage("--log x", "unknown option --log"); /* ambiguous */
    assert_usage("--store --app --app x", "unknown option --app");
}

static void refuses_unknown_options(void **test_state)
{
    (void)test_state;
    assert_usage("--nothing x", "unknown option --nothing");
    assert_usage("-x y", "unknown option -x");
    assert_usage("-5m y", "unknown option -5");
    assert_usage("--appendix x", "unknown option --appendix");
}

static void refuses_missing_and_needless_values(void **test_state)
{
    (void)test_state;
    assert_usage("x --store", "--store needs a value");
    assert_usage("--append=yes x", "--append takes no value");
    assert_usage("--store= x", "--store: the DIR is empty");
    assert_usage("--store '' x", "--store: the DIR is empty");
}

static void refuses_numbers_that_are_none_or_too_large(void **test_state)
{
    (void)test_state;
    static const char *const bad[] = {
        "-1", "+1", "1x", "x", "0x10", "1.5", "1001", "1e3", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "--rate %s x", bad[i]);
        assert_usage(line, "is not a whole number from 0 to 1000");
    }
}

static void refuses_the_wrong_number_of_operands(void **test_state)
{
    (void)test_state;
    assert_usage("", "FILE|- is missing");
    assert_usage("--append", "FILE|- is missing");
    assert_usage("a b c", "'c' is one argument too many");
}

static void refuses_more_list_items_than_it_can_hold(void **test_state)
{
    (void)test_state;
    char line[2048] = "x";
    for (int i = 0; i < OPTION_LIST_MAX; i++)
        strcat(line, " --limit=l");
    assert_int_equal(parse_line(line), STATUS_OK);
    assert_int_equal(got.limits.count, OPTION_LIST_MAX);
    strcat(line, " --limit=l");
    assert_usage(line, "--limit: given more than 64 times");
}

static void refuses_bad_levels_and_formats_of_the_log(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("--log-level debug --log-format json x"), STATUS_OK);
    assert_usage("--log-level loud x", "'loud' is not error, warn, info or debug");
    assert_usage("--log-format xml x", "'xml' is not logfmt or json");
}

static void prints_help_with_aligned_options_to_stdout(void **test_state)
{
    (void)test_state;
    static const char *const lines[] = {
        "Usage: weir-test send [OPTION...] FILE|-\n\nSends events.\n\nOptions:\n",
        "\n  --append             go on behind the last event\n",
        "\n  --store DIR          folder of the log\n",
        "\n  --control ENDPOINT   override where requests go\n",
        "\n  --log-format FORMAT  logfmt (default) or json\n",
        "\n  --help               print this and exit (also -h)\n",
    };
    static const char *const calls[] = {"--help", "-h", "--help --nothing", "x --help"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(parse_line(calls[i]), STATUS_END);
        for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++)
            assert_non_null(strstr(captured.out_text, lines[k]));
        assert_string_equal(captured.err_text, "");
    }
}

static void prints_the_version(void **test_state)
{
    (void)test_state;
    assert_int_equal(parse_line("--version"), STATUS_END);
    assert_string_equal(captured.out_text, "weir-test 0.1.0\n");
}

static void words_usage_errors_that_the_table_cannot_know(void **test_state)
{
    (void)test_state;
    capture_start();
    enum status status = options_usage("weir-test", &command, "--store is %s", "missing");
    capture_stop();
    assert_int_equal(status, STATUS_USAGE);
    assert_string_equal(captured.err_text,
                        "weir-test send: --store is missing\nTry 'weir-test send --help'.\n");
}

/* --- the program --- */

static int main_argc;
static char **main_argv;

static int run_main(int argc, char **argv)
{
    main_argc = argc;
    main_argv = argv;
    return 42;
}

static int run_program(const char *text)
{
    static char line[256];
    static const struct program_command commands[] = {{"run", "serve", run_main},
                                                      {"history", "list events", run_main}};
    snprintf(line, sizeof line, "./weir-test %s", text);
    int count = split(line);
    main_argc = 0;
    capture_start();
    int code = program_main("weir-test", "Tests things.", commands, 2, count, words);
    capture_stop();
    return code;
}

static void runs_the_command_with_its_own_arguments(void **test_state)
{
    (void)test_state;
    assert_int_equal(run_program("history --store x"), 42);
    assert_int_equal(main_argc, 3);
    assert_string_equal(main_argv[0], "history");
    assert_string_equal(main_argv[2], "x");
}

static void lists_its_commands(void **test_state)
{
    (void)test_state;
    static const char *const calls[] = {"--help", "-h"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run_program(calls[i]), 0);
        assert_non_null(strstr(captured.out_text, "\n  run      serve\n"));
        assert_non_null(strstr(captured.out_text, "\n  history  list events\n"));
        assert_string_equal(captured.err_text, "");
    }
    assert_int_equal(run_program("--version"), 0);
    assert_string_equal(captured.out_text, "weir-test 0.1.0\n");
}

static void refuses_no_command_and_an_unknown_one(void **test_state)
{
    (void)test_state;
    assert_int_equal(run_program(""), 64);
    assert_string_equal(captured.out_text, "");
    assert_non_null(strstr(captured.err_text, "Usage: weir-test COMMAND"));
    assert_int_equal(run_program("rum"), 64);
    assert_non_null(strstr(captured.err_text, "unknown command 'rum'"));
    assert_int_equal(run_program("--store x"), 64);
    assert_int_equal(main_argc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_option),
        cmocka_unit_test(leaves_what_was_not_given_alone),
        cmocka_unit_test(takes_options_behind_operands_and_a_dash_as_operand),
        cmocka_unit_test(takes_everything_behind_two_dashes_as_operands),
        cmocka_unit_test(takes_values_that_look_like_options),
        cmocka_unit_test(lets_the_last_of_several_win),
        cmocka_unit_test(locates_sockets),
        cmocka_unit_test(refuses_abbreviations),
        cmocka_unit_test(refuses_unknown_options),
        cmocka_unit_test(refuses_missing_and_needless_values),
        cmocka_unit_test(refuses_numbers_that_are_none_or_too_large),
        cmocka_unit_test(refuses_the_wrong_number_of_operands),
        cmocka_unit_test(refuses_more_list_items_than_it_can_hold),
        cmocka_unit_test(refuses_bad_levels_and_formats_of_the_log),
        cmocka_unit_test(prints_help_with_aligned_options_to_stdout),
        cmocka_unit_test(prints_the_version),
        cmocka_unit_test(words_usage_errors_that_the_table_cannot_know),
        cmocka_unit_test(runs_the_command_with_its_own_arguments),
        cmocka_unit_test(lists_its_commands),
        cmocka_unit_test(refuses_no_command_and_an_unknown_one),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
