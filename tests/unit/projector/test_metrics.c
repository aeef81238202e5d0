#include "tests/unit/projector/records.h"

#include <stdio.h>

#include "projector/http/metrics.h"

enum { TEXT_BYTES_MAX = 64 * 1024, MAP_BYTES_MAX = 4096 };

static const struct delays no_delays;

/* Two views in SQL, the second of them parked. */
static uint32_t guest_count(void *owner)
{
    (void)owner;
    return 2;
}

static const char *guest_name(void *owner, uint32_t view)
{
    (void)owner;
    return view == 0 ? "good" : "broken";
}

static const char *guest_problem(void *owner, uint32_t view)
{
    (void)owner;
    return view == 0 ? NULL : "broken.sql:3: a reason";
}

static uint64_t guest_rows(void *owner, uint32_t view)
{
    (void)owner;
    return view == 0 ? 12 : 0;
}

static void guest_hears(void *owner, const struct accepted_record *records, uint32_t count)
{
    (void)owner, (void)records, (void)count;
}

/* A fold of order_counts with one row and 3 events. */
static struct fold *fold_with_orders(void)
{
    static const uint8_t data[] = "\x81\xa6status\xa3new";
    struct record_event event = {"order.created", "o", {data, sizeof data - 1}};
    struct fold *fold = fold_of_views("order_counts", "");
    struct buffer records;
    buffer_init(&records, RECORDS_BYTES_MAX);
    for (uint64_t id = 1; id <= 3; id++)
        append_accepted(&records, id, "s", &event);
    expect_applied(fold, STREAM_ACCEPTED, &records, 3);
    buffer_fini(&records);
    return fold;
}

/* The text; valid until the next call. */
static const char *written(struct metrics *metrics)
{
    static char kept[TEXT_BYTES_MAX];
    struct buffer text;
    buffer_init(&text, TEXT_BYTES_MAX - 1);
    metrics->accepted_to_seen = metrics->published_to_seen = &no_delays;
    if (metrics->checkpoints == NULL)
        metrics->checkpoints = &no_delays;
    metrics_write(metrics, &text);
    assert_int_equal(text.status, STATUS_OK);
    snprintf(kept, sizeof kept, "%.*s", (int)text.size, (const char *)text.data);
    buffer_fini(&text);
    return kept;
}

static void expect_in(const char *text, const char *lines)
{
    if (strstr(text, lines) == NULL)
        fail_msg("%s is not in\n%s", lines, text);
}

static void a_projector_says_where_it_is_and_how_far_behind(void **state)
{
    (void)state;
    struct metrics metrics = {.fold = fold_with_orders(),
                              .newest_event_id = 10,
                              .replays = 2,
                              .kept_event_id = 1,
                              .requests = 5,
                              .connections = 4,
                              .live = true};
    const char *text = written(&metrics);
    expect_in(text, "\nweir_projector_event_id 3\n");
    expect_in(text, "\nweir_projector_rejection_id 0\n");
    expect_in(text, "\nweir_projector_lag_events 7\n");
    expect_in(text, "\nweir_projector_live 1\n");
    expect_in(text, "\nweir_projector_replays_total 2\n");
    expect_in(text, "\nweir_projector_checkpoint_event_id 1\n");
    expect_in(text, "\nweir_projector_http_requests_total 5\n");
    expect_in(text, "\nweir_projector_http_connections 4\n");
    metrics.newest_event_id = 2; /* heard of later than the events came */
    expect_in(written(&metrics), "\nweir_projector_lag_events 0\n");
    fold_destroy(&metrics.fold);
}

static void every_view_has_its_rows_and_those_in_sql_their_state(void **state)
{
    (void)state;
    struct metrics metrics = {.fold = fold_with_orders()};
    const char *text = written(&metrics);
    expect_in(text, "# TYPE weir_projector_view_rows gauge\n"
                    "weir_projector_view_rows{view=\"order_counts\"} 1\n");
    assert_null(strstr(text, "weir_projector_view_parked"));
    struct fold_guest guest = {.accepted = guest_hears,
                               .count = guest_count,
                               .name = guest_name,
                               .problem = guest_problem,
                               .rows = guest_rows};
    fold_invite(metrics.fold, &guest);
    text = written(&metrics);
    expect_in(text, "weir_projector_view_rows{view=\"order_counts\"} 1\n"
                    "weir_projector_view_rows{view=\"good\"} 12\n"
                    "weir_projector_view_rows{view=\"broken\"} 0\n");
    expect_in(text, "# TYPE weir_projector_view_parked gauge\n"
                    "weir_projector_view_parked{view=\"good\"} 0\n"
                    "weir_projector_view_parked{view=\"broken\"} 1\n");
    fold_destroy(&metrics.fold);
}

static void checkpoints_are_a_histogram_in_seconds(void **state)
{
    (void)state;
    struct delays checkpoints = {.sum_ns = 0};
    struct metrics metrics = {.fold = fold_with_orders(), .checkpoints = &checkpoints};
    delays_record(&checkpoints, 3000000, 1);
    delays_record(&checkpoints, 40000000, 1);
    const char *text = written(&metrics);
    expect_in(text, "# TYPE weir_projector_checkpoint_seconds histogram\n");
    expect_in(text, "weir_projector_checkpoint_seconds_bucket{le=\"0.002\"} 0\n"
                    "weir_projector_checkpoint_seconds_bucket{le=\"0.005\"} 1\n");
    expect_in(text, "weir_projector_checkpoint_seconds_bucket{le=\"+Inf\"} 2\n"
                    "weir_projector_checkpoint_seconds_sum 0.043000000\n"
                    "weir_projector_checkpoint_seconds_count 2\n");
    fold_destroy(&metrics.fold);
}

static void write_number(struct buffer *map, const char *name, uint64_t value)
{
    codec_text(map, name);
    codec_uint(map, value);
}

static struct buffer processor_status(void)
{
    struct buffer map;
    buffer_init(&map, MAP_BYTES_MAX);
    codec_map(&map, 4);
    write_number(&map, "accepted", 7);
    write_number(&map, "not_a_metric", 1);
    codec_text(&map, "refused");
    codec_map(&map, 2);
    write_number(&map, "rate_limited", 4);
    write_number(&map, "boredom", 9);
    codec_text(&map, "policies");
    codec_array(&map, 2);
    codec_map(&map, 3);
    codec_text(&map, "name");
    codec_text(&map, "a\"b\\c\nd");
    write_number(&map, "keys", 5);
    write_number(&map, "units", 6);
    codec_map(&map, 1);
    write_number(&map, "keys", 5); /* without a name */
    assert_int_equal(map.status, STATUS_OK);
    return map;
}

static void the_processor_is_shown_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct buffer map = processor_status();
    struct metrics metrics = {.fold = fold_with_orders(), .events_per_s = 12.34};
    const char *text = written(&metrics);
    expect_in(text, "\nweir_processor_up 0\n");
    expect_in(text, "\nweir_processor_accepted_per_second 12.3\n");
    assert_null(strstr(text, "weir_processor_accepted_total"));
    metrics.processor = buffer_slice(&map);
    metrics.processor_up = true;
    text = written(&metrics);
    expect_in(text, "\nweir_processor_up 1\n");
    expect_in(text,
              "# TYPE weir_processor_accepted_total counter\nweir_processor_accepted_total 7\n");
    expect_in(text, "\nweir_processor_refused_total{reason=\"rate_limited\"} 4\n");
    assert_null(strstr(text, "boredom"));
    assert_null(strstr(text, "not_a_metric"));
    assert_null(strstr(text, "weir_processor_batches_total"));
    expect_in(text, "\nweir_processor_policy_keys{policy=\"a\\\"b\\\\c\\nd\"} 5\n");
    expect_in(text, "\nweir_processor_policy_units{policy=\"a\\\"b\\\\c\\nd\"} 6\n");
    buffer_fini(&map);
    fold_destroy(&metrics.fold);
}

static void whatever_the_processor_says_ends_in_whole_lines(void **state)
{
    (void)state;
    struct buffer map = processor_status();
    struct metrics metrics = {.fold = fold_with_orders(), .processor_up = true};
    for (size_t size = 0; size < map.size; size++) {
        metrics.processor = (struct slice){map.data, size};
        const char *text = written(&metrics);
        assert_int_equal(text[strlen(text) - 1], '\n');
    }
    buffer_fini(&map);
    fold_destroy(&metrics.fold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_projector_says_where_it_is_and_how_far_behind),
        cmocka_unit_test(every_view_has_its_rows_and_those_in_sql_their_state),
        cmocka_unit_test(checkpoints_are_a_histogram_in_seconds),
        cmocka_unit_test(the_processor_is_shown_as_far_as_it_is_known),
        cmocka_unit_test(whatever_the_processor_says_ends_in_whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
