#include "tests/unit/projector/records.h"

#include <stdio.h>

#include "tests/lib/seed.h"

/* --- the naive model: rows in a list, found by looking at each --- */

enum { MODEL_ROWS_MAX = 2000, TEXT_MAX = 400, SUBJECTS = 20, USERS = 9 };

struct model_row {
    char policy[16];     /* "" for order_counts */
    char text[TEXT_MAX]; /* the key, where it is a text */
    int64_t number;      /* else */
    bool is_number;
    uint64_t accepted; /* the count of order_counts */
    uint64_t refused;
    uint64_t last_refused_at;
};

struct model {
    struct model_row rows[MODEL_ROWS_MAX];
    uint32_t count;
};

static struct model_row *model_row(struct model *model, const struct model_row *key)
{
    for (uint32_t i = 0; i < model->count; i++) {
        struct model_row *row = &model->rows[i];
        if (strcmp(row->policy, key->policy) == 0 && strcmp(row->text, key->text) == 0 &&
            row->is_number == key->is_number && row->number == key->number)
            return row;
    }
    assert_true(model->count < MODEL_ROWS_MAX);
    model->rows[model->count] = *key;
    return &model->rows[model->count++];
}

static void model_write_row(const struct model_row *row, struct buffer *buffer)
{
    bool limits = row->policy[0] != '\0';
    codec_array(buffer, 2);
    codec_text(buffer, limits ? "limits" : "order_counts");
    codec_array(buffer, limits ? 5 : 2);
    if (limits)
        codec_text(buffer, row->policy);
    if (row->is_number)
        codec_int(buffer, row->number);
    else
        codec_text(buffer, row->text);
    codec_uint(buffer, row->accepted);
    if (!limits)
        return;
    codec_uint(buffer, row->refused);
    if (row->last_refused_at > 0)
        codec_uint(buffer, row->last_refused_at);
    else
        codec_nil(buffer);
}

static struct digest model_digest(const struct model *model)
{
    struct digest digest = {0};
    struct buffer row;
    buffer_init(&row, 4096);
    for (uint32_t i = 0; i < model->count; i++) {
        buffer_clear(&row);
        model_write_row(&model->rows[i], &row);
        digest_add(&digest, row.data, row.size);
    }
    buffer_fini(&row);
    return digest;
}

/* --- random histories --- */

static const char policies_before[] =
    "[policy \"subj\"]\nmatch = order.*\nkey = subject\nquota = 10\nwindow = 60s\n"
    "[policy \"user\"]\nmatch = order.*\nkey = data.user\nquota = 10\nwindow = 60s\n"
    "cost = data.amount\n";
static const char policies_after[] =
    "[policy \"all\"]\nkey = global\nquota = 10\nwindow = 60s\ncost = 3\n"
    "[policy \"src\"]\nmatch = user.*\nkey = source\nquota = 10\nwindow = 60s\n"
    "mode = shadow\n";

static const char *const statuses[] = {"pending", "confirmed", "", "unknown", "pénding"};
enum { STATUS_KINDS = 5, STATUS_NONE = 5, STATUS_NUMBER = 6, STATUS_LONG = 7, STATUS_CHOICES = 8 };

struct history {
    struct rng rng;
    struct fold *fold;
    struct model orders, limits;
    uint64_t event_id, rejection_id;
    bool changed; /* the second policies are in force */
    char long_status[TEXT_MAX];
};

struct sample { /* one event before it is written */
    bool is_order;
    uint64_t subject, status, amount;
    int64_t user; /* above 3: a text */
};

static void subject_text(uint64_t subject, char ret_text[TEXT_MAX])
{
    snprintf(ret_text, TEXT_MAX, "subject-%" PRIu64, subject);
}

/* Every third user is a text, the others are integers of either sign. */
static void user_key(int64_t user, struct model_row *ret_key)
{
    ret_key->is_number = user % 3 != 0;
    if (ret_key->is_number)
        ret_key->number = user * 1000;
    else
        snprintf(ret_key->text, sizeof ret_key->text, "user%d", (int)user);
}

static void write_status(const struct history *history, uint64_t status, struct buffer *data)
{
    codec_text(data, "status");
    if (status < STATUS_KINDS)
        codec_text(data, statuses[status]);
    else if (status == STATUS_NUMBER)
        codec_uint(data, 7);
    else
        codec_text(data, history->long_status);
}

static void write_event(struct history *history, const struct sample *sample,
                        struct buffer *records)
{
    struct model_row user = {.policy = "user"};
    char subject[TEXT_MAX];
    struct buffer data;
    buffer_init(&data, 4096);
    user_key(sample->user, &user);
    codec_map(&data, sample->status == STATUS_NONE ? 2 : 3);
    codec_text(&data, "user");
    if (user.is_number)
        codec_int(&data, user.number);
    else
        codec_text(&data, user.text);
    codec_text(&data, "amount");
    codec_uint(&data, sample->amount);
    if (sample->status != STATUS_NONE)
        write_status(history, sample->status, &data);
    subject_text(sample->subject, subject);
    struct record_event event = {sample->is_order ? "order.created" : "user.seen", subject,
                                 buffer_slice(&data)};
    append_accepted(records, ++history->event_id, "gen", &event);
    buffer_fini(&data);
}

static void spend(struct history *history, struct model_row *key, uint64_t cost)
{
    if (cost > 0)
        model_row(&history->limits, key)->accepted += cost;
}

static void model_event(struct history *history, const struct sample *sample)
{
    struct model_row order = {.policy = ""}, subject = {.policy = "subj"};
    struct model_row user = {.policy = "user"}, all = {.policy = "all", .text = "global"};
    struct model_row source = {.policy = "src", .text = "gen"};
    snprintf(order.text, sizeof order.text, "%s",
             sample->status < STATUS_KINDS ? statuses[sample->status] : "unknown");
    subject_text(sample->subject, subject.text);
    user_key(sample->user, &user);
    if (sample->is_order)
        model_row(&history->orders, &order)->accepted++;
    if (sample->is_order && !history->changed) {
        spend(history, &subject, 1);
        spend(history, &user, sample->amount);
    }
    if (history->changed)
        spend(history, &all, 3);
    if (history->changed && !sample->is_order)
        spend(history, &source, 1);
}

static void change_policy(struct history *history, struct buffer *records)
{
    struct buffer data;
    buffer_init(&data, 4096);
    history->changed = !history->changed;
    codec_map(&data, 2);
    codec_text(&data, "by");
    codec_text(&data, "a test");
    codec_text(&data, "text");
    codec_text(&data, history->changed ? policies_after : policies_before);
    struct record_event event = {"weir.policy_changed", "policy", buffer_slice(&data)};
    append_accepted(records, ++history->event_id, "weir", &event);
    buffer_fini(&data);
}

static void accept_some(struct history *history)
{
    struct buffer records;
    uint64_t count = 1 + rng_below(&history->rng, 200);
    buffer_init(&records, RECORDS_BYTES_MAX);
    for (uint64_t i = 0; i < count; i++) {
        if (rng_below(&history->rng, 150) == 0) {
            change_policy(history, &records);
            continue;
        }
        struct sample sample = {.is_order = rng_below(&history->rng, 4) > 0,
                                .subject = rng_below(&history->rng, SUBJECTS),
                                .status = rng_below(&history->rng, STATUS_CHOICES),
                                .amount = rng_below(&history->rng, 5),
                                .user = (int64_t)rng_below(&history->rng, USERS) - USERS / 2};
        write_event(history, &sample, &records);
        model_event(history, &sample);
    }
    expect_applied(history->fold, STREAM_ACCEPTED, &records, count);
    buffer_fini(&records);
}

static void refuse_one(struct history *history, struct buffer *records)
{
    static const enum reason reasons[] = {REASON_RATE_LIMITED, REASON_RATE_LIMITED, REASON_INVALID,
                                          REASON_SHADOW, REASON_UNAVAILABLE};
    struct buffer key;
    struct model_row row = {.policy = "user"};
    user_key((int64_t)rng_below(&history->rng, USERS) - USERS / 2, &row);
    buffer_init(&key, 100);
    if (row.is_number)
        codec_int(&key, row.number);
    else
        codec_text(&key, row.text);
    struct rejection rejection = {.rejection_id = ++history->rejection_id,
                                  .rejected_at_ns = RECORD_TIME + history->rejection_id,
                                  .after_event_id = history->event_id,
                                  .count = 1 + rng_below(&history->rng, 3),
                                  .retry_after_ns = RECORD_NEVER,
                                  .policy = slice_of_text("user"),
                                  .key = buffer_slice(&key),
                                  .reason = reasons[rng_below(&history->rng, 5)]};
    if (rejection.reason == REASON_INVALID)
        rejection.policy = rejection.key = (struct slice){NULL, 0};
    rejection_write(records, &rejection);
    buffer_fini(&key);
    if (rejection.reason != REASON_RATE_LIMITED)
        return;
    struct model_row *found = model_row(&history->limits, &row);
    found->refused += rejection.count;
    found->last_refused_at = rejection.rejected_at_ns;
}

static void refuse_some(struct history *history)
{
    struct buffer records;
    uint64_t count = 1 + rng_below(&history->rng, 150);
    buffer_init(&records, RECORDS_BYTES_MAX);
    for (uint64_t i = 0; i < count; i++)
        refuse_one(history, &records);
    expect_applied(history->fold, STREAM_REJECTED, &records, count);
    buffer_fini(&records);
}

static void expect_view(struct history *history, const char *name, const struct model *model)
{
    uint32_t view = fold_view_find(history->fold, slice_of_text(name));
    assert_true(view < fold_view_count(history->fold));
    struct rows *rows = fold_view_rows(history->fold, view);
    struct digest expected = model_digest(model), found = rows_digest(rows);
    assert_int_equal(rows_count(rows), model->count);
    assert_memory_equal(&found, &expected, sizeof found);
}

static void views_agree_with_naive_models_on_random_histories(void **state)
{
    (void)state;
    static struct history history;
    struct rng rng = test_rng();
    for (uint64_t round = test_number("WEIR_ROUNDS", 20); round > 0; round--) {
        memset(&history, 0, sizeof history);
        history.rng = rng;
        memset(history.long_status, 'x', 300);
        history.fold = fold_of_views("limits order_counts", policies_before);
        for (int i = 0; i < 30; i++) {
            if (rng_below(&history.rng, 3) > 0)
                accept_some(&history);
            else
                refuse_some(&history);
            if (rng_below(&history.rng, 4) == 0)
                expect_view(&history, "limits", &history.limits);
        }
        expect_view(&history, "limits", &history.limits);
        expect_view(&history, "order_counts", &history.orders);
        struct fold_position position = fold_position(history.fold);
        assert_int_equal(position.event_id, history.event_id);
        assert_int_equal(position.rejection_id, history.rejection_id);
        fold_destroy(&history.fold);
        rng = history.rng;
    }
}

/* --- single steps --- */

static const uint8_t empty_map[] = {0x80};
static const struct record_event plain_event = {"order.created", "s", {empty_map, 1}};

static void gives_the_hash_of_the_last_record(void **state)
{
    (void)state;
    struct fold *fold = fold_of_views("limits order_counts", "");
    struct buffer records;
    struct detail detail;
    uint64_t hash;
    buffer_init(&records, RECORDS_BYTES_MAX);
    append_accepted(&records, 1, "a", &plain_event);
    size_t first = records.size;
    append_accepted(&records, 2, "a", &plain_event);

    assert_int_equal(fold_apply(fold, STREAM_ACCEPTED, buffer_slice(&records), 2, &hash, &detail),
                     STATUS_OK);

    assert_true(hash == hash_content(0, records.data + first, records.size - first));
    assert_int_equal(fold_position(fold).time_ns, RECORD_TIME + 2);
    buffer_fini(&records);
    fold_destroy(&fold);
}

static void expect_damage(uint64_t first_id, uint64_t count, size_t cut_bytes, size_t more_bytes)
{
    struct fold *fold = fold_of_views("limits order_counts", "");
    struct buffer records;
    struct detail detail;
    uint64_t hash;
    buffer_init(&records, RECORDS_BYTES_MAX);
    append_accepted(&records, first_id, "a", &plain_event);
    append_accepted(&records, first_id + 1, "a", &plain_event);
    records.size -= cut_bytes;
    buffer_append(&records, "\xc1\xc1", more_bytes);
    assert_int_equal(
        fold_apply(fold, STREAM_ACCEPTED, buffer_slice(&records), count, &hash, &detail),
        STATUS_DAMAGED);
    buffer_fini(&records);
    fold_destroy(&fold);
}

static void refuses_records_that_are_not_the_next(void **state)
{
    (void)state;
    expect_damage(2, 2, 0, 0);
    expect_damage(0, 2, 0, 0);
}

static void refuses_fewer_more_or_broken_records(void **state)
{
    (void)state;
    expect_damage(1, 3, 0, 0);
    expect_damage(1, 1, 0, 0);
    expect_damage(1, 2, 1, 0);
    expect_damage(1, 2, 0, 1);
    expect_damage(1, 2, 1, 1);
}

static void refuses_a_policy_it_cannot_read(void **state)
{
    (void)state;
    static const uint8_t data[] = {0x81, 0xa4, 't', 'e', 'x', 't', 0xa3, '[', 'x', ']'};
    struct fold *fold = fold_of_views("limits order_counts", "");
    struct record_event event = {"weir.policy_changed", "policy", {data, sizeof data}};
    struct buffer records;
    struct detail detail;
    uint64_t hash;
    buffer_init(&records, RECORDS_BYTES_MAX);
    append_accepted(&records, 1, "weir", &event);
    assert_int_equal(fold_apply(fold, STREAM_ACCEPTED, buffer_slice(&records), 1, &hash, &detail),
                     STATUS_CONFIG);
    buffer_fini(&records);
    fold_destroy(&fold);
}

static void finds_views_by_name(void **state)
{
    (void)state;
    struct fold *fold = fold_of_views("limits", "");
    assert_int_equal(fold_view_count(fold), 1);
    assert_int_equal(fold_view_find(fold, slice_of_text("limits")), 0);
    assert_int_equal(fold_view_find(fold, slice_of_text("limit")), 1);
    assert_int_equal(fold_view_find(fold, slice_of_text("order_counts")), 1);
    fold_destroy(&fold);
}

/* The ids that a guest heard: from `first`, none left out, to `last`. */
struct heard {
    uint64_t first, last;
};

static void hear(void *owner, const struct accepted_record *records, uint32_t count)
{
    struct heard *heard = owner;
    for (uint32_t i = 0; i < count; i++) {
        if (heard->first == 0)
            heard->first = records[i].event_id;
        else
            assert_int_equal(records[i].event_id, heard->last + 1);
        heard->last = records[i].event_id;
    }
}

static struct fold *fold_from(struct fold_options *options, struct heard *heard)
{
    struct fold *fold = NULL;
    struct detail detail = {.text = ""};
    struct fold_guest guest = {.owner = heard, .accepted = hear};
    options->policy = "";
    if (fold_new(options, &fold, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    fold_invite(fold, &guest);
    return fold;
}

/* The events `first` … `last`. */
static void apply_orders(struct fold *fold, uint64_t first, uint64_t last)
{
    static const uint8_t data[] = "\x81\xa6status\xa3new";
    struct record_event event = {"order.created", "o", {data, sizeof data - 1}};
    struct buffer records;
    buffer_init(&records, RECORDS_BYTES_MAX);
    for (uint64_t id = first; id <= last; id++)
        append_accepted(&records, id, "s", &event);
    expect_applied(fold, STREAM_ACCEPTED, &records, last - first + 1);
    buffer_fini(&records);
}

static void nothing_before_the_first_event_of_the_views_is_shown(void **state)
{
    (void)state;
    static const char expected[] = "\x82\xa6status\xa3new\xa5"
                                   "count\x46"; /* 70 */
    const struct view_type *type = view_type_find(slice_of_text("order_counts"));
    struct heard heard = {0};
    struct fold_options options = {.types = &type, .type_count = 1, .since = 31};
    struct fold *fold = fold_from(&options, &heard);
    struct buffer row;
    buffer_init(&row, 64);
    apply_orders(fold, 1, 100); /* groups have 64: the first of the views lies within one */
    assert_int_equal(fold_since(fold), 31);
    assert_int_equal(fold_position(fold).event_id, 100);
    assert_int_equal(rows_sort(fold_view_rows(fold, 0)), STATUS_OK);
    rows_write(fold_view_rows(fold, 0), 0, &row);
    assert_int_equal(row.size, sizeof expected - 1);
    assert_memory_equal(row.data, expected, row.size);
    assert_int_equal(heard.first, 31);
    assert_int_equal(heard.last, 100);
    buffer_fini(&row);
    fold_destroy(&fold);
}

static void a_fold_without_views_begins_where_it_is_told(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct fold_start start = {.mark = {.position = {.event_id = 40, .time_ns = 7}}};
    struct fold_options options = {.starts = &start, .since = 43};
    struct fold *fold = fold_from(&options, &heard);
    assert_int_equal(fold_position(fold).event_id, 40);
    assert_int_equal(fold_position(fold).time_ns, 7);
    apply_orders(fold, 41, 50);
    assert_int_equal(heard.first, 43);
    assert_int_equal(heard.last, 50);
    fold_destroy(&fold);

    heard = (struct heard){0};
    options = (struct fold_options){.starts = NULL};
    fold = fold_from(&options, &heard);
    apply_orders(fold, 1, 2);
    assert_int_equal(heard.first, 1);
    fold_destroy(&fold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_agree_with_naive_models_on_random_histories),
        cmocka_unit_test(gives_the_hash_of_the_last_record),
        cmocka_unit_test(refuses_records_that_are_not_the_next),
        cmocka_unit_test(refuses_fewer_more_or_broken_records),
        cmocka_unit_test(refuses_a_policy_it_cannot_read),
        cmocka_unit_test(finds_views_by_name),
        cmocka_unit_test(nothing_before_the_first_event_of_the_views_is_shown),
        cmocka_unit_test(a_fold_without_views_begins_where_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
