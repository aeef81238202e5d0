#include "tests/unit/projector/view_history.h"

enum { USERS = 12, KINDS = 4 };

static void write_row(struct buffer *buffer, const struct naive_row *row)
{
    codec_map(buffer, 3);
    codec_text(buffer, "user");
    codec_text(buffer, row->key);
    codec_text(buffer, "event_count");
    codec_uint(buffer, row->number);
    codec_text(buffer, "last_event");
    codec_text(buffer, row->text);
}

static void expect_user(struct view_history *history, const char *user, uint64_t event_count,
                        const char *last_event)
{
    struct naive_row *row = naive_row_at(history, user);
    row->number = event_count;
    snprintf(row->text, sizeof row->text, "%s", last_event);
}

static void counts_the_events_of_each_user_and_keeps_the_last(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "user_activity");
    history_add_empty(&history, "user.registered", "user-001");
    history_add_empty(&history, "user.registered", "user-002");
    history_add_empty(&history, "user.logged_in", "user-001");
    expect_user(&history, "user-001", 2, "logged_in");
    expect_user(&history, "user-002", 1, "registered");
    history_expect(&history, write_row);
    history_end(&history);
}

static void the_last_event_is_all_behind_the_first_dot(void **state)
{
    (void)state;
    struct view_history history;
    char type[EVENT_TYPE_BYTES_MAX + 1];
    history_begin(&history, "user_activity");
    history_add_empty(&history, "user.profile.updated", "a");
    memset(type, 'x', EVENT_TYPE_BYTES_MAX);
    type[EVENT_TYPE_BYTES_MAX] = '\0';
    memcpy(type, "user.", 5);
    history_add_empty(&history, type, "b");
    expect_user(&history, "a", 1, "profile.updated");
    expect_user(&history, "b", 1, type + 5);
    history_expect(&history, write_row);
    history_end(&history);
}

static void looks_at_no_other_type(void **state)
{
    (void)state;
    static const char *const others[] = {"user", "user.", "users.seen", "order.user.x", "use.r"};
    struct view_history history;
    history_begin(&history, "user_activity");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        history_add_empty(&history, others[i], "user-001");
    history_expect(&history, write_row);
    history_end(&history);
}

static void agrees_with_a_naive_list_over_random_events(void **state)
{
    (void)state;
    static const char *const kinds[KINDS] = {"registered", "logged_in", "logged_out", "a.b"};
    struct rng rng = test_rng();
    struct view_history history;
    history_begin(&history, "user_activity");
    for (int round = 0; round < HISTORY_ROUNDS; round++) {
        for (uint64_t left = rng_below(&rng, 200); left > 0; left--) {
            char user[HISTORY_TEXT_MAX], type[HISTORY_TEXT_MAX];
            const char *kind = kinds[rng_below(&rng, KINDS)];
            bool is_user = rng_below(&rng, 3) > 0;
            /* some keys are longer than a row keeps by itself */
            uint64_t number = rng_below(&rng, USERS);
            snprintf(user, sizeof user, "%0*d", number % 4 == 0 ? 120 : 3, (int)number);
            snprintf(type, sizeof type, "%s.%s", is_user ? "user" : "order", kind);
            history_add_empty(&history, type, user);
            if (is_user)
                expect_user(&history, user, naive_row_at(&history, user)->number + 1, kind);
        }
        history_expect(&history, write_row);
    }
    history_end(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_the_events_of_each_user_and_keeps_the_last),
        cmocka_unit_test(the_last_event_is_all_behind_the_first_dot),
        cmocka_unit_test(looks_at_no_other_type),
        cmocka_unit_test(agrees_with_a_naive_list_over_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
