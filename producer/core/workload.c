#include "producer/core/workload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/event/codec.h"

enum {
    PIECE_BYTES_MAX = 48,
    SUBJECT_DIGITS_MIN = 5,
    SUBJECT_DIGITS_MAX = 8, /* of WORKLOAD_SUBJECTS_MAX − 1 */
    CURRENCY_COUNT = 4,
    AMOUNT_MINOR_MIN = 500,
    AMOUNT_MINOR_RANGE = 20000,
    BURST_EVENTS_MIN = 16,
    BURST_EVENTS_RANGE = 240,
    BURST_ODDS = 512, /* one event in so many starts a burst */
};

/* MessagePack bytes that are the same in every event of a kind; copied with one fixed-size copy. */
struct piece {
    uint8_t bytes[PIECE_BYTES_MAX];
    uint8_t size;
};

/* The state of an order, and what its next event says. */
enum order_state { ORDER_NONE, ORDER_CREATED, ORDER_CONFIRMED, ORDER_SHIPPED, ORDER_CANCELLED };
enum { ORDER_STATE_COUNT = ORDER_CANCELLED + 1 };

enum noun { NOUN_ORDER, NOUN_USER, NOUN_WIDGET, NOUN_PAYMENT };
enum { NOUN_COUNT = NOUN_PAYMENT + 1 };

struct workload {
    struct rng rng;
    uint32_t subjects, users;
    uint8_t digits; /* of a subject's number */
    bool bursts;
    uint32_t burst_subject;
    uint32_t burst_events_left;
    uint8_t *states; /* one for each subject */

    struct piece opening;           /* array of five, uint64 follows */
    struct piece nouns[NOUN_COUNT]; /* str header and "order-", digits follow */
    struct piece order_type[ORDER_STATE_COUNT];
    struct piece order_data[ORDER_STATE_COUNT]; /* up to the value of amount_minor */
    struct piece currency[CURRENCY_COUNT];      /* key and value */
    struct piece user_type[2], user_data[2];    /* registered, logged_in */
    struct piece stock_type[2], stock_data;     /* added, removed; up to the quantity */
    struct piece payment_type, payment_data;    /* up to the value of amount_minor */
    struct piece user_key, order_key;
};

static const char *const order_status[ORDER_STATE_COUNT] = {"none", "pending", "confirmed",
                                                            "shipped", "cancelled"};
static const char *const order_types[ORDER_STATE_COUNT] = {
    "order.none", "order.created", "order.confirmed", "order.shipped", "order.cancelled"};
static const char *const noun_texts[NOUN_COUNT] = {"order-", "user-", "widget-", "pay-"};
static const enum noun nouns_of_eight[8] = {NOUN_ORDER, NOUN_USER,    NOUN_ORDER, NOUN_WIDGET,
                                            NOUN_ORDER, NOUN_PAYMENT, NOUN_ORDER, NOUN_USER};

/* Building the pieces, once. */

static void piece_add(struct piece *piece, const uint8_t *bytes, size_t size)
{
    assert(piece->size + size <= PIECE_BYTES_MAX);
    memcpy(piece->bytes + piece->size, bytes, size);
    piece->size = (uint8_t)(piece->size + size);
}

static void piece_add_text(struct piece *piece, const char *text)
{
    uint8_t encoded[PIECE_BYTES_MAX + CODEC_TEXT_HEADER_BYTES_MAX];
    assert(strlen(text) < PIECE_BYTES_MAX);
    uint8_t *end = codec_put_text(encoded, slice_of_text(text));
    piece_add(piece, encoded, (size_t)(end - encoded));
}

/* The end of the envelope (schema_version 1) and a map of `pairs` ≤ 15. */
static void piece_open_data(struct piece *piece, unsigned pairs)
{
    const uint8_t bytes[] = {0x01, (uint8_t)(0x80u | pairs)};
    piece_add(piece, bytes, sizeof bytes);
}

static void build_order_pieces(struct workload *w)
{
    for (unsigned state = 0; state < ORDER_STATE_COUNT; state++) {
        piece_add_text(&w->order_type[state], order_types[state]);
        piece_open_data(&w->order_data[state], 4);
        piece_add_text(&w->order_data[state], "status");
        piece_add_text(&w->order_data[state], order_status[state]);
        piece_add_text(&w->order_data[state], "amount_minor");
    }
    static const char *const currencies[CURRENCY_COUNT] = {"EUR", "USD", "GBP", "CHF"};
    for (unsigned i = 0; i < CURRENCY_COUNT; i++) {
        piece_add_text(&w->currency[i], "currency");
        piece_add_text(&w->currency[i], currencies[i]);
    }
    piece_add_text(&w->user_key, "user");
}

static void build_other_pieces(struct workload *w)
{
    piece_add_text(&w->user_type[0], "user.registered");
    piece_open_data(&w->user_data[0], 1);
    piece_add_text(&w->user_data[0], "plan");
    piece_add_text(&w->user_data[0], "basic");
    piece_add_text(&w->user_type[1], "user.logged_in");
    piece_open_data(&w->user_data[1], 1);
    piece_add_text(&w->user_data[1], "method");
    piece_add_text(&w->user_data[1], "password");

    piece_add_text(&w->stock_type[0], "inventory.stock_added");
    piece_add_text(&w->stock_type[1], "inventory.stock_removed");
    piece_open_data(&w->stock_data, 1);
    piece_add_text(&w->stock_data, "quantity");

    piece_add_text(&w->payment_type, "payment.processed");
    piece_open_data(&w->payment_data, 3);
    piece_add_text(&w->payment_data, "amount_minor");
    piece_add_text(&w->order_key, "order");
}

static void build_envelope_pieces(struct workload *w)
{
    const uint8_t opening[] = {0x95, 0xcf}; /* array of five, uint64 */
    piece_add(&w->opening, opening, sizeof opening);
    for (unsigned noun = 0; noun < NOUN_COUNT; noun++) {
        size_t size = strlen(noun_texts[noun]) + w->digits;
        const uint8_t header = (uint8_t)(0xa0u | size); /* a str of less than 32 bytes */
        piece_add(&w->nouns[noun], &header, 1);
        piece_add(&w->nouns[noun], (const uint8_t *)noun_texts[noun], strlen(noun_texts[noun]));
    }
}

static uint8_t digits_for(uint32_t subjects)
{
    uint8_t digits = 1;
    for (uint32_t largest = subjects - 1; largest >= 10; largest /= 10)
        digits++;
    return digits < SUBJECT_DIGITS_MIN ? SUBJECT_DIGITS_MIN : digits;
}

enum status workload_new(const struct workload_options *options, struct workload **ret_workload)
{
    assert(options->subjects >= 1 && options->subjects <= WORKLOAD_SUBJECTS_MAX);
    struct workload *w = calloc(1, sizeof *w);
    if (w == NULL)
        return STATUS_NO_MEMORY;
    w->states = calloc(options->subjects, 1);
    if (w->states == NULL) {
        free(w);
        return STATUS_NO_MEMORY;
    }
    rng_init(&w->rng, options->seed);
    w->subjects = options->subjects;
    w->users = options->subjects / 4 > 0 ? options->subjects / 4 : 1;
    w->digits = digits_for(options->subjects);
    assert(w->digits <= SUBJECT_DIGITS_MAX);
    w->bursts = options->bursts;
    build_envelope_pieces(w);
    build_order_pieces(w);
    build_other_pieces(w);
    *ret_workload = w;
    return STATUS_OK;
}

void workload_destroy(struct workload **workload)
{
    if (*workload == NULL)
        return;
    free((*workload)->states);
    free(*workload);
    *workload = NULL;
}

/* Writing one event. */

static uint8_t *put_piece(uint8_t *at, const struct piece *piece)
{
    memcpy(at, piece->bytes, PIECE_BYTES_MAX);
    return at + piece->size;
}

/* The eight decimal digits of a number below 10^8 as text, the first in the lowest byte. Halves,
 * pairs and single digits are taken apart side by side in one word; a multiplication and a shift
 * stand for each division (10486/2^20 ≈ 1/100 below 10^4, 103/2^10 ≈ 1/10 below 100). */
static uint64_t eight_digits(uint32_t number)
{
    uint64_t halves = number / 10000 | (uint64_t)(number % 10000) << 32;
    uint64_t hundreds = (halves * 10486 >> 20) & 0x0000007f0000007fULL;
    uint64_t pairs = hundreds | (halves - hundreds * 100) << 16;
    uint64_t tens = (pairs * 103 >> 10) & 0x000f000f000f000fULL;
    return (tens | (pairs - tens * 10) << 8) | 0x3030303030303030ULL;
}

static uint8_t *put_subject(const struct workload *w, uint8_t *at, enum noun noun, uint32_t number)
{
    uint64_t digits = htole64(eight_digits(number) >> (8 * (SUBJECT_DIGITS_MAX - w->digits)));
    at = put_piece(at, &w->nouns[noun]);
    memcpy(at, &digits, sizeof digits);
    return at + w->digits;
}

static uint8_t *put_envelope(const struct workload *w, uint8_t *at, uint64_t occurred_at_ns,
                             const struct piece *type)
{
    at = put_piece(at, &w->opening);
    at = codec_put_be(at, occurred_at_ns, 8);
    return put_piece(at, type);
}

/* What stays the same for an order all its life comes from its number. */
static uint32_t order_traits(uint32_t number)
{
    uint64_t mixed = (number + 1ULL) * 0x9e3779b97f4a7c15ULL;
    return (uint32_t)(mixed >> 32);
}

static uint8_t *put_amount_and_currency(const struct workload *w, uint8_t *at, uint32_t traits)
{
    at = codec_put_uint(at, AMOUNT_MINOR_MIN + traits % AMOUNT_MINOR_RANGE);
    return put_piece(at, &w->currency[traits % CURRENCY_COUNT]);
}

/* What follows a state, and what follows it where the order is cancelled. */
static const uint8_t order_next[ORDER_STATE_COUNT][2] = {
    [ORDER_NONE] = {ORDER_CREATED, ORDER_CREATED},
    [ORDER_CREATED] = {ORDER_CONFIRMED, ORDER_CANCELLED},
    [ORDER_CONFIRMED] = {ORDER_SHIPPED, ORDER_CANCELLED},
    [ORDER_SHIPPED] = {ORDER_CREATED, ORDER_CREATED},
    [ORDER_CANCELLED] = {ORDER_CREATED, ORDER_CREATED},
};

/* The k-th user's number: of every eight subjects, the second and the last are users. */
static uint32_t user_number(uint32_t k)
{
    return k / 2 * 8 + (k % 2 == 0 ? 1 : 7);
}

static uint8_t *put_order(struct workload *w, uint8_t *at, uint64_t occurred_at_ns, uint32_t number,
                          uint32_t dice)
{
    uint8_t state = order_next[w->states[number]][dice % 16 == 0];
    w->states[number] = state;
    uint32_t traits = order_traits(number);
    at = put_envelope(w, at, occurred_at_ns, &w->order_type[state]);
    at = put_subject(w, at, NOUN_ORDER, number);
    at = put_piece(at, &w->order_data[state]);
    at = put_amount_and_currency(w, at, traits);
    at = put_piece(at, &w->user_key);
    return put_subject(w, at, NOUN_USER, user_number(traits % w->users));
}

static uint8_t *put_user(struct workload *w, uint8_t *at, uint64_t occurred_at_ns, uint32_t number)
{
    unsigned known = w->states[number];
    w->states[number] = 1;
    at = put_envelope(w, at, occurred_at_ns, &w->user_type[known]);
    at = put_subject(w, at, NOUN_USER, number);
    return put_piece(at, &w->user_data[known]);
}

/* The state is the stock, at most 255. */
static uint8_t *put_stock(struct workload *w, uint8_t *at, uint64_t occurred_at_ns, uint32_t number,
                          uint32_t dice)
{
    unsigned stock = w->states[number];
    unsigned taken = 1 + dice % 9;
    unsigned added = 50 + dice % 50;
    bool takes = stock >= taken;
    w->states[number] = (uint8_t)(takes ? stock - taken : stock + added);
    at = put_envelope(w, at, occurred_at_ns, &w->stock_type[takes ? 1 : 0]);
    at = put_subject(w, at, NOUN_WIDGET, number);
    at = put_piece(at, &w->stock_data);
    return codec_put_uint(at, takes ? taken : added);
}

static uint8_t *put_payment(struct workload *w, uint8_t *at, uint64_t occurred_at_ns,
                            uint32_t number, uint32_t dice)
{
    uint32_t order = dice % w->subjects / 8 * 8; /* the first of every eight is an order */
    at = put_envelope(w, at, occurred_at_ns, &w->payment_type);
    at = put_subject(w, at, NOUN_PAYMENT, number);
    at = put_piece(at, &w->payment_data);
    at = put_amount_and_currency(w, at, order_traits(order));
    at = put_piece(at, &w->order_key);
    return put_subject(w, at, NOUN_ORDER, order);
}

/* Three of four events go to the burst's subject while it lasts. */
static uint32_t bursty_subject(struct workload *w, uint32_t subject, uint32_t dice)
{
    if (w->burst_events_left == 0) {
        if (dice % BURST_ODDS != 0)
            return subject;
        w->burst_subject = subject;
        w->burst_events_left = BURST_EVENTS_MIN + dice / BURST_ODDS % BURST_EVENTS_RANGE;
    }
    w->burst_events_left--;
    return dice % 4 == 3 ? subject : w->burst_subject;
}

uint8_t *workload_put(struct workload *workload, uint8_t *at, uint64_t occurred_at_ns)
{
    uint64_t random = rng_next(&workload->rng);
    uint32_t dice = (uint32_t)random;
    uint32_t number = (uint32_t)((random >> 32) * workload->subjects >> 32);
    if (workload->bursts)
        number = bursty_subject(workload, number, dice);
    switch (nouns_of_eight[number % 8]) {
    case NOUN_ORDER:
        return put_order(workload, at, occurred_at_ns, number, dice);
    case NOUN_USER:
        return put_user(workload, at, occurred_at_ns, number);
    case NOUN_WIDGET:
        return put_stock(workload, at, occurred_at_ns, number, dice);
    case NOUN_PAYMENT:
        break;
    }
    return put_payment(workload, at, occurred_at_ns, number, dice);
}
