#include "common/app/options.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/logger.h"

enum {
    OPTIONS_MAX = 64,     /* of one command */
    OPTION_VALUE_0 = 256, /* getopt's value for the first: beyond every letter */
};

/* What every command shares; read before the command runs. */
struct common_options {
    bool help, version;
    const char *log_level, *log_format;
};
enum { COMMON_COUNT = 4 };

static void fill_common(struct common_options *common, struct option_spec ret_specs[COMMON_COUNT])
{
    const struct option_spec specs[COMMON_COUNT] = {
        {"log-level", "LEVEL", "error, warn, info (default) or debug", OPTION_TEXT,
         &common->log_level, 0},
        {"log-format", "FORMAT", "logfmt (default) or json", OPTION_TEXT, &common->log_format, 0},
        {"help", NULL, "print this and exit (also -h)", OPTION_FLAG, &common->help, 0},
        {"version", NULL, "print the version and exit", OPTION_FLAG, &common->version, 0},
    };
    memcpy(ret_specs, specs, sizeof specs);
}

/* One command line while it is read. */
struct parse {
    const char *program;
    const struct command *command;
    struct option_spec specs[OPTIONS_MAX + COMMON_COUNT]; /* the command's, then the common ones */
    uint32_t count;
    struct common_options common;
};

/* --- messages --- */

enum status options_usage(const char *program, const struct command *command, const char *format,
                          ...)
{
    va_list arguments;
    fprintf(stderr, "%s %s: ", program, command->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry '%s %s --help'.\n", program, command->name);
    return STATUS_USAGE;
}

static int option_width(const struct option_spec *spec)
{
    size_t width = strlen(spec->name);
    if (spec->argument != NULL)
        width += 1 + strlen(spec->argument);
    return (int)width;
}

static void print_help(const struct parse *parse)
{
    const struct command *command = parse->command;
    int width = 0;
    for (uint32_t i = 0; i < parse->count; i++)
        if (option_width(&parse->specs[i]) > width)
            width = option_width(&parse->specs[i]);
    printf("Usage: %s %s [OPTION...]%s%s\n\n%s\n\nOptions:\n", parse->program, command->name,
           command->operands != NULL ? " " : "", command->operands != NULL ? command->operands : "",
           command->help);
    for (uint32_t i = 0; i < parse->count; i++) {
        const struct option_spec *spec = &parse->specs[i];
        printf("  --%s%s%s%*s  %s\n", spec->name, spec->argument != NULL ? " " : "",
               spec->argument != NULL ? spec->argument : "", width - option_width(spec), "",
               spec->help);
    }
}

/* --- values --- */

static bool parse_uint(const char *text, uint64_t max, uint64_t *ret_value)
{
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (errno != 0 || value > max)
        return false;
    *ret_value = value;
    return true;
}

static enum status store_uint(const struct parse *parse, const struct option_spec *spec,
                              const char *text)
{
    uint64_t max = spec->max != 0 ? spec->max : UINT64_MAX;
    if (parse_uint(text, max, spec->target))
        return STATUS_OK;
    return options_usage(parse->program, parse->command,
                         "--%s: '%s' is not a whole number from 0 to %" PRIu64, spec->name, text,
                         max);
}

static enum status store_item(const struct parse *parse, const struct option_spec *spec,
                              const char *text)
{
    struct option_list *list = spec->target;
    if (list->count == OPTION_LIST_MAX)
        return options_usage(parse->program, parse->command, "--%s: given more than %d times",
                             spec->name, OPTION_LIST_MAX);
    list->items[list->count++] = text;
    return STATUS_OK;
}

static enum status store(const struct parse *parse, const struct option_spec *spec,
                         const char *text)
{
    if (spec->kind != OPTION_FLAG && text[0] == '\0')
        return options_usage(parse->program, parse->command, "--%s: the %s is empty", spec->name,
                             spec->argument);
    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)spec->target = true;
        return STATUS_OK;
    case OPTION_TEXT:
        *(const char **)spec->target = text;
        return STATUS_OK;
    case OPTION_UINT:
        return store_uint(parse, spec, text);
    case OPTION_LIST:
        return store_item(parse, spec, text);
    }
    return STATUS_OK;
}

/* --- the command line --- */

static void fill_getopt(const struct parse *parse, struct option ret_options[])
{
    for (uint32_t i = 0; i < parse->count; i++) {
        ret_options[i] = (struct option){
            .name = parse->specs[i].name,
            .has_arg = parse->specs[i].kind == OPTION_FLAG ? no_argument : required_argument,
            .val = OPTION_VALUE_0 + (int)i,
        };
    }
    ret_options[parse->count] = (struct option){0};
}

/* The word that getopt has just read as an option: the last one, or the one before its value. */
static const char *word_just_read(char **argv)
{
    bool value_apart = optarg != NULL && optarg == argv[optind - 1];
    return argv[optind - (value_apart ? 2 : 1)];
}

/* glibc takes any unambiguous beginning of a name; scripts that use one break with a new option. */
static bool is_whole_name(const char *word, const char *name)
{
    size_t length = strlen(name);
    return strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, length) == 0 &&
           (word[2 + length] == '\0' || word[2 + length] == '=');
}

static enum status refuse_word(const struct parse *parse, int found, char **argv)
{
    if (optopt >= OPTION_VALUE_0) {
        const char *name = parse->specs[optopt - OPTION_VALUE_0].name;
        return options_usage(parse->program, parse->command,
                             found == ':' ? "--%s needs a value" : "--%s takes no value", name);
    }
    if (optopt != 0)
        return options_usage(parse->program, parse->command, "unknown option -%c", optopt);
    return options_usage(parse->program, parse->command, "unknown option %s", argv[optind - 1]);
}

static enum status read_option(struct parse *parse, int found, char **argv)
{
    if (found == 'h') {
        parse->common.help = true;
        return STATUS_OK;
    }
    if (found == '?' || found == ':')
        return refuse_word(parse, found, argv);
    const struct option_spec *spec = &parse->specs[found - OPTION_VALUE_0];
    if (!is_whole_name(word_just_read(argv), spec->name))
        return options_usage(parse->program, parse->command, "unknown option %s",
                             word_just_read(argv));
    return store(parse, spec, optarg);
}

static enum status read_options(struct parse *parse, int argc, char **argv)
{
    struct option options[OPTIONS_MAX + COMMON_COUNT + 1];
    fill_getopt(parse, options);
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !parse->common.help && !parse->common.version) {
        int found = getopt_long(argc, argv, ":h", options, NULL);
        if (found == -1)
            break;
        status = read_option(parse, found, argv);
    }
    return status;
}

static enum status set_up_logger(const struct parse *parse)
{
    enum logger_level level = LOGGER_INFO;
    enum logger_format format = LOGGER_LOGFMT;
    const struct common_options *common = &parse->common;
    if (common->log_level != NULL && !logger_level_parse(common->log_level, &level))
        return options_usage(parse->program, parse->command,
                             "--log-level: '%s' is not error, warn, info or debug",
                             common->log_level);
    if (common->log_format != NULL && !logger_format_parse(common->log_format, &format))
        return options_usage(parse->program, parse->command,
                             "--log-format: '%s' is not logfmt or json", common->log_format);
    logger_setup(parse->program, level, format);
    return STATUS_OK;
}

static enum status check_operands(const struct parse *parse, int count, char **operands)
{
    const struct command *command = parse->command;
    if (count < command->operands_min)
        return options_usage(parse->program, command, "%s is missing", command->operands);
    if (count > command->operands_max)
        return options_usage(parse->program, command, "'%s' is one argument too many",
                             operands[command->operands_max]);
    return STATUS_OK;
}

enum status options_parse(const char *program, const struct command *command, int argc, char **argv,
                          char ***ret_operands, int *ret_operand_count)
{
    assert(command->option_count <= OPTIONS_MAX);
    struct parse parse = {.program = program, .command = command};
    for (uint32_t i = 0; i < command->option_count; i++)
        parse.specs[i] = command->options[i];
    fill_common(&parse.common, parse.specs + command->option_count);
    parse.count = command->option_count + COMMON_COUNT;

    enum status status = read_options(&parse, argc, argv);
    if (status != STATUS_OK)
        return status;
    if (parse.common.help || parse.common.version) {
        if (parse.common.help)
            print_help(&parse);
        else
            printf("%s %s\n", program, WEIR_VERSION);
        return STATUS_END;
    }
    status = check_operands(&parse, argc - optind, argv + optind);
    if (status == STATUS_OK)
        status = set_up_logger(&parse);
    if (status != STATUS_OK)
        return status;
    if (ret_operands != NULL)
        *ret_operands = argv + optind;
    if (ret_operand_count != NULL)
        *ret_operand_count = argc - optind;
    return STATUS_OK;
}

/* --- the program --- */

static void print_commands(FILE *out, const char *program, const char *summary,
                           const struct program_command *commands, uint32_t command_count)
{
    fprintf(out, "Usage: %s COMMAND [OPTION...]\n\n%s\n\nCommands:\n", program, summary);
    int width = 0;
    for (uint32_t i = 0; i < command_count; i++)
        if ((int)strlen(commands[i].name) > width)
            width = (int)strlen(commands[i].name);
    for (uint32_t i = 0; i < command_count; i++)
        fprintf(out, "  %-*s  %s\n", width, commands[i].name, commands[i].help);
    fprintf(out, "\n'%s COMMAND --help' tells more about one.\n", program);
}

/* A program may be started with standard descriptors closed. Then what it opens next, a socket or a
 * file of the store, would be read as its input or written to as its log. They are opened the wrong
 * way round, so that to read or to write still fails. */
static bool fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int program_main(const char *program, const char *summary, const struct program_command *commands,
                 uint32_t command_count, int argc, char **argv)
{
    if (!fill_standard_descriptors())
        return EXIT_CODE_IO;
    if (argc < 2) {
        print_commands(stderr, program, summary, commands, command_count);
        return EXIT_CODE_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_commands(stdout, program, summary, commands, command_count);
        return EXIT_CODE_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", program, WEIR_VERSION);
        return EXIT_CODE_DONE;
    }
    for (uint32_t i = 0; i < command_count; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    fprintf(stderr, "%s: unknown command '%s'\nTry '%s --help'.\n", program, argv[1], program);
    return EXIT_CODE_USAGE;
}
