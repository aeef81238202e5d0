#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "projector/views_files.h"

enum { PATH_BYTES = 256, FOUND_BYTES = 1024 };

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-views-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* What was found, "NAME " or "NAME(why) " for each; fails at the one named `fails_at`. */
struct search {
    char found[FOUND_BYTES];
    const char *fails_at;
};

static enum status take(void *owner, const char *name, const char *path, const char *why,
                        struct detail *ret_detail)
{
    struct search *search = owner;
    size_t used = strlen(search->found);
    snprintf(search->found + used, sizeof search->found - used, "%s%s ", name,
             why != NULL ? "(no)" : "");
    if (why == NULL)
        assert_memory_equal(path, folder, strlen(folder));
    if (search->fails_at != NULL && strcmp(name, search->fails_at) == 0)
        return detail_set(ret_detail, STATUS_CONFIG, "no");
    return STATUS_OK;
}

static void files_are_found_by_name_and_others_passed_over(void **state)
{
    (void)state;
    struct search search = {.found = ""};
    put("b.sql", "");
    put("a_1.sql", "");
    put("c.txt", "");
    put("c.sql~", "");
    put(".hidden.sql", "");
    put(".sql", "");
    put("sql", "");
    assert_int_equal(views_files_each(folder, take, &search, NULL), STATUS_OK);
    assert_string_equal(search.found, "a_1 b ");
}

static void a_name_that_is_none_for_a_view_is_told(void **state)
{
    (void)state;
    struct search search = {.found = ""};
    put("Big.sql", "");
    put("a__b.sql", "");
    put("weir_x.sql", "");
    put("good.sql", "");
    assert_int_equal(views_files_each(folder, take, &search, NULL), STATUS_OK);
    assert_string_equal(search.found, "Big.sql(no) a__b.sql(no) good weir_x.sql(no) ");
}

static void a_failure_ends_the_search(void **state)
{
    (void)state;
    struct search search = {.found = "", .fails_at = "b"};
    struct detail detail = {.text = ""};
    put("a.sql", "");
    put("b.sql", "");
    put("c.sql", "");
    assert_int_equal(views_files_each(folder, take, &search, &detail), STATUS_CONFIG);
    assert_string_equal(search.found, "a b ");
    assert_string_equal(detail.text, "no");
}

static void a_folder_that_is_not_there_is_said_to_be(void **state)
{
    (void)state;
    struct search search = {.found = ""};
    struct detail detail = {.text = ""};
    assert_int_equal(views_files_each(path_of("nowhere"), take, &search, &detail), STATUS_IO);
    assert_string_equal(detail.text, "No such file or directory");
}

static void a_file_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    struct buffer text;
    struct detail detail = {.text = ""};
    put("a.sql", "create table a (k int primary key);\n");
    buffer_init(&text, 16 * 1024);
    assert_int_equal(views_file_read(path_of("a.sql"), &text, &detail), STATUS_OK);
    assert_true(slice_equal_text(buffer_slice(&text), "create table a (k int primary key);\n"));
    buffer_fini(&text);

    buffer_init(&text, 16);
    assert_int_equal(views_file_read(path_of("a.sql"), &text, &detail), STATUS_FULL);
    assert_non_null(strstr(detail.text, "more than"));
    buffer_fini(&text);

    buffer_init(&text, 16 * 1024);
    assert_int_equal(views_file_read(path_of("b.sql"), &text, &detail), STATUS_IO);
    assert_string_equal(detail.text, "No such file or directory");
    assert_int_equal(mkdir(path_of("c.sql"), 0700), 0);
    assert_int_equal(views_file_read(path_of("c.sql"), &text, &detail), STATUS_IO);
    assert_string_equal(detail.text, "Is a directory");
    buffer_fini(&text);
}

static void the_name_of_a_built_in_view_is_taken(void **state)
{
    (void)state;
    struct detail detail = {.text = ""};
    assert_int_equal(views_name_check("revenues", &detail), STATUS_OK);
    assert_int_equal(views_name_check("revenue", &detail), STATUS_CONFIG);
    assert_int_equal(strncmp(detail.text, "revenue.sql: a built-in view", 28), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_found_by_name_and_others_passed_over),
        TEST(a_name_that_is_none_for_a_view_is_told),
        TEST(a_failure_ends_the_search),
        TEST(a_folder_that_is_not_there_is_said_to_be),
        TEST(a_file_is_read_whole_or_not_at_all),
        TEST(the_name_of_a_built_in_view_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
