#include "common/wire/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char root[64];
    char path[128]; /* scratch */
};

static int set_up(void **test_state)
{
    static struct fixture fixture;
    strcpy(fixture.root, "/tmp/weir-test-XXXXXX");
    *test_state = &fixture;
    return mkdtemp(fixture.root) == NULL;
}

static int tear_down(void **test_state)
{
    struct fixture *f = *test_state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", f->root);
    return system(command);
}

static const char *path_of(struct fixture *f, const char *name)
{
    snprintf(f->path, sizeof f->path, "%s/%s", f->root, name);
    return f->path;
}

/* --- endpoints --- */

static void puts_all_sockets_into_the_run_folder(void **test_state)
{
    (void)test_state;
    struct endpoints e;
    struct endpoint_options options = {.run_dir = "/run/w"};
    char query[ENDPOINT_BYTES_MAX];
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
    assert_string_equal(e.run_dir, "/run/w");
    assert_string_equal(e.ingest, "ipc:///run/w/ingest");
    assert_string_equal(e.events, "ipc:///run/w/events");
    assert_string_equal(e.control, "ipc:///run/w/control");
    assert_int_equal(endpoint_query(&options, &e, "main-2", query, NULL), STATUS_OK);
    assert_string_equal(query, "ipc:///run/w/query-main-2");
}

static void takes_each_override(void **test_state)
{
    (void)test_state;
    struct endpoints e;
    struct endpoint_options options = {.run_dir = "/run/w",
                                       .ingest = "tcp://127.0.0.1:5555",
                                       .events = "ipc:///x/events",
                                       .control = "tcp://*:5557",
                                       .query = "tcp://[::1]:5558"};
    char query[ENDPOINT_BYTES_MAX];
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
    assert_string_equal(e.ingest, "tcp://127.0.0.1:5555");
    assert_string_equal(e.events, "ipc:///x/events");
    assert_string_equal(e.control, "tcp://*:5557");
    assert_int_equal(endpoint_query(&options, &e, "main", query, NULL), STATUS_OK);
    assert_string_equal(query, "tcp://[::1]:5558");
}

static void finds_the_default_run_folder(void **test_state)
{
    (void)test_state;
    struct endpoints e;
    struct endpoint_options options = {NULL};
    char expected[64];
    snprintf(expected, sizeof expected, "/tmp/weir-%ju", (uintmax_t)getuid());

    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
    assert_string_equal(e.run_dir, "/run/user/7/weir");
    assert_string_equal(e.ingest, "ipc:///run/user/7/weir/ingest");
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
    assert_string_equal(e.run_dir, expected);
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
    assert_string_equal(e.run_dir, expected);
}

static void refuses_endpoints_that_are_not_ipc_paths_or_tcp(void **test_state)
{
    (void)test_state;
    static const char *const bad[] = {"",
                                      "x",
                                      "inproc://x",
                                      "udp://1.2.3.4:5",
                                      "ipc://",
                                      "tcp://",
                                      "ipc://@abstract",
                                      "ipc://*",
                                      "/run/ingest",
                                      "IPC:///x",
                                      "@ipc:///x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct endpoints e;
        struct detail detail = {""};
        struct endpoint_options options = {.run_dir = "/run/w", .control = bad[i]};
        if (endpoints_resolve(&options, &e, &detail) != STATUS_CONFIG)
            fail_msg("'%s' is taken", bad[i]);
        assert_non_null(strstr(detail.text, bad[i]));
    }
}

static void refuses_a_run_folder_too_long_for_ipc(void **test_state)
{
    (void)test_state;
    struct endpoints e;
    struct detail detail;
    char run_dir[2 * ENDPOINT_BYTES_MAX];
    struct endpoint_options options = {.run_dir = run_dir};
    memset(run_dir, 'r', sizeof run_dir);
    run_dir[0] = '/';

    run_dir[IPC_PATH_BYTES_MAX - sizeof "/control" + 1] = '\0'; /* exactly 107 with the name */
    assert_int_equal(endpoints_resolve(&options, &e, &detail), STATUS_OK);
    assert_int_equal(strlen(e.control), 6 + IPC_PATH_BYTES_MAX);
    run_dir[IPC_PATH_BYTES_MAX - sizeof "/control" + 1] = 'r';
    run_dir[IPC_PATH_BYTES_MAX - sizeof "/control" + 2] = '\0';
    assert_int_equal(endpoints_resolve(&options, &e, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "shorter --run-dir"));

    run_dir[IPC_PATH_BYTES_MAX] = 'r';
    run_dir[ENDPOINT_BYTES_MAX] = '\0';
    assert_int_equal(endpoints_resolve(&options, &e, &detail), STATUS_CONFIG);
    run_dir[0] = '\0';
    assert_int_equal(endpoints_resolve(&options, &e, &detail), STATUS_CONFIG);
}

static void lets_a_long_run_folder_pass_when_nothing_is_in_it(void **test_state)
{
    (void)test_state;
    struct endpoints e;
    char run_dir[200];
    memset(run_dir, 'r', sizeof run_dir);
    run_dir[sizeof run_dir - 1] = '\0';
    struct endpoint_options options = {.run_dir = run_dir,
                                       .ingest = "tcp://127.0.0.1:1",
                                       .events = "tcp://127.0.0.1:2",
                                       .control = "tcp://127.0.0.1:3"};
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
}

static void refuses_names_of_projectors_that_leave_the_folder(void **test_state)
{
    (void)test_state;
    struct endpoints e;
    struct endpoint_options options = {.run_dir = "/run/w"};
    char query[ENDPOINT_BYTES_MAX];
    char long_name[ENDPOINT_BYTES_MAX];
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(endpoints_resolve(&options, &e, NULL), STATUS_OK);
    assert_int_equal(endpoint_query(&options, &e, "../x", query, NULL), STATUS_CONFIG);
    assert_int_equal(endpoint_query(&options, &e, "", query, NULL), STATUS_CONFIG);
    assert_int_equal(endpoint_query(&options, &e, long_name, query, NULL), STATUS_CONFIG);
}

/* --- the run folder --- */

static unsigned mode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 07777;
}

static void makes_the_run_folder_for_its_owner_alone(void **test_state)
{
    struct fixture *f = *test_state;
    mode_t before = umask(0);
    assert_int_equal(run_dir_prepare(path_of(f, "run"), NULL), STATUS_OK);
    umask(before);
    assert_int_equal(mode_of(path_of(f, "run")), 0700);
    assert_int_equal(run_dir_prepare(path_of(f, "run"), NULL), STATUS_OK);
}

static void refuses_a_run_folder_that_others_may_write_in(void **test_state)
{
    struct fixture *f = *test_state;
    struct detail detail;
    const char *path = path_of(f, "run");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(run_dir_prepare(path, &detail), STATUS_OK);
    assert_int_equal(chmod(path, 0770), 0);
    assert_int_equal(run_dir_prepare(path, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, path));
    assert_int_equal(chmod(path, 01777), 0);
    assert_int_equal(run_dir_prepare(path, &detail), STATUS_CONFIG);
}

static void refuses_a_run_folder_of_someone_else(void **test_state)
{
    struct fixture *f = *test_state;
    struct detail detail;
    const char *path = path_of(f, "run");
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_int_equal(run_dir_prepare(path, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "12345"));
}

static void refuses_a_run_folder_that_is_a_file_or_a_link(void **test_state)
{
    struct fixture *f = *test_state;
    struct detail detail;
    FILE *file = fopen(path_of(f, "file"), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(run_dir_prepare(path_of(f, "file"), &detail), STATUS_CONFIG);
    assert_int_equal(symlink(f->root, path_of(f, "link")), 0);
    assert_int_equal(run_dir_prepare(path_of(f, "link"), &detail), STATUS_CONFIG);
}

static void makes_no_parents(void **test_state)
{
    struct fixture *f = *test_state;
    struct detail detail;
    assert_int_equal(run_dir_prepare(path_of(f, "missing/run"), &detail), STATUS_IO);
    assert_non_null(strstr(detail.text, "missing/run"));
}

/* --- lock files --- */

static void holds_a_lock_until_the_descriptor_is_closed(void **test_state)
{
    struct fixture *f = *test_state;
    int fd = -1, other = -1;
    struct detail detail;
    char pid[32];
    assert_int_equal(lock_file_take(f->root, "x", &fd, &detail), STATUS_OK);
    assert_int_equal(lock_file_take(f->root, "x", &other, &detail), STATUS_BUSY);
    assert_int_equal(other, -1);
    snprintf(pid, sizeof pid, "process %d:", (int)getpid());
    assert_non_null(strstr(detail.text, pid));
    assert_non_null(strstr(detail.text, path_of(f, "x.lock")));
    close(fd);
    assert_int_equal(lock_file_take(f->root, "x", &fd, &detail), STATUS_OK);
    close(fd);
}

static void gives_each_name_a_lock_of_its_own(void **test_state)
{
    struct fixture *f = *test_state;
    int fd, other;
    assert_int_equal(lock_file_take(f->root, "x", &fd, NULL), STATUS_OK);
    assert_int_equal(lock_file_take(f->root, "y", &other, NULL), STATUS_OK);
    close(fd);
    close(other);
}

static void takes_over_the_lock_of_a_process_that_died(void **test_state)
{
    struct fixture *f = *test_state;
    int fd, status;
    pid_t child = fork();
    if (child == 0) {
        int held;
        _exit(lock_file_take(f->root, "x", &held, NULL) != STATUS_OK); /* never closed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(lock_file_take(f->root, "x", &fd, NULL), STATUS_OK);
    close(fd);
}

static void names_no_process_when_the_file_does_not_tell(void **test_state)
{
    struct fixture *f = *test_state;
    int fd, other;
    struct detail detail;
    assert_int_equal(lock_file_take(f->root, "x", &fd, NULL), STATUS_OK);
    assert_int_equal(truncate(path_of(f, "x.lock"), 0), 0);
    assert_int_equal(lock_file_take(f->root, "x", &other, &detail), STATUS_BUSY);
    assert_non_null(strstr(detail.text, "process ?:"));
    close(fd);
}

static void tells_who_holds_a_lock_and_where_to_ask_without_taking_it(void **test_state)
{
    struct fixture *f = *test_state;
    int fd, other;
    char pid[32];
    struct lock_holder holder;
    assert_int_equal(lock_file_look(f->root, "x", &holder, NULL), STATUS_OK);
    assert_false(holder.held);
    assert_false(access(path_of(f, "x.lock"), F_OK) == 0);
    assert_int_equal(lock_file_take(f->root, "x", &fd, NULL), STATUS_OK);
    assert_int_equal(lock_file_look(f->root, "x", &holder, NULL), STATUS_OK);
    assert_true(holder.held);
    assert_string_equal(holder.endpoint, "");
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_string_equal(holder.pid, pid);
    lock_file_note(fd, "tcp://127.0.0.1:5555");
    assert_int_equal(lock_file_look(f->root, "x", &holder, NULL), STATUS_OK);
    assert_string_equal(holder.endpoint, "tcp://127.0.0.1:5555");
    lock_file_note(fd, "ipc://run/control");
    assert_int_equal(lock_file_look(f->root, "x", &holder, NULL), STATUS_OK);
    assert_memory_equal(holder.endpoint, "ipc:///", 7);
    close(fd);
    assert_int_equal(lock_file_look(f->root, "x", &holder, NULL), STATUS_OK);
    assert_false(holder.held);
    assert_int_equal(lock_file_take(f->root, "x", &other, NULL), STATUS_OK);
    close(other);
}

static void says_where_it_could_not_lock(void **test_state)
{
    struct fixture *f = *test_state;
    int fd;
    struct detail detail;
    assert_int_equal(lock_file_take(path_of(f, "missing"), "x", &fd, &detail), STATUS_IO);
    assert_non_null(strstr(detail.text, "missing/x.lock"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(puts_all_sockets_into_the_run_folder),
        TEST(takes_each_override),
        TEST(finds_the_default_run_folder),
        TEST(refuses_endpoints_that_are_not_ipc_paths_or_tcp),
        TEST(refuses_a_run_folder_too_long_for_ipc),
        TEST(lets_a_long_run_folder_pass_when_nothing_is_in_it),
        TEST(refuses_names_of_projectors_that_leave_the_folder),
        TEST(makes_the_run_folder_for_its_owner_alone),
        TEST(refuses_a_run_folder_that_others_may_write_in),
        TEST(refuses_a_run_folder_of_someone_else),
        TEST(refuses_a_run_folder_that_is_a_file_or_a_link),
        TEST(makes_no_parents),
        TEST(holds_a_lock_until_the_descriptor_is_closed),
        TEST(gives_each_name_a_lock_of_its_own),
        TEST(takes_over_the_lock_of_a_process_that_died),
        TEST(names_no_process_when_the_file_does_not_tell),
        TEST(tells_who_holds_a_lock_and_where_to_ask_without_taking_it),
        TEST(says_where_it_could_not_lock),
    };
#undef TEST
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
