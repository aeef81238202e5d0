#include "projector/sql/sql_answer.h"

#include "common/event/codec.h"
#include "projector/core/answer.h"

static void write_uint(struct buffer *reply, const char *name, uint64_t value)
{
    codec_text(reply, name);
    codec_uint(reply, value);
}

static void write_text(struct buffer *reply, const char *name, const char *text)
{
    codec_text(reply, name);
    codec_text(reply, text);
}

static void write_head(const struct sql_answer *answer, uint32_t members, struct buffer *reply)
{
    char hex[DIGEST_HEX_BYTES];
    digest_hex(&sql_version_progress(answer->version)->digest, hex);
    codec_map(reply, members);
    write_text(reply, "view", sql_version_file(answer->version)->view);
    codec_text(reply, "log_id");
    codec_bin(reply, (struct slice){answer->log_id->bytes, LOG_ID_BYTES});
    write_uint(reply, "event_id", answer->position.event_id);
    write_uint(reply, "rejection_id", answer->position.rejection_id);
    write_uint(reply, "time", answer->position.time_ns);
    write_text(reply, "digest", hex);
    if (answer->since > 1)
        write_uint(reply, "since", answer->since);
}

void sql_answer_write(const struct sql_answer *answer, struct buffer *reply)
{
    struct detail why = {.text = ""};
    uint64_t rows = sql_version_progress(answer->version)->shown_rows;
    uint64_t first = answer->offset < rows ? answer->offset : rows;
    uint64_t max =
        answer->limit > 0 && answer->limit < ANSWER_ROWS_MAX ? answer->limit : ANSWER_ROWS_MAX;
    bool is_cut = rows - first > max;
    uint32_t members = 7 + (uint32_t)is_cut + (answer->since > 1) + (answer->note != NULL) +
                       (answer->problem != NULL);
    control_ok_write(reply, 1);
    write_head(answer, members, reply);
    codec_text(reply, "rows");
    enum status status = sql_version_write_rows(answer->version, first, max, reply, &why);
    if (is_cut)
        write_uint(reply, "next", first + max);
    if (answer->note != NULL)
        write_text(reply, "note", answer->note);
    if (answer->problem != NULL)
        write_text(reply, "problem", answer->problem);
    if (status == STATUS_OK && reply->status == STATUS_OK)
        return;
    buffer_clear(reply);
    control_error_write(reply, CONTROL_CODE_UNAVAILABLE,
                        why.text[0] != '\0' ? why.text : "the rows are too large for a reply");
}
