#include "processor/tools/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/event/codec.h"
#include "common/event/json.h"
#include "processor/recall.h"
#include "processor/store/snapshot.h"
#include "processor/tools/judge.h"
#include "processor/tools/store_view.h"

#define PROGRAM "weir-processor"

enum { REPORT_BYTES_MAX = 1024 * 1024, LINE_BYTES_MAX = 256, RECORDS_PER_LOOK = 100000 };

struct verify {
    const char *store;
    bool json;
    struct store_view *view;
    struct findings findings;
    struct judge *judge;
    bool passing_over;             /* until a snapshot stands before a batch */
    struct segment_list snapshots; /* from which it may go on */
    uint64_t undecided;            /* events and rejections that were passed over */
    struct progress progress;
    uint64_t looked_at; /* records, when the clock was last read */
};

/* ---- reading ---- */

static enum status options_read(struct verify *v, int argc, char **argv)
{
    const struct option_spec specs[] = {
        {"store", "DIR", "folder of the log", OPTION_TEXT, &v->store, 0},
        {"json", NULL, "the result as one JSON object", OPTION_FLAG, &v->json, 0},
    };
    const struct command command = {
        .name = "verify",
        .help = "check every byte of a log, prove every window, decide everything again",
        .options = specs,
        .option_count = sizeof specs / sizeof specs[0]};
    char **operands;
    int operand_count;
    enum status status = options_parse(PROGRAM, &command, argc, argv, &operands, &operand_count);
    if (status == STATUS_OK && v->store == NULL)
        return options_usage(PROGRAM, &command, "--store DIR is missing");
    return status;
}

static uint64_t records_read(const struct verify *v)
{
    struct judge_result result = judge_result(v->judge);
    return result.events + result.rejections;
}

static void progress_tick(struct verify *v, const struct batch_view *batch)
{
    uint64_t records = records_read(v), now_ns;
    if (records - v->looked_at < RECORDS_PER_LOOK)
        return;
    v->looked_at = records;
    now_ns = clock_boot_ns();
    if (!progress_due(&v->progress, now_ns))
        return;
    char line[LINE_BYTES_MAX], fields[LINE_BYTES_MAX];
    double percent =
        100 * (double)batch->header.number / (double)(store_view_durable(v->view)->last_batch + 1);
    struct judge_result result = judge_result(v->judge);
    snprintf(line, sizeof line,
             "%" PRIu64 " events, %" PRIu64 " rejections, %" PRIu64 " violations, %.0f %%",
             result.events, result.rejections, v->findings.count, percent);
    snprintf(fields, sizeof fields, "events=%" PRIu64 " rejections=%" PRIu64 " violations=%" PRIu64,
             result.events, result.rejections, v->findings.count);
    progress_say(&v->progress, line, fields, records, now_ns);
}

/* The judge goes on with the state of the snapshot that stands before batch `number`. */
static enum status judge_recall(struct verify *v, uint64_t number, struct log_start *ret_start,
                                struct detail *ret_detail)
{
    struct recall recall;
    enum status status = recall_snapshot(v->store, number, &recall, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct state *state = recovery_take_state(recall.recovery);
    status = judge_begin(v->judge, state);
    if (status != STATUS_OK)
        state_destroy(&state);
    recovery_destroy(&recall.recovery);
    *ret_start = recall.start;
    return status;
}

/* The windows of other policies reach back to what is gone: the next snapshot has them. */
static enum status pass_over_begin(struct verify *v, const struct batch_view *batch,
                                   struct detail *why)
{
    progress_break(&v->progress);
    log_warn("not decided again: a change of the policies, and what follows up to a snapshot",
             "batch=%" PRIu64 " event_id=%" PRIu64 " why=\"%s\"", batch->header.number,
             batch->header.first_event_id, why->text);
    v->passing_over = true;
    segment_list_fini(&v->snapshots);
    return snapshot_list_read(&v->snapshots, v->store, why);
}

/* Goes on before this batch if a good snapshot stands there. */
static enum status pass_over_end(struct verify *v, const struct batch_view *batch,
                                 struct detail *ret_detail)
{
    struct log_start start;
    for (size_t i = 0; i < v->snapshots.count; i++)
        if (v->snapshots.numbers[i] == batch->header.number) {
            enum status status = judge_recall(v, batch->header.number, &start, ret_detail);
            v->passing_over = status != STATUS_OK;
            return status == STATUS_NO_MEMORY ? status : STATUS_OK;
        }
    return STATUS_OK;
}

/* A log_visit_fn: bytes and order are checked before it is called. */
static enum status visit(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct verify *v = context;
    enum status status = STATUS_OK;
    if (lifecycle_stopping())
        return detail_set(ret_detail, STATUS_INTERRUPTED, "stopped before the end of the log");
    if (v->passing_over)
        status = pass_over_end(v, batch, ret_detail);
    if (status == STATUS_OK && !v->passing_over)
        status = judge_visit(v->judge, batch, ret_detail);
    if (status == STATUS_GONE)
        status = pass_over_begin(v, batch, ret_detail);
    if (v->passing_over)
        v->undecided += (uint64_t)batch->header.event_count + batch->header.rejection_count;
    if (status == STATUS_OK)
        progress_tick(v, batch);
    return status;
}

/* What stands between the first batch and the snapshot that the judge begins with. */
static void pass_over_first(struct verify *v, const struct batch_header *first,
                            const struct log_start *start)
{
    v->undecided = start->chain.next_event_id - first->first_event_id +
                   start->chain.next_rejection_id - first->first_rejection_id;
    if (v->undecided > 0)
        log_warn("not proved: what is before the oldest good snapshot",
                 "event_id=%" PRIu64 " snapshot_event_id=%" PRIu64, first->first_event_id,
                 start->chain.next_event_id - 1);
}

/* A log that has lost its beginning goes on from the oldest good snapshot. That stands where the
 * log begins now, unless dropping segments was cut short. */
static enum status beginning_find(struct verify *v, struct log_start *ret_start,
                                  struct detail *ret_detail)
{
    struct batch_header first;
    struct detail why = {"there is none"};
    *ret_start = (struct log_start){0}; /* the genesis */
    enum status status =
        reader_first(store_view_reader(v->view), store_view_durable(v->view), &first, ret_detail);
    if (status != STATUS_OK || first.number == 0)
        return status;
    status = snapshot_list_read(&v->snapshots, v->store, ret_detail);
    for (size_t i = 0; i < v->snapshots.count && status == STATUS_OK; i++) {
        if (v->snapshots.numbers[i] < first.number)
            continue;
        status = judge_recall(v, v->snapshots.numbers[i], ret_start, &why);
        if (status == STATUS_OK)
            pass_over_first(v, &first, ret_start);
        if (status == STATUS_OK || status == STATUS_NO_MEMORY || status == STATUS_IO)
            return status == STATUS_OK ? status : detail_set(ret_detail, status, "%s", why.text);
        status = STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    return detail_set(ret_detail, STATUS_GONE,
                      "%s: the log begins with event %" PRIu64
                      ", and no good snapshot says what the state was there or later: %s",
                      v->store, first.first_event_id, why.text);
}

static enum status log_read(struct verify *v, struct detail *ret_detail)
{
    struct log_start start;
    progress_start(&v->progress, clock_boot_ns());
    enum status status = store_view_open(v->store, &v->view, ret_detail);
    if (status != STATUS_OK)
        return status;
    v->judge = judge_new(v->store, &v->findings);
    if (v->judge == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    status = beginning_find(v, &start, ret_detail);
    if (status != STATUS_OK)
        return status;
    return reader_follow(store_view_reader(v->view), store_view_durable(v->view), &start, visit, v,
                         ret_detail);
}

/* ---- telling ---- */

static void text_pair(struct buffer *map, const char *key, const char *value)
{
    codec_text(map, key);
    codec_text(map, value);
}

static void uint_pair(struct buffer *map, const char *key, uint64_t value)
{
    codec_text(map, key);
    codec_uint(map, value);
}

static void violations_write(const struct findings *findings, struct buffer *map)
{
    uint32_t kept =
        findings->count < FINDINGS_KEPT ? (uint32_t)findings->count : (uint32_t)FINDINGS_KEPT;
    codec_text(map, "violations");
    codec_array(map, kept);
    for (uint32_t i = 0; i < kept; i++) {
        codec_map(map, 2);
        text_pair(map, "what", findings->kept[i].what.text);
        text_pair(map, "where", findings->kept[i].where);
    }
}

/* 16 digits, as status tells it; all 0 where nobody knows. */
static void state_digest_format(const struct verify *v, char ret_hex[DIGEST_HEX_BYTES])
{
    const struct state *state = v->judge == NULL || v->passing_over ? NULL : judge_state(v->judge);
    snprintf(ret_hex, DIGEST_HEX_BYTES, "%016" PRIx64, state == NULL ? 0 : state_digest(state));
}

static void result_write(const struct verify *v, bool ok, double seconds, struct buffer *map)
{
    struct judge_result result = {0};
    char digest[DIGEST_HEX_BYTES];
    if (v->judge != NULL)
        result = judge_result(v->judge);
    digest_hex(&result.records, digest);
    codec_map(map, 11);
    codec_text(map, "ok");
    codec_bool(map, ok);
    uint_pair(map, "events", result.events);
    uint_pair(map, "rejections", result.rejections);
    uint_pair(map, "batches", result.batches);
    uint_pair(map, "undecided", v->undecided);
    uint_pair(map, "violation_count", v->findings.count);
    violations_write(&v->findings, map);
    text_pair(map, "records_digest", digest);
    state_digest_format(v, digest);
    text_pair(map, "state_digest", digest);
    codec_text(map, "seconds");
    codec_float(map, seconds);
    uint_pair(map, "events_per_s",
              seconds > 0 ? (uint64_t)((double)result.events / seconds) : result.events);
}

static void json_say(const struct verify *v, bool ok, double seconds)
{
    struct buffer map, text;
    buffer_init(&map, REPORT_BYTES_MAX);
    buffer_init(&text, REPORT_BYTES_MAX);
    result_write(v, ok, seconds, &map);
    if (map.status == STATUS_OK && json_write_item(buffer_slice(&map), &text) == STATUS_OK)
        printf("%.*s\n", (int)text.size, (const char *)text.data);
    buffer_fini(&map);
    buffer_fini(&text);
}

static void text_say(const struct verify *v, bool ok, double seconds)
{
    const struct findings *findings = &v->findings;
    struct judge_result result = {0};
    char digest[DIGEST_HEX_BYTES];
    if (v->judge != NULL)
        result = judge_result(v->judge);
    for (uint64_t i = 0; i < findings->count && i < FINDINGS_KEPT; i++)
        printf("%s: %s\n", findings->kept[i].where, findings->kept[i].what.text);
    if (findings->count > FINDINGS_KEPT)
        printf("… and %" PRIu64 " more\n", findings->count - FINDINGS_KEPT);
    state_digest_format(v, digest);
    if (v->undecided > 0)
        printf("%" PRIu64 " events and rejections were not decided again\n", v->undecided);
    printf("%s: %" PRIu64 " events and %" PRIu64 " rejections in %" PRIu64 " batches, %" PRIu64
           " violations, state %s, %.2f s, %.0f/s\n",
           ok ? "ok" : "NOT OK", result.events, result.rejections, result.batches, findings->count,
           digest, seconds, seconds > 0 ? (double)result.events / seconds : 0);
}

static int verdict_say(struct verify *v, enum status status, const struct detail *detail)
{
    double seconds = (double)(clock_boot_ns() - v->progress.started_ns) / (double)NS_PER_S;
    progress_break(&v->progress);
    if (status == STATUS_DAMAGED)
        findings_add(&v->findings, v->store, detail->text);
    bool ok = status == STATUS_OK && v->findings.count == 0;
    if (v->json)
        json_say(v, ok, seconds);
    else
        text_say(v, ok, seconds);
    if (fflush(stdout) != 0)
        return lifecycle_fail(PROGRAM, STATUS_IO, &(struct detail){"cannot write the verdict"});
    if (status == STATUS_DAMAGED)
        return EXIT_CODE_IO;
    return ok ? EXIT_CODE_DONE : EXIT_CODE_FAILED;
}

static int verify_run(struct verify *v)
{
    struct detail detail = {{0}};
    enum status status = lifecycle_start(&detail);
    if (status == STATUS_OK)
        status = log_read(v, &detail);
    /* INVALID: the log cannot be followed any further, and the findings say why. */
    if (status == STATUS_OK || status == STATUS_DAMAGED || status == STATUS_INVALID)
        return verdict_say(v, status, &detail);
    int code = lifecycle_fail(PROGRAM, status, &detail);
    return status == STATUS_INTERRUPTED ? EXIT_CODE_TEMPORARY : code;
}

int verify_main(int argc, char **argv)
{
    struct verify *v = calloc(1, sizeof *v);
    if (v == NULL)
        return EXIT_CODE_FAILED;
    enum status status = options_read(v, argc, argv);
    int code = (int)status_exit_code(status == STATUS_END ? STATUS_OK : status);
    if (status == STATUS_OK)
        code = verify_run(v);
    judge_destroy(&v->judge);
    segment_list_fini(&v->snapshots);
    store_view_close(&v->view);
    free(v);
    return code;
}
