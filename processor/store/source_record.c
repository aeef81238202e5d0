#include "processor/store/source_record.h"

#include <string.h>

#include "common/event/codec.h"

enum { SOURCE_RECORD_ITEMS = 4, GENESIS_ITEMS = 4, GENESIS_VERSION = 1 };

void source_record_write(struct buffer *buffer, struct slice source, uint64_t epoch,
                         uint64_t last_sequence, const struct refused_run *runs, uint32_t run_count)
{
    codec_array(buffer, SOURCE_RECORD_ITEMS);
    codec_text_slice(buffer, source);
    codec_uint(buffer, epoch);
    codec_uint(buffer, last_sequence);
    codec_array(buffer, 2 * run_count);
    for (uint32_t i = 0; i < run_count; i++) {
        codec_uint(buffer, runs[i].first);
        codec_uint(buffer, runs[i].count);
    }
}

/* Moves past an array header that must say `items`. */
static enum status read_items(struct mp_reader *reader, uint32_t items)
{
    uint32_t count = 0;
    const enum status status = mp_read_array(reader, &count);
    if (status != STATUS_OK)
        return status;
    return count == items ? STATUS_OK : STATUS_INVALID;
}

enum status refused_run_read(struct mp_reader *reader, struct refused_run *ret_run)
{
    struct mp_reader at = *reader;
    struct refused_run run = {0};
    enum status status = mp_read_uint(&at, &run.first);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &run.count);
    if (status != STATUS_OK)
        return status;
    if (run.first == 0 || run.count == 0 || run.count - 1 > UINT64_MAX - run.first)
        return STATUS_INVALID;
    reader->at = at.at;
    *ret_run = run;
    return STATUS_OK;
}

/* Moves past the runs; they ascend, do not overlap and end at or before `last`. */
static enum status check_runs(struct mp_reader *reader, uint32_t run_count, uint64_t last)
{
    uint64_t taken = 0; /* last sequence of the run before */
    for (uint32_t i = 0; i < run_count; i++) {
        struct refused_run run;
        const enum status status = refused_run_read(reader, &run);
        if (status != STATUS_OK)
            return status;
        if (run.first <= taken)
            return STATUS_INVALID;
        taken = run.first + (run.count - 1);
        if (taken > last)
            return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status source_record_read(struct mp_reader *reader, struct source_record *ret_record)
{
    struct mp_reader at = *reader;
    struct source_record record = {0};
    uint32_t numbers = 0;
    enum status status = read_items(&at, SOURCE_RECORD_ITEMS);
    if (status == STATUS_OK)
        status = mp_read_text(&at, &record.source);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &record.epoch);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &record.last_sequence);
    if (status == STATUS_OK)
        status = mp_read_array(&at, &numbers);
    if (status != STATUS_OK)
        return status;
    if (record.source.size == 0 || record.source.size > EVENT_SOURCE_BYTES_MAX || numbers % 2 != 0)
        return STATUS_INVALID;
    record.run_count = numbers / 2;
    record.runs = at;
    status = check_runs(&at, record.run_count, record.last_sequence);
    if (status != STATUS_OK)
        return status;
    record.runs.end = at.at;
    reader->at = at.at;
    *ret_record = record;
    return STATUS_OK;
}

void genesis_write(struct buffer *buffer, const struct genesis *genesis)
{
    codec_array(buffer, GENESIS_ITEMS);
    codec_uint(buffer, GENESIS_VERSION);
    codec_bin(buffer, (struct slice){genesis->log_id.bytes, LOG_ID_BYTES});
    codec_uint(buffer, genesis->created_at_ns);
    codec_text_slice(buffer, genesis->policy_text);
}

enum status genesis_read(struct slice payload, struct genesis *ret_genesis)
{
    struct mp_reader at = mp_reader_of(payload);
    struct genesis genesis = {0};
    struct slice log_id = {0};
    uint64_t version = 0;
    enum status status = read_items(&at, GENESIS_ITEMS);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &version);
    if (status == STATUS_OK)
        status = mp_read_bin(&at, &log_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &genesis.created_at_ns);
    if (status == STATUS_OK)
        status = mp_read_text(&at, &genesis.policy_text);
    if (status != STATUS_OK)
        return status;
    if (version != GENESIS_VERSION || log_id.size != LOG_ID_BYTES || !mp_at_end(&at))
        return STATUS_INVALID;
    memcpy(genesis.log_id.bytes, log_id.data, LOG_ID_BYTES);
    *ret_genesis = genesis;
    return STATUS_OK;
}
