#include "producer/inject_report.h"

#include <inttypes.h>

#include "common/event/codec.h"
#include "common/event/json.h"

enum {
    HEXDUMP_BYTES_MAX = 128, /* of the evidence; the records hold up to 256 */
    HEXDUMP_ROW_BYTES = 16,
    JSON_BYTES_MAX = 16 * 1024,
};
#define INDENT "         "

/* ---- what should come back ---- */

static const char *answer_text(enum answer answer)
{
    switch (answer) {
    case ANSWER_RECORD:
        return "record";
    case ANSWER_LIMIT:
        return "records";
    case ANSWER_RESEND:
        return "ack ok";
    case ANSWER_GAP:
        return "ack gap";
    case ANSWER_FENCED:
        return "ack fenced";
    }
    return "";
}

enum { USE_BYTES_MAX = 48 };

/* Which sequences the kind uses: "none", "1", "1 good, 2 refused". */
static const char *use_text(const struct kind *kind, char ret_text[USE_BYTES_MAX])
{
    if (kind->answer == ANSWER_LIMIT)
        snprintf(ret_text, USE_BYTES_MAX, "all");
    else if (kind->good > 0 && kind->refused > 0)
        snprintf(ret_text, USE_BYTES_MAX, "%" PRIu32 " good, %" PRIu32 " refused", kind->good,
                 kind->refused);
    else if (kind->good > 0)
        snprintf(ret_text, USE_BYTES_MAX, "%" PRIu32 " good", kind->good);
    else if (kind->refused > 0)
        snprintf(ret_text, USE_BYTES_MAX, "%" PRIu32 " refused", kind->refused);
    else
        snprintf(ret_text, USE_BYTES_MAX, "none");
    return ret_text;
}

void inject_print_list(FILE *stream)
{
    fprintf(stream, "%-26s %-13s %-18s %-11s %s\n", "KIND", "REASON", "SEQUENCES", "ANSWER",
            "SENDS");
    for (uint32_t i = 0; i < catalogue_count(); i++) {
        const struct kind *kind = catalogue_kind(i);
        char use[USE_BYTES_MAX];
        fprintf(stream, "%-26s %-13s %-18s %-11s %s\n", kind->name, reason_text(kind->reason),
                use_text(kind, use), answer_text(kind->answer), kind->what);
    }
}

/* ---- text ---- */

/* Bytes that a terminal may act on are shown as a point. */
static void print_hexdump(const uint8_t *bytes, size_t size, FILE *stream)
{
    size_t shown = size < HEXDUMP_BYTES_MAX ? size : HEXDUMP_BYTES_MAX;
    for (size_t row = 0; row < shown; row += HEXDUMP_ROW_BYTES) {
        fprintf(stream, INDENT "%s  %04zx ", row == 0 ? "evidence " : "         ", row);
        for (size_t i = row; i < row + HEXDUMP_ROW_BYTES; i++) {
            if (i < shown)
                fprintf(stream, " %02x", bytes[i]);
            else
                fprintf(stream, "   ");
        }
        fprintf(stream, "  |");
        for (size_t i = row; i < row + HEXDUMP_ROW_BYTES && i < shown; i++)
            fputc(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.', stream);
        fprintf(stream, "|\n");
    }
    if (size > shown)
        fprintf(stream, INDENT "           … and %zu bytes more\n", size - shown);
}

/* The key that a policy counted by, if there is one. */
static void print_key(const struct found_record *record, FILE *stream)
{
    struct buffer text;
    buffer_init(&text, JSON_BYTES_MAX);
    struct slice key = {record->key, record->key_size};
    if (record->key_size > 0 && json_write_item(key, &text) == STATUS_OK)
        fprintf(stream, ", key %.*s", (int)text.size, (const char *)text.data);
    buffer_fini(&text);
}

static void print_record(const struct finding *finding, FILE *stream)
{
    const struct found_record *record = &finding->record;
    fprintf(stream, INDENT "rejection  %" PRIu64 ": %s, ", record->rejection_id,
            reason_text(record->reason));
    if (!record->has_sequence)
        fprintf(stream, "no sequence");
    else
        fprintf(stream, "sequence %" PRIu64, record->sequence);
    if (record->count > 1)
        fprintf(stream, " and %" PRIu64 " more", record->count - 1);
    if (record->policy[0] != '\0')
        fprintf(stream, ", policy %s", record->policy);
    print_key(record, stream);
    if (record->retry_after_ns != RECORD_NEVER)
        fprintf(stream, ", retry after %.3f s", (double)record->retry_after_ns / 1e9);
    if (record->detail[0] != '\0')
        fprintf(stream, "\n" INDENT "detail     %s", record->detail);
    fprintf(stream, "\n");
    print_hexdump(record->evidence, record->evidence_size, stream);
}

static void print_ack(const struct finding *finding, FILE *stream)
{
    const struct found_ack *ack = &finding->ack;
    fprintf(stream, INDENT "ack        %s: ", ack_status_text(ack->status));
    if (finding->decided > 0)
        fprintf(stream, "decided %" PRIu64 ", of them refused %" PRIu64 "%s\n", finding->decided,
                finding->refused, finding->resent ? ", as the first time" : "");
    else
        fprintf(stream, "epoch %" PRIu64 ", resume at sequence %" PRIu64 "\n", ack->epoch,
                ack->last_sequence + 1);
}

static const char *result_text(const struct finding *finding)
{
    if (finding->skipped)
        return "skipped";
    return finding_as_stated(finding) ? "as stated" : "NOT as stated";
}

void inject_print_finding(const struct finding *finding, FILE *stream)
{
    const struct kind *kind = finding->kind;
    char use[USE_BYTES_MAX];
    fprintf(stream, "%s: %s\n", kind->name, kind->what);
    fprintf(stream, INDENT "should be  %s, %s, sequences used: %s\n", reason_text(kind->reason),
            answer_text(kind->answer), use_text(kind, use));
    if (finding->has_record)
        print_record(finding, stream);
    else if (finding->anonymous > 0 && kind->answer == ANSWER_RECORD)
        fprintf(stream, INDENT "rejection  in a summary without a source\n");
    if (finding->has_ack)
        print_ack(finding, stream);
    fprintf(stream, INDENT "%s%s%s\n", result_text(finding),
            finding->problem.text[0] != '\0' ? ": " : "", finding->problem.text);
}

/* ---- JSON ---- */

static void pair_text(struct buffer *buffer, const char *name, const char *text)
{
    codec_text(buffer, name);
    if (text[0] != '\0')
        codec_text(buffer, text);
    else
        codec_nil(buffer);
}

static void pair_uint(struct buffer *buffer, const char *name, uint64_t value)
{
    codec_text(buffer, name);
    codec_uint(buffer, value);
}

static void record_write(const struct found_record *record, struct buffer *buffer)
{
    codec_map(buffer, 9);
    pair_uint(buffer, "rejectionid", record->rejection_id);
    pair_text(buffer, "reason", reason_text(record->reason));
    pair_text(buffer, "detail", record->detail);
    codec_text(buffer, "sequence");
    if (record->has_sequence)
        codec_uint(buffer, record->sequence);
    else
        codec_nil(buffer);
    pair_uint(buffer, "count", record->count);
    pair_text(buffer, "policy", record->policy);
    codec_text(buffer, "key");
    if (record->key_size > 0)
        buffer_append(buffer, record->key, record->key_size);
    else
        codec_nil(buffer);
    codec_text(buffer, "retry_after");
    record_retry_after_write(buffer, record->retry_after_ns);
    codec_text(buffer, "evidence");
    codec_bin(buffer, (struct slice){record->evidence, record->evidence_size});
}

static void ack_write_json(const struct found_ack *ack, struct buffer *buffer)
{
    codec_map(buffer, 4);
    pair_text(buffer, "status", ack_status_text(ack->status));
    pair_uint(buffer, "epoch", ack->epoch);
    pair_uint(buffer, "first_sequence", ack->first_sequence);
    pair_uint(buffer, "last_sequence", ack->last_sequence);
}

static void finding_write(const struct finding *finding, struct buffer *buffer)
{
    codec_map(buffer, 9);
    pair_text(buffer, "kind", finding->kind->name);
    pair_text(buffer, "reason", reason_text(finding->kind->reason));
    pair_uint(buffer, "sequences", finding->sequences);
    codec_text(buffer, "as_stated");
    if (finding->skipped)
        codec_nil(buffer);
    else
        codec_bool(buffer, finding_as_stated(finding));
    pair_text(buffer, "problem", finding->problem.text);
    pair_uint(buffer, "decided", finding->decided);
    pair_uint(buffer, "refused", finding->refused);
    codec_text(buffer, "rejection");
    if (finding->has_record)
        record_write(&finding->record, buffer);
    else
        codec_nil(buffer);
    codec_text(buffer, "ack");
    if (finding->has_ack)
        ack_write_json(&finding->ack, buffer);
    else
        codec_nil(buffer);
}

void inject_print_json(const struct finding *finding, FILE *stream)
{
    struct buffer item, text;
    buffer_init(&item, JSON_BYTES_MAX);
    buffer_init(&text, JSON_BYTES_MAX);
    finding_write(finding, &item);
    if (item.status == STATUS_OK && json_write_item(buffer_slice(&item), &text) == STATUS_OK)
        fprintf(stream, "%.*s\n", (int)text.size, (const char *)text.data);
    buffer_fini(&item);
    buffer_fini(&text);
}
