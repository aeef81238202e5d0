#include "common/upload/upload_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[64];
static const struct log_id log_a = {{1}};
static const struct log_id log_b = {{2}};

static int set_up(void **state)
{
    (void)state;
    strcpy(home, "/tmp/weir-state-XXXXXX");
    return mkdtemp(home) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", home);
    return system(command);
}

static enum status try_open(const char *path, const struct log_id *log_id, const char *source,
                            struct upload_file **ret_file, struct detail *ret_detail)
{
    const struct upload_name name = {
        .folder = home, .path = path, .log_id = *log_id, .source = source};
    return upload_file_open(&name, ret_file, ret_detail);
}

static struct upload_file *open_file(const char *path, const struct log_id *log_id,
                                     const char *source)
{
    struct upload_file *file = NULL;
    struct detail detail;
    assert_int_equal(try_open(path, log_id, source, &file, &detail), STATUS_OK);
    return file;
}

static void save(const struct upload_file *file, const char *source, uint64_t base)
{
    struct upload upload;
    struct detail detail;
    uint32_t index;
    upload_init(&upload);
    strcpy(upload.path, "/data/file");
    assert_int_equal(upload_add(&upload, slice_of_text(source), base, &index), STATUS_OK);
    assert_int_equal(upload_file_save(file, &upload, &detail), STATUS_OK);
    upload_fini(&upload);
}

static enum status load(const struct upload_file *file, uint64_t *ret_base)
{
    struct upload upload;
    struct detail detail;
    upload_init(&upload);
    enum status status = upload_file_load(file, &upload, &detail);
    if (status == STATUS_OK)
        *ret_base = upload.sources[0].base;
    upload_fini(&upload);
    return status;
}

static void loads_what_was_saved_last(void **state)
{
    (void)state;
    uint64_t base = 0;
    struct upload_file *file = open_file("/data/file", &log_a, NULL);
    assert_int_equal(load(file, &base), STATUS_NOT_FOUND);
    save(file, "shop", 1);
    save(file, "shop", 2);
    upload_file_close(&file);

    file = open_file("/data/file", &log_a, NULL);
    assert_int_equal(load(file, &base), STATUS_OK);
    assert_int_equal(base, 2);
    upload_file_close(&file);
}

static void keeps_files_logs_and_named_sources_apart(void **state)
{
    (void)state;
    uint64_t base = 0;
    struct upload_file *file = open_file("/data/file", &log_a, NULL);
    save(file, "shop", 1);
    struct upload_file *others[] = {
        open_file("/data/file2", &log_a, NULL),
        open_file("/data/file", &log_b, NULL),
        open_file("/data/file", &log_a, "shop"),
    };
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(load(others[i], &base), STATUS_NOT_FOUND);
        upload_file_close(&others[i]);
    }
    upload_file_close(&file);
}

static void lets_one_process_at_a_time_upload_a_file(void **state)
{
    (void)state;
    struct detail detail;
    struct upload_file *second = NULL;
    struct upload_file *first = open_file("/data/file", &log_a, NULL);
    assert_int_equal(try_open("/data/file", &log_a, NULL, &second, &detail), STATUS_BUSY);
    assert_null(second);
    upload_file_close(&first);
    second = open_file("/data/file", &log_a, NULL);
    upload_file_close(&second);
}

static void names_a_damaged_record(void **state)
{
    (void)state;
    struct detail detail;
    struct upload upload;
    struct upload_file *file = open_file("/data/file", &log_a, NULL);
    save(file, "shop", 1);
    assert_int_equal(truncate(upload_file_path(file), 20), 0);
    upload_init(&upload);
    assert_int_equal(upload_file_load(file, &upload, &detail), STATUS_DAMAGED);
    assert_non_null(strstr(detail.text, upload_file_path(file)));
    upload_fini(&upload);
    upload_file_close(&file);
}

static void says_where_it_cannot_write(void **state)
{
    (void)state;
    struct upload_name name = {
        .folder = "/dev/null/nowhere", .path = "/data/file", .log_id = log_a};
    struct upload_file *file = NULL;
    struct detail detail;
    assert_int_equal(upload_file_open(&name, &file, &detail), STATUS_IO);
    assert_non_null(strstr(detail.text, "/dev/null/nowhere"));
    char folder[2 * UPLOAD_PATH_BYTES_MAX];
    memset(folder, 'x', sizeof folder);
    folder[sizeof folder - 1] = '\0';
    name.folder = folder;
    assert_int_equal(upload_file_open(&name, &file, &detail), STATUS_CONFIG);
    assert_null(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loads_what_was_saved_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_files_logs_and_named_sources_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lets_one_process_at_a_time_upload_a_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_a_damaged_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_where_it_cannot_write, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
