/* records: accepted records and rejections one after another, as a replay brings them. */
#ifndef WEIR_TESTS_UNIT_PROJECTOR_RECORDS_H
#define WEIR_TESTS_UNIT_PROJECTOR_RECORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "projector/core/fold.h"

enum { RECORDS_BYTES_MAX = 4 * 1024 * 1024, RECORD_TIME = 1000000 };

/* An event of version 1 whose data is one map. */
struct record_event {
    const char *type, *subject;
    struct slice data;
};

/* Appends an accepted record; its time is RECORD_TIME + id. */
static inline void append_accepted(struct buffer *records, uint64_t id, const char *source,
                                   const struct record_event *event)
{
    struct buffer raw;
    buffer_init(&raw, EVENT_BYTES_MAX);
    codec_array(&raw, 5);
    codec_uint(&raw, 1);
    codec_text(&raw, event->type);
    codec_text(&raw, event->subject);
    codec_uint(&raw, 1);
    buffer_append(&raw, event->data.data, event->data.size);
    assert_int_equal(raw.status, STATUS_OK);
    assert_int_equal(buffer_reserve(records, RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + raw.size),
                     STATUS_OK);
    uint8_t *at = records->data + records->size;
    uint8_t *end = accepted_record_put(at, id, RECORD_TIME + id, slice_of_text(source), id,
                                       buffer_slice(&raw));
    records->size += (size_t)(end - at);
    buffer_fini(&raw);
}

/* A fold of the views that `names` mentions, behind a policy. */
static inline struct fold *fold_of_views(const char *names, const char *policy)
{
    const struct view_type *types[FOLD_VIEWS_MAX];
    struct fold_options options = {.types = types, .policy = policy};
    struct fold *fold = NULL;
    struct detail detail = {.text = ""};
    for (uint32_t i = 0; i < view_type_count; i++)
        if (strstr(names, view_types[i]->name) != NULL)
            types[options.type_count++] = view_types[i];
    hash_seed_random(&options.seed);
    if (fold_new(&options, &fold, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return fold;
}

static inline void expect_applied(struct fold *fold, enum stream stream,
                                  const struct buffer *records, uint64_t count)
{
    uint64_t hash;
    struct detail detail = {.text = ""};
    assert_int_equal(records->status, STATUS_OK);
    if (fold_apply(fold, stream, buffer_slice(records), count, &hash, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
}

#endif
