/* inject: sends a running processor what the protocol forbids and looks at what comes back. Says
 * for each kind of the catalogue whether it is what the protocol states.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/logger.h"
#include "producer/commands.h"
#include "producer/inject_report.h"
#include "producer/injector.h"

enum { COUNT_MAX = 10 * 1000 * 1000 };

struct inject_options {
    struct endpoint_options endpoints;
    const struct kind *kind; /* NULL: all */
    uint64_t count;
    bool list, json;
};

struct tally {
    uint64_t as_stated, different, skipped;
};

static void tally_add(struct tally *tally, const struct finding *finding)
{
    if (finding->skipped)
        tally->skipped++;
    else if (finding_as_stated(finding))
        tally->as_stated++;
    else
        tally->different++;
}

static void report(const struct inject_options *options, const struct finding *finding)
{
    if (options->json)
        inject_print_json(finding, stdout);
    else
        inject_print_finding(finding, stdout);
    fflush(stdout); /* a reader in a pipe sees each as it comes */
}

/* Injects one kind `count` times. Of many, people are shown the first and all that are not as
 * stated. */
static enum status run_kind(struct injector *injector, const struct inject_options *options,
                            const struct kind *kind, struct tally *tally, struct detail *ret_detail)
{
    uint64_t silent = 0;
    struct finding finding = {0};
    for (uint64_t i = 0; i < options->count && !finding.skipped; i++) {
        enum status status = injector_run(injector, kind, &finding, ret_detail);
        if (status != STATUS_OK)
            return status;
        tally_add(tally, &finding);
        if (options->json || i == 0 || !finding_as_stated(&finding))
            report(options, &finding);
        else
            silent++;
    }
    if (silent > 0)
        printf("         and %" PRIu64 " times more, as stated\n", silent);
    return STATUS_OK;
}

static enum status run(struct injector *injector, const struct inject_options *options,
                       struct tally *tally, struct detail *ret_detail)
{
    if (options->kind != NULL)
        return run_kind(injector, options, options->kind, tally, ret_detail);
    for (uint32_t i = 0; i < catalogue_count(); i++) {
        enum status status = run_kind(injector, options, catalogue_kind(i), tally, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void print_tally(const struct inject_options *options, const struct tally *tally)
{
    FILE *stream = options->json ? stderr : stdout;
    uint64_t injected = tally->as_stated + tally->different;
    fprintf(stream, "%" PRIu64 " injected: %" PRIu64 " as stated, %" PRIu64 " not; ", injected,
            tally->as_stated, tally->different);
    fprintf(stream, "%" PRIu64 " skipped\n", tally->skipped);
}

static enum status parse(struct inject_options *o, int argc, char **argv)
{
    const char *name = NULL;
    const struct option_spec options[] = {
        {"kind", "KIND", "only this one of --list (default: all)", OPTION_TEXT, &name, 0},
        {"count", "N", "each kind so often (default 1)", OPTION_UINT, &o->count, COUNT_MAX},
        {"list", NULL, "print the kinds, and what each should get", OPTION_FLAG, &o->list, 0},
        {"json", NULL, "one JSON object per injection", OPTION_FLAG, &o->json, 0},
        OPTIONS_ENDPOINTS(o->endpoints),
    };
    const struct command command = {
        .name = "inject",
        .help = "send a processor what the protocol forbids and check what comes back",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    enum status status = options_parse(PRODUCER_PROGRAM, &command, argc, argv, NULL, NULL);
    if (status != STATUS_OK)
        return status;
    if (o->count == 0)
        return options_usage(PRODUCER_PROGRAM, &command, "--count is at least 1");
    if (name != NULL && (o->kind = catalogue_find(name)) == NULL)
        return options_usage(PRODUCER_PROGRAM, &command, "--kind: no '%s' in --list", name);
    return STATUS_OK;
}

/* What ends the injections: a stop that was asked for, or a failure that they may have caused. */
static int ended_early(enum status status, const struct detail *detail)
{
    (void)lifecycle_fail(PRODUCER_PROGRAM, status, detail);
    return status == STATUS_INTERRUPTED ? EXIT_CODE_TEMPORARY : EXIT_CODE_FAILED;
}

static int inject(const struct inject_options *options)
{
    struct detail detail = {{0}};
    struct injector *injector;
    enum status status = lifecycle_start(&detail);
    if (status == STATUS_OK)
        status = injector_open(&options->endpoints, &injector, &detail);
    if (status != STATUS_OK)
        return lifecycle_fail(PRODUCER_PROGRAM, status, &detail);
    log_info("ready", "source=%s", injector_source(injector));

    struct tally tally = {0};
    status = run(injector, options, &tally, &detail);
    print_tally(options, &tally);
    injector_close(&injector);
    if (status != STATUS_OK)
        return ended_early(status, &detail);
    return tally.different > 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

int inject_main(int argc, char **argv)
{
    struct inject_options options = {.count = 1};
    enum status status = parse(&options, argc, argv);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);
    if (options.list) {
        inject_print_list(stdout);
        return EXIT_CODE_DONE;
    }
    return inject(&options);
}
