#include "processor/tools/batch.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/base/logger.h"
#include "processor/commit.h"
#include "processor/held_store.h"
#include "processor/policy_options.h"
#include "processor/snapshots.h"
#include "processor/tools/offline.h"

#define PROGRAM "weir-processor"

enum { COMMIT_WAIT_MS = 1000, COUNTS_BYTES_MAX = REASON_COUNTS_BYTES_MAX + 256 };

struct batch_options {
    const char *path; /* "-": standard input */
    const char *store;
    const char *source; /* NULL: the lines' own */
    struct policy_options policy;
    bool append;
};

/* Everything that the command holds, in the order in which it is taken. */
struct run {
    struct batch_options options;
    struct policy_set wanted; /* by --policy or --limit */
    struct held_store held;   /* its state until `offline` takes it over */
    struct service service;
    struct lines *lines;
    uint64_t file_bytes; /* 0: a stream */
    struct upload_file *record;
    struct upload upload; /* what the record said, until `offline` takes it over */
    struct line_blocks *blocks;
    struct offline *offline;
    pthread_t commit;
    bool commit_runs;
    uint64_t first_segment; /* that was written to */
    struct progress progress;
    struct upload_prefix taken; /* of the file */
    bool over;                  /* all of it */
    uint64_t bad_lines;
};

/* ---- options ---- */

static enum status options_read(struct batch_options *o, int argc, char **argv)
{
    const struct option_spec specs[] = {
        {"store", "DIR", "folder of the log (made if it is missing)", OPTION_TEXT, &o->store, 0},
        OPTIONS_POLICY(o->policy),
        {"source", "NAME", "override the lines' sources", OPTION_TEXT, &o->source, 0},
        {"append", NULL, "decide a file's events behind those that its sources already have",
         OPTION_FLAG, &o->append, 0},
    };
    const struct command command = {.name = "batch",
                                    .operands = "FILE|-",
                                    .help = "decide the events of a file by their own times: JSON "
                                            "Lines, CloudEvents names, each with its time",
                                    .options = specs,
                                    .option_count = sizeof specs / sizeof specs[0],
                                    .operands_min = 1,
                                    .operands_max = 1};
    char **operands;
    int operand_count;
    struct detail reason;
    enum status status = options_parse(PROGRAM, &command, argc, argv, &operands, &operand_count);
    if (status != STATUS_OK)
        return status;
    o->path = operands[0];
    if (o->store == NULL)
        return options_usage(PROGRAM, &command, "--store DIR is missing");
    if (policy_options_clash(&o->policy))
        return options_usage(PROGRAM, &command, "--policy and --limit exclude each other");
    if (o->source != NULL && event_source_check(slice_of_text(o->source), &reason) != STATUS_OK)
        return options_usage(PROGRAM, &command, "--source: %s", reason.text);
    return STATUS_OK;
}

/* ---- the record of an earlier run ---- */

static enum status record_open(struct run *run, struct detail *ret_detail)
{
    char folder[UPLOAD_PATH_BYTES_MAX];
    int size = snprintf(folder, sizeof folder, "%s/batches", run->options.store);
    char *path = realpath(run->options.path, NULL);
    if (path == NULL || strlen(path) >= sizeof run->upload.path) {
        free(path);
        return detail_set(ret_detail, STATUS_BAD_INPUT, "cannot read %s: its path is too long",
                          run->options.path);
    }
    memcpy(run->upload.path, path, strlen(path) + 1);
    free(path);
    run->upload.log_id = run->held.log_id;
    if (size < 0 || (size_t)size >= sizeof folder || (mkdir(folder, 0700) != 0 && errno != EEXIST))
        return detail_set(ret_detail, STATUS_IO, "cannot make %s: %s", folder, strerror(errno));
    const struct upload_name name = {.folder = folder,
                                     .path = run->upload.path,
                                     .log_id = run->held.log_id,
                                     .source = run->options.source};
    return upload_file_open(&name, &run->record, ret_detail);
}

static enum status changed_file(const struct run *run, const struct detail *reason,
                                struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT,
                      "%s: %s since it was decided: decide all of it as further events with "
                      "--append, or under a new name with --source NAME",
                      run->options.path, reason->text);
}

/* Takes up what an earlier run said of this file and this log, and moves past what was decided. */
static enum status resume(struct run *run, struct detail *ret_detail)
{
    struct upload found;
    struct detail reason;
    upload_init(&found);
    enum status status = upload_file_load(run->record, &found, ret_detail);
    bool same = status == STATUS_OK && strcmp(found.path, run->upload.path) == 0 &&
                log_id_equal(&found.log_id, &run->upload.log_id);
    if (!same) {
        upload_fini(&found);
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
    upload_fini(&run->upload);
    run->upload = found;
    status = lines_skip(run->lines, &run->upload.saved, &reason);
    if (status == STATUS_BAD_INPUT)
        return changed_file(run, &reason, ret_detail);
    return status == STATUS_OK
               ? STATUS_OK
               : detail_set(ret_detail, status, "%s: %s", run->options.path, reason.text);
}

static enum status input_open(struct run *run, struct detail *ret_detail)
{
    struct stat info;
    enum status status = lines_open(run->options.path, &run->lines, ret_detail);
    if (status != STATUS_OK || !lines_is_file(run->lines))
        return status;
    if (fstat(lines_fd(run->lines), &info) == 0)
        run->file_bytes = (uint64_t)info.st_size;
    return STATUS_OK;
}

/* ---- parts ---- */

static void *commit_thread(void *context)
{
    struct service *service = context;
    void *group[BATCHES_IN_FLIGHT_MAX];
    while (!queue_finished(service->to_commit)) {
        uint32_t count =
            queue_pop(service->to_commit, group, BATCHES_IN_FLIGHT_MAX, COMMIT_WAIT_MS);
        if (count > 0 && atomic_load(&service->failure) == STATUS_OK)
            (void)commit_make_durable(service, group, count);
        for (uint32_t i = 0; i < count; i++)
            batch_release(group[i]);
    }
    return NULL;
}

static void service_fill(struct run *run)
{
    struct service *service = &run->service;
    service->store_directory = run->options.store;
    service->log = run->held.log;
    service->log_id = run->held.log_id;
    service->records_per_s = UINT32_MAX; /* every refusal on its own, see offline.h */
    service->pool = batch_pool_new();
    service->to_commit = queue_new(BATCHES_IN_FLIGHT_MAX, false);
}

static enum status parts_make(struct run *run, struct detail *ret_detail)
{
    const struct offline_options options = {
        .path = run->options.path, .record = run->record, .append = run->options.append};
    service_fill(run);
    run->taken = run->upload.saved;
    run->first_segment = log_durable(run->held.log).segment;
    run->blocks = line_blocks_new(run->lines, run->options.source);
    if (run->service.pool == NULL || run->service.to_commit == NULL || run->blocks == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    run->offline = offline_new(&run->service, run->held.state, &options, &run->upload);
    if (run->offline == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    run->held.state = NULL;
    run->commit_runs = pthread_create(&run->commit, NULL, commit_thread, &run->service) == 0;
    if (!run->commit_runs)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "cannot start a thread");
    return line_blocks_start(run->blocks, ret_detail);
}

static enum status run_start(struct run *run, struct detail *ret_detail)
{
    enum status status = policy_options_read(&run->options.policy, &run->wanted, ret_detail);
    if (status == STATUS_OK)
        status = input_open(run, ret_detail);
    if (status == STATUS_OK)
        status = held_store_lock(&run->held, ret_detail);
    if (status == STATUS_OK) /* a new log has no time before its first event's */
        status = held_store_open(&run->held, &run->wanted, 0, ret_detail);
    if (status == STATUS_OK)
        status = held_store_settle(&run->held,
                                   policy_options_given(&run->options.policy) ? &run->wanted : NULL,
                                   log_durable(run->held.log).last_time_ns, ret_detail);
    if (status == STATUS_OK && lines_is_file(run->lines))
        status = record_open(run, ret_detail);
    if (status == STATUS_OK && run->record != NULL && !run->options.append)
        status = resume(run, ret_detail);
    return status == STATUS_OK ? parts_make(run, ret_detail) : status;
}

static void run_end(struct run *run)
{
    line_blocks_destroy(&run->blocks);
    offline_destroy(&run->offline);
    queue_destroy(&run->service.to_commit);
    batch_pool_destroy(&run->service.pool);
    upload_file_close(&run->record);
    upload_fini(&run->upload);
    lines_close(&run->lines);
    held_store_fini(&run->held);
}

/* ---- deciding ---- */

static uint64_t refused_sum(const struct offline_counts *counts)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < REASON_COUNT; i++)
        sum += i == REASON_SHADOW ? 0 : counts->refused[i];
    return sum;
}

static void counts_format(const struct offline_counts *counts, char ret_text[COUNTS_BYTES_MAX])
{
    char reasons[REASON_COUNTS_BYTES_MAX];
    uint64_t refused[REASON_COUNT];
    memcpy(refused, counts->refused, sizeof refused);
    refused[REASON_SHADOW] = 0;
    bool some = reason_counts_format(refused, reasons, sizeof reasons) > 0;
    int used =
        snprintf(ret_text, COUNTS_BYTES_MAX, "%" PRIu64 " accepted, %" PRIu64 " refused%s%s%s",
                 counts->accepted, refused_sum(counts), some ? " (" : "", some ? reasons : "",
                 some ? ")" : "");
    if (counts->late > 0)
        snprintf(ret_text + used, COUNTS_BYTES_MAX - (size_t)used, ", %" PRIu64 " late",
                 counts->late);
}

static void progress_tick(struct run *run, uint64_t now_ns)
{
    if (!progress_due(&run->progress, now_ns))
        return;
    struct offline_counts counts = offline_counts(run->offline);
    uint64_t refused = refused_sum(&counts);
    unsigned percent = run->file_bytes == 0
                           ? 0
                           : (unsigned)((double)run->taken.bytes * 100 / (double)run->file_bytes);
    char text[COUNTS_BYTES_MAX], line[COUNTS_BYTES_MAX + 32], fields[COUNTS_BYTES_MAX];
    counts_format(&counts, text);
    snprintf(line, sizeof line, run->file_bytes == 0 ? "%s" : "%s, %u %%", text, percent);
    snprintf(fields, sizeof fields,
             "accepted=%" PRIu64 " refused=%" PRIu64 " late=%" PRIu64 " line=%" PRIu64,
             counts.accepted, refused, counts.late, run->taken.lines);
    progress_say(&run->progress, line, fields, counts.accepted + refused, now_ns);
}

static void bad_lines_report(struct run *run, const struct line_block *block)
{
    for (uint32_t i = 0; i < block->count; i++) {
        const struct block_line *line = &block->lines[i];
        if (line->event_bytes > 0)
            continue;
        progress_break(&run->progress);
        run->bad_lines++;
        fprintf(stderr, "%s:%" PRIu64 ": %s\n", run->options.path, line->number,
                (const char *)block->bytes.data + line->event_at);
    }
}

static enum status blocks_take(struct run *run, struct detail *ret_detail)
{
    struct line_block *block;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !run->over && !lifecycle_stopping() &&
           (block = line_blocks_next(run->blocks)) != NULL) {
        bad_lines_report(run, block);
        status = offline_take(run->offline, block, ret_detail);
        if (status == STATUS_OK) {
            run->taken = block->end;
            run->over = block->over;
            status = block->status;
            if (status != STATUS_OK)
                *ret_detail = block->detail;
        }
        line_blocks_return(run->blocks, block);
        progress_tick(run, clock_boot_ns());
    }
    return status;
}

/* Why a thread gave up, or what was folded differs. */
static enum status failure_of(const struct run *run, struct detail *ret_detail)
{
    enum status failure = (enum status)atomic_load(&run->service.failure);
    if (failure != STATUS_OK)
        *ret_detail = run->service.failure_detail;
    return failure;
}

static enum status decide(struct run *run, struct detail *ret_detail)
{
    enum status status = blocks_take(run, ret_detail);
    offline_seal(run->offline);
    pthread_join(run->commit, NULL);
    run->commit_runs = false;
    enum status failure = failure_of(run, ret_detail);
    if (failure != STATUS_OK)
        return failure;
    return status == STATUS_OK ? offline_finish(run->offline, run->over, ret_detail) : status;
}

/* ---- the end ---- */

static void say_result(struct run *run, bool failed)
{
    struct offline_counts counts = offline_counts(run->offline);
    uint64_t decided = counts.accepted + refused_sum(&counts);
    uint64_t now_ns = clock_boot_ns();
    progress_break(&run->progress);
    if (decided == 0 && run->bad_lines == 0 && failed)
        return;
    if (decided == 0 && run->bad_lines == 0 && run->over && run->taken.lines > 0) {
        printf("nothing to decide: all %" PRIu64 " lines were decided before\n", run->taken.lines);
        return;
    }
    char text[COUNTS_BYTES_MAX];
    counts_format(&counts, text);
    printf("%s", text);
    if (counts.known > 0)
        printf(", %" PRIu64 " decided before", counts.known);
    if (run->bad_lines > 0)
        printf(", %" PRIu64 " bad lines", run->bad_lines);
    printf(", %" PRIu64 "/s\n", progress_rate(&run->progress, decided, now_ns));
    fflush(stdout);
}

/* Where segments were sealed: the snapshots that a processor would have written meanwhile, so that
 * the next start and questions about the past need not fold all of it. DIVERGED: a bug. */
static enum status snapshots_leave(struct run *run, struct detail *ret_detail)
{
    const struct retention_options keep_all = {0};
    if (log_durable(run->held.log).segment == run->first_segment)
        return STATUS_OK;
    struct snapshots *snapshots = snapshots_new(&run->service, keep_all, SNAPSHOT_EVERY_BYTES);
    if (snapshots != NULL)
        snapshots_catch_up(snapshots);
    snapshots_destroy(&snapshots);
    return failure_of(run, ret_detail);
}

static int result_code(const struct run *run)
{
    struct offline_counts counts = offline_counts(run->offline);
    if (!run->over) {
        fprintf(stderr, "%s: stopped behind line %" PRIu64 "%s\n", run->options.path,
                run->taken.lines,
                run->record == NULL   ? ""
                : run->options.append ? ": 'batch' goes on from there when it is started "
                                        "without --append"
                                      : ": 'batch' goes on from there");
        return EXIT_CODE_TEMPORARY;
    }
    if (run->bad_lines > 0)
        return EXIT_CODE_BAD_INPUT;
    return refused_sum(&counts) > 0 ? EXIT_CODE_SOME_REFUSED : EXIT_CODE_DONE;
}

static int batch_run(struct run *run)
{
    struct detail detail = {{0}};
    enum status status = lifecycle_start(&detail);
    if (status == STATUS_OK)
        status = run_start(run, &detail);
    if (status == STATUS_OK) {
        progress_start(&run->progress, clock_boot_ns());
        status = decide(run, &detail);
        say_result(run, status != STATUS_OK);
        if (status == STATUS_OK && run->over)
            status = snapshots_leave(run, &detail);
    } else if (run->commit_runs) {
        offline_seal(run->offline);
        pthread_join(run->commit, NULL);
    }
    if (status == STATUS_OK)
        return result_code(run);
    int code = lifecycle_fail(PROGRAM, status, &detail);
    return status == STATUS_INTERRUPTED ? EXIT_CODE_TEMPORARY : code;
}

int batch_main(int argc, char **argv)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return EXIT_CODE_FAILED;
    enum status status = options_read(&run->options, argc, argv);
    if (status != STATUS_OK) {
        free(run);
        return (int)status_exit_code(status == STATUS_END ? STATUS_OK : status);
    }
    upload_init(&run->upload);
    held_store_init(&run->held, run->options.store);
    int code = batch_run(run);
    run_end(run);
    free(run);
    return code;
}
