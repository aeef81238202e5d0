/* send: the command around the sender: its options, its last line and its exit code. */
#include <stdio.h>
#include <stdlib.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "producer/commands.h"
#include "producer/sender.h"

static void say_result(struct sender *s, bool failed)
{
    struct outbox_counts counts = producer_counts(s->producer);
    uint64_t lines = lines_number(s->lines);
    bool nothing = counts.accepted + counts.refused + counts.forgotten == 0 &&
                   producer_pending(s->producer) == 0 && s->bad_lines == 0;
    if (nothing && failed)
        return;
    if (nothing && s->record != NULL && lines_over(s->lines)) {
        printf("nothing to send: all %llu lines were acknowledged before\n",
               (unsigned long long)lines);
        return;
    }
    char extra[128] = "";
    size_t used = 0;
    if (s->known_lines > 0)
        used = (size_t)snprintf(extra, sizeof extra, ", %llu acknowledged before",
                                (unsigned long long)s->known_lines);
    if (s->bad_lines > 0)
        snprintf(extra + used, sizeof extra - used, ", %llu bad lines",
                 (unsigned long long)s->bad_lines);
    progress_finish(&s->progress, s->producer, extra, clock_boot_ns());
}

static int result_code(const struct sender *s)
{
    int code = producer_exit_code(s->producer);
    if (s->record != NULL && !lines_over(s->lines)) {
        fprintf(stderr, "%s: stopped behind line %llu: 'send' goes on from there%s\n",
                s->options.path, (unsigned long long)lines_number(s->lines),
                s->options.append ? " when it is started without --append" : "");
        return EXIT_CODE_TEMPORARY;
    }
    return code != EXIT_CODE_TEMPORARY && s->bad_lines > 0 ? EXIT_CODE_BAD_INPUT : code;
}

static enum status parse(struct sender_options *o, int argc, char **argv)
{
    const struct option_spec options[] = {
        {"source", "NAME", "override the lines' sources", OPTION_TEXT, &o->source, 0},
        {"append", NULL, "send a file's events behind those that its sources already have",
         OPTION_FLAG, &o->append, 0},
        OPTIONS_ENDPOINTS(o->endpoints),
    };
    const struct command command = {
        .name = "send",
        .operands = "FILE|-",
        .help = "submit the events of a file or of standard input: JSON Lines, CloudEvents names",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 1,
        .operands_max = 1,
    };
    char **operands;
    enum status status = options_parse(PRODUCER_PROGRAM, &command, argc, argv, &operands, NULL);
    if (status != STATUS_OK)
        return status;
    o->path = operands[0];
    struct detail reason;
    if (o->source != NULL && event_source_check(slice_of_text(o->source), &reason) != STATUS_OK)
        return options_usage(PRODUCER_PROGRAM, &command, "--source: %s", reason.text);
    return STATUS_OK;
}

int send_main(int argc, char **argv)
{
    struct sender_options options = {0};
    enum status status = parse(&options, argc, argv);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);

    struct detail detail = {{0}};
    status = lifecycle_start(&detail);
    if (status != STATUS_OK)
        return lifecycle_fail(PRODUCER_PROGRAM, status, &detail);
    struct sender *s = malloc(sizeof *s);
    if (s == NULL)
        return lifecycle_fail(PRODUCER_PROGRAM, STATUS_NO_MEMORY, NULL);
    status = sender_init(s, &options, &detail);
    if (status == STATUS_OK) {
        status = sender_run(s, &detail);
        say_result(s, status != STATUS_OK);
    }
    int code =
        status == STATUS_OK ? result_code(s) : lifecycle_fail(PRODUCER_PROGRAM, status, &detail);
    if (status == STATUS_INTERRUPTED)
        code = EXIT_CODE_TEMPORARY;
    sender_fini(s);
    free(s);
    return code;
}
