#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "processor/store/batch.h"

/* docs/log-format.md, "An example": these bytes never change. */
static const uint8_t golden[BATCH_HEADER_BYTES] = {
    0x89, 'W',  'E',  'I',  'R',  '\r', '\n', 0x1a,             /* magic */
    2,    0,    2,    0,                                        /* format, kind */
    0x44, 0x33, 0x22, 0x11,                                     /* CRC of the batch before */
    8,    7,    6,    5,    4,    3,    2,    1,                /* salt */
    9,    0,    0,    0,    0,    0,    0,    0,                /* number */
    8,    0,    0,    0,    0,    0,    0,    0,                /* first batch of the write */
    0xe9, 3,    0,    0,    0,    0,    0,    0,                /* first event id 1001 */
    51,   0,    0,    0,    0,    0,    0,    0,                /* first rejection id */
    0x15, 0xcd, 0x5b, 0x07, 0,    0,    0,    0,                /* first time 123456789 */
    0x16, 0xcd, 0x5b, 0x07, 0,    0,    0,    0,                /* last time 123456790 */
    2,    0,    0,    0,                                        /* events */
    1,    0,    0,    0,                                        /* rejections */
    3,    0,    0,    0,                                        /* bytes of sources */
    4,    0,    0,    0,                                        /* bytes of accepted */
    2,    0,    0,    0,                                        /* bytes of rejected */
    0xfc, 0x99, 0xdc, 0x2d,                                     /* payload CRC */
    0,    0,    0,    4,    0,    0,    0,    0,                /* segment of 64 MiB */
    0xf7, 0xe6, 0xd5, 0xc4, 0xb3, 0xa2, 0x91, 0x80,             /* digest of the state */
    0,    0,    0,    0,    0,    0,    0,    0,    0, 0, 0, 0, /* reserved */
    0x15, 0xb4, 0xb3, 0xca,                                     /* header CRC */
};

/* Version 1, as the first logs have it: these bytes never change. */
static const uint8_t golden_1[BATCH_HEADER_BYTES] = {
    0x89, 'W',  'E',  'I',  'R', '\r', '\n', 0x1a, /* magic */
    1,    0,    2,    0,                           /* format, kind */
    0x44, 0x33, 0x22, 0x11,                        /* CRC of the batch before */
    8,    7,    6,    5,    4,   3,    2,    1,    /* salt */
    9,    0,    0,    0,    0,   0,    0,    0,    /* number */
    8,    0,    0,    0,    0,   0,    0,    0,    /* first batch of the write */
    0xe9, 3,    0,    0,    0,   0,    0,    0,    /* first event id 1001 */
    51,   0,    0,    0,    0,   0,    0,    0,    /* first rejection id */
    0x15, 0xcd, 0x5b, 0x07, 0,   0,    0,    0,    /* first time 123456789 */
    0x16, 0xcd, 0x5b, 0x07, 0,   0,    0,    0,    /* last time 123456790 */
    2,    0,    0,    0,                           /* events */
    1,    0,    0,    0,                           /* rejections */
    3,    0,    0,    0,                           /* bytes of sources */
    4,    0,    0,    0,                           /* bytes of accepted */
    2,    0,    0,    0,                           /* bytes of rejected */
    0xfc, 0x99, 0xdc, 0x2d,                        /* payload CRC */
    0,    0,    0,    4,    0,   0,    0,    0,    /* segment of 64 MiB */
    0,    0,    0,    0,    0,   0,    0,    0,    0, 0,
    0,    0,    0,    0,    0,   0,    0,    0,    0, 0, /* reserved */
    0x8a, 0x06, 0x78, 0x45,                              /* header CRC */
};

static const struct batch_view view = {
    .header = {.kind = BATCH_ORDINARY,
               .number = 9,
               .first_event_id = 1001,
               .first_rejection_id = 51,
               .event_count = 2,
               .rejection_count = 1,
               .first_time_ns = 123456789,
               .last_time_ns = 123456790,
               .state_digest = 0x8091a2b3c4d5e6f7},
    .sources = {(const uint8_t *)"abc", 3},
    .accepted = {(const uint8_t *)"defg", 4},
    .rejected = {(const uint8_t *)"hi", 2},
};
static const struct batch_seal seal = {.salt = 0x0102030405060708,
                                       .write_first = 8,
                                       .segment_bytes = SEGMENT_BYTES,
                                       .previous_crc = 0x11223344};

/* The whole batch: 128 bytes of header, 9 of payload, 7 of padding. */
enum { WHOLE_BYTES = 144 };
static void encode_whole(uint8_t ret_bytes[WHOLE_BYTES])
{
    struct batch_disk disk;
    memset(ret_bytes, 0, WHOLE_BYTES);
    batch_encode(&view, &seal, ret_bytes, &disk);
    memcpy(ret_bytes + BATCH_HEADER_BYTES, "abcdefghi", 9);
}

static struct batch_chain chain_before(void)
{
    return (struct batch_chain){.next_number = 9,
                                .next_event_id = 1001,
                                .next_rejection_id = 51,
                                .last_time_ns = 123456789,
                                .salt = 0x0102030405060708,
                                .write_first = 8,
                                .last_crc = 0x11223344};
}

static void has_these_bytes(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE_BYTES];
    encode_whole(bytes);
    assert_int_equal(batch_bytes(&view), WHOLE_BYTES);
    assert_memory_equal(bytes, golden, sizeof golden);
}

static void gives_back_what_was_written(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE_BYTES];
    struct batch_disk disk;
    struct batch_view back;
    struct detail detail;
    encode_whole(bytes);
    assert_int_equal(batch_decode(bytes, &disk, &detail), STATUS_OK);
    assert_int_equal(batch_disk_bytes(&disk), WHOLE_BYTES);
    const struct batch_chain chain = chain_before();
    assert_int_equal(batch_follows(&disk, &chain, &detail), STATUS_OK);
    assert_int_equal(batch_open(&disk, (struct slice){bytes, WHOLE_BYTES}, &back, &detail),
                     STATUS_OK);
    assert_true(slice_equal_text(back.sources, "abc"));
    assert_true(slice_equal_text(back.accepted, "defg"));
    assert_true(slice_equal_text(back.rejected, "hi"));
    assert_int_equal(back.header.first_event_id, 1001);
    assert_int_equal(back.header.rejection_count, 1);
    assert_true(back.header.state_digest == 0x8091a2b3c4d5e6f7);
    assert_true(back.salt == seal.salt);
}

static void version_1_is_read_for_ever(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE_BYTES] = {0};
    struct batch_disk disk;
    struct batch_view back;
    struct detail detail;
    const struct batch_chain chain = chain_before();
    memcpy(bytes, golden_1, sizeof golden_1);
    memcpy(bytes + sizeof golden_1, "abcdefghi", 9);
    assert_int_equal(batch_decode(bytes, &disk, &detail), STATUS_OK);
    assert_int_equal(batch_follows(&disk, &chain, &detail), STATUS_OK);
    assert_int_equal(batch_open(&disk, (struct slice){bytes, WHOLE_BYTES}, &back, &detail),
                     STATUS_OK);
    assert_true(slice_equal_text(back.accepted, "defg"));
    assert_int_equal(back.header.first_event_id, 1001);
    assert_int_equal(back.header.state_digest, 0); /* not kept */
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE_BYTES];
    encode_whole(bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        struct batch_disk disk;
        struct batch_view back;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum status status = batch_decode(bytes, &disk, NULL);
        if (status == STATUS_OK)
            status = batch_open(&disk, (struct slice){bytes, WHOLE_BYTES}, &back, NULL);
        assert_int_equal(status, STATUS_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Writes a field and makes the header's checksum good again: a well-made lie. */
static enum status decode_forged(size_t offset, uint64_t value, size_t size)
{
    uint8_t bytes[WHOLE_BYTES];
    struct batch_disk disk;
    encode_whole(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[offset + i] = (uint8_t)(value >> (8 * i));
    const uint32_t crc = crc32c(0, bytes, 124);
    for (size_t i = 0; i < 4; i++)
        bytes[124 + i] = (uint8_t)(crc >> (8 * i));
    const struct batch_chain chain = chain_before();
    enum status status = batch_decode(bytes, &disk, NULL);
    if (status == STATUS_OK)
        status = batch_follows(&disk, &chain, NULL);
    return status;
}

static void a_good_checksum_over_wrong_fields_is_not_enough(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint64_t value;
        size_t size;
    } forged[] = {
        {8, 0, 2},           /* format version */
        {8, 3, 2},           /* format version */
        {8, 1, 2},           /* version 1 has no digest */
        {10, 3, 2},          /* kind: unknown */
        {10, 1, 2},          /* kind: a second genesis */
        {12, 1, 4},          /* another batch before */
        {16, 1, 8},          /* another log */
        {24, 10, 8},         /* number */
        {24, UINT64_MAX, 8}, /* number */
        {32, 7, 8},          /* a write that began before the last one */
        {32, 10, 8},         /* a write that begins later */
        {40, 1002, 8},       /* event id: a hole */
        {40, 1000, 8},       /* event id: twice */
        {48, 52, 8},         /* rejection id */
        {56, 123456788, 8},  /* time goes back */
        {64, 123456788, 8},  /* last time before first time */
        {72, 5, 4},          /* more events than bytes */
        {72, 0, 4},          /* bytes without events */
        {72, UINT32_MAX, 4}, /* events */
        {76, 3, 4},          /* more rejections than bytes */
        {76, 0, 4},          /* bytes without rejections */
        {80, UINT32_MAX, 4}, /* sizes beyond a batch */
        {84, 2097152, 4},    /* likewise */
        {112, 1, 1},         /* reserved */
        {123, 1, 1},         /* reserved */
    };
    assert_int_equal(decode_forged(24, 9, 8), STATUS_OK); /* the forger's work is otherwise good */
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++)
        assert_int_equal(decode_forged(forged[i].offset, forged[i].value, forged[i].size),
                         STATUS_DAMAGED);
}

static void zeros_are_the_end(void **state)
{
    (void)state;
    uint8_t bytes[BATCH_HEADER_BYTES] = {0};
    struct batch_disk disk;
    assert_int_equal(batch_decode(bytes, &disk, NULL), STATUS_END);
    bytes[BATCH_HEADER_BYTES - 1] = 1;
    assert_int_equal(batch_decode(bytes, &disk, NULL), STATUS_DAMAGED);
}

static void ids_never_wrap_around(void **state)
{
    (void)state;
    struct batch_chain chain = chain_before();
    struct batch_header header = view.header;
    struct detail detail;
    chain.next_event_id = UINT64_MAX - 1;
    header.first_event_id = UINT64_MAX - 1;
    assert_int_equal(batch_chain_check(&chain, &header, &detail), STATUS_OUT_OF_ORDER);
    header.event_count = 1;
    assert_int_equal(batch_chain_check(&chain, &header, &detail), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_these_bytes),
        cmocka_unit_test(gives_back_what_was_written),
        cmocka_unit_test(version_1_is_read_for_ever),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(a_good_checksum_over_wrong_fields_is_not_enough),
        cmocka_unit_test(zeros_are_the_end),
        cmocka_unit_test(ids_never_wrap_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
