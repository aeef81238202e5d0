#include "tests/unit/processor/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/wire/submission.h"

enum { FRAME_BYTES_MAX = 2 * SUBMISSION_BYTES_MAX };

/* ---- events --------------------------------------------------------------------------------- */

const char traffic_policies[] = "[policy \"burst\"]\n"
                                "match = order.*\n"
                                "key = source\n"
                                "quota = 200\n"
                                "window = 20ms\n"
                                "[policy \"cost\"]\n"
                                "match = order.*\n"
                                "key = data.k\n"
                                "cost = data.n\n"
                                "quota = 900\n"
                                "window = 1h\n"
                                "max_keys = 20\n"
                                "[policy \"units\"]\n"
                                "match = user.*\n"
                                "key = subject\n"
                                "quota = 40\n"
                                "window = 50ms\n"
                                "max_units = 300\n"
                                "[policy \"all\"]\n"
                                "key = global\n"
                                "quota = 3000\n"
                                "window = 10ms\n"
                                "[policy \"watch\"]\n"
                                "key = subject\n"
                                "quota = 50\n"
                                "window = 1s\n"
                                "mode = shadow\n";

/* Half of the keys are texts, half integers of both signs. */
static void key_write(struct rng *rng, struct buffer *buffer)
{
    char text[8];
    uint64_t key = rng_below(rng, 30);
    snprintf(text, sizeof text, "k-%d", (int)key);
    if (key % 2 == 0)
        codec_text(buffer, text);
    else
        codec_int(buffer, (int64_t)key - 15);
}

static void bad_event_write(struct rng *rng, struct buffer *buffer)
{
    switch (rng_below(rng, 4)) {
    case 0: /* too few items */
        codec_array(buffer, 1);
        codec_uint(buffer, 1);
        break;
    case 1: /* ours */
        codec_array(buffer, 5);
        codec_uint(buffer, 1);
        codec_text(buffer, "weir.x");
        codec_text(buffer, "s");
        codec_uint(buffer, 1);
        codec_map(buffer, 0);
        break;
    case 2: /* no event at all */
        codec_text(buffer, "\xff\xfe");
        break;
    default: /* a policy's field is missing */
        codec_array(buffer, 5);
        codec_uint(buffer, 1);
        codec_text(buffer, "order.created");
        codec_text(buffer, "s");
        codec_uint(buffer, 1);
        codec_map(buffer, 0);
    }
}

void traffic_event_write(struct rng *rng, bool may_be_bad, struct buffer *buffer)
{
    static const char *const types[] = {"order.created", "order.paid", "user.seen", "stock.moved"};
    char subject[16];
    if (may_be_bad && rng_below(rng, 12) == 0) {
        bad_event_write(rng, buffer);
        return;
    }
    snprintf(subject, sizeof subject, "s-%d", (int)rng_below(rng, 25));
    codec_array(buffer, 5);
    codec_uint(buffer, rng_next(rng) >> 1);
    codec_text(buffer, types[rng_below(rng, 4)]);
    codec_text(buffer, subject);
    codec_uint(buffer, 1);
    codec_map(buffer, 2);
    codec_text(buffer, "k");
    key_write(rng, buffer);
    codec_text(buffer, "n");
    codec_uint(buffer, rng_below(rng, 10));
}

/* ---- submissions ---------------------------------------------------------------------------- */

static void header_write(struct buffer *buffer, const struct submission_header *header)
{
    codec_array(buffer, 5);
    codec_uint(buffer, WIRE_VERSION);
    codec_text_slice(buffer, header->source);
    codec_uint(buffer, header->epoch);
    codec_uint(buffer, header->first_sequence);
    codec_uint(buffer, header->count);
}

static void submission_write(struct traffic *traffic, const struct submission_header *header,
                             uint32_t events)
{
    buffer_clear(&traffic->frame);
    header_write(&traffic->frame, header);
    for (uint32_t i = 0; i < events; i++)
        traffic_event_write(&traffic->rng, true, &traffic->frame);
    assert_int_equal(traffic->frame.status, STATUS_OK);
}

static void push(struct traffic *traffic)
{
    shell_push(traffic->shell, buffer_slice(&traffic->frame), NULL);
}

static struct submission_header header_of(const struct traffic_source *source,
                                          uint64_t first_sequence, uint32_t count)
{
    return (struct submission_header){.source = slice_of_text(source->name),
                                      .epoch = source->epoch,
                                      .first_sequence = first_sequence,
                                      .count = count};
}

static uint32_t some(struct traffic *traffic)
{
    return 1 + (uint32_t)rng_below(&traffic->rng, 120);
}

static void push_next(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    submission_write(traffic, &header, header.count);
    push(traffic);
    source->last += header.count;
}

/* Begins with sequences that were decided, and may go on behind them. */
static void push_overlap(struct traffic *traffic, struct traffic_source *source)
{
    if (source->last == 0)
        return;
    uint64_t reach = source->last < 200 ? source->last : 200;
    uint64_t back = 1 + rng_below(&traffic->rng, reach);
    struct submission_header header = header_of(source, source->last + 1 - back, some(traffic));
    submission_write(traffic, &header, header.count);
    push(traffic);
    traffic->counted[REASON_DUPLICATE] += back < header.count ? back : header.count;
    source->last += header.count > back ? header.count - back : 0;
}

static void push_gap(struct traffic *traffic, struct traffic_source *source)
{
    uint64_t first = source->last + 2 + rng_below(&traffic->rng, 100);
    struct submission_header header = header_of(source, first, some(traffic));
    submission_write(traffic, &header, header.count);
    push(traffic);
    traffic->counted[REASON_OUT_OF_ORDER] += header.count;
}

static void push_fenced(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    header.epoch = rng_below(&traffic->rng, 2) == 0 ? source->epoch - 1 : source->epoch + 1;
    if (rng_below(&traffic->rng, 4) == 0)
        header.source = slice_of_text("stranger");
    submission_write(traffic, &header, header.count);
    push(traffic);
    traffic->counted[REASON_FENCED] += header.count;
}

static void push_unsequenced(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, 0, some(traffic));
    header.epoch = 0;
    submission_write(traffic, &header, header.count);
    push(traffic);
}

/* Says more events than it has, or loses bytes of the last one: the rest is refused. */
static void push_truncated(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    uint32_t whole = (uint32_t)rng_below(&traffic->rng, header.count);
    submission_write(traffic, &header, whole);
    if (rng_below(&traffic->rng, 2) == 0)
        buffer_append(&traffic->frame, "\x95\x01\xa5", 3);
    push(traffic);
    source->last += header.count;
}

static void push_with_bytes_behind(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, some(traffic));
    submission_write(traffic, &header, header.count);
    buffer_append(&traffic->frame, "\xc0", 1);
    push(traffic);
    source->last += header.count;
    traffic->refused_whole++;
}

static void push_refused_whole(struct traffic *traffic, struct traffic_source *source)
{
    struct submission_header header = header_of(source, source->last + 1, 1);
    traffic->refused_whole++;
    switch (rng_below(&traffic->rng, 5)) {
    case 0:
        shell_push(traffic->shell, (struct slice){(const uint8_t *)"", 0}, NULL);
        return;
    case 1:
        submission_write(traffic, &header, 1);
        shell_push(traffic->shell, buffer_slice(&traffic->frame), "a second frame");
        return;
    case 2:
        header.count = 0;
        break;
    case 3:
        header.count = SUBMISSION_EVENTS_MAX + 1;
        break;
    default:
        header.source = slice_of_text("weir-not");
    }
    submission_write(traffic, &header, 1);
    push(traffic);
}

static void say_hello(struct traffic *traffic, struct traffic_source *source)
{
    struct source_info info = shell_hello(traffic->shell, source->name);
    assert_int_equal(info.epoch, source->epoch + 1);
    assert_int_equal(info.last_sequence, source->last);
    source->epoch = info.epoch;
}

void traffic_step(struct traffic *traffic)
{
    struct traffic_source *source = &traffic->sources[rng_below(&traffic->rng, TRAFFIC_SOURCES)];
    uint64_t dice = rng_below(&traffic->rng, 100);
    if (dice < 55)
        push_next(traffic, source);
    else if (dice < 65)
        push_overlap(traffic, source);
    else if (dice < 70)
        push_gap(traffic, source);
    else if (dice < 75)
        push_fenced(traffic, source);
    else if (dice < 82)
        push_unsequenced(traffic, source);
    else if (dice < 87)
        push_truncated(traffic, source);
    else if (dice < 91)
        push_with_bytes_behind(traffic, source);
    else if (dice < 97)
        push_refused_whole(traffic, source);
    else
        say_hello(traffic, source);
}

void traffic_init(struct traffic *traffic, struct shell *shell, uint64_t seed)
{
    *traffic = (struct traffic){.shell = shell};
    rng_init(&traffic->rng, seed);
    buffer_init(&traffic->frame, FRAME_BYTES_MAX);
    for (int i = 0; i < TRAFFIC_SOURCES; i++) {
        snprintf(traffic->sources[i].name, TRAFFIC_NAME_BYTES, "source-%d", i);
        say_hello(traffic, &traffic->sources[i]);
    }
}

void traffic_fini(struct traffic *traffic)
{
    buffer_fini(&traffic->frame);
}
