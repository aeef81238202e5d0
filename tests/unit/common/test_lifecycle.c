#include "common/app/lifecycle.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Each scene runs in a process of its own, since a start is for good. A scene says 0 when all is
 * well, or the number of the step that went wrong. */
typedef int scene_fn(void);

static int run_scene(scene_fn *scene)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(scene());
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_scene(scene_fn *scene)
{
    int status = run_scene(scene);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("wait status %#x", (unsigned)status);
}

static bool readable(int timeout_ms)
{
    struct pollfd item = {.fd = lifecycle_fd(), .events = POLLIN};
    return poll(&item, 1, timeout_ms) == 1 && item.revents == POLLIN;
}

static int start(void)
{
    return lifecycle_start(NULL) == STATUS_OK && !lifecycle_stopping() && !readable(0) ? 0 : 1;
}

static int stop_by(int signal_number)
{
    if (start() != 0)
        return 1;
    kill(getpid(), signal_number);
    if (!readable(10000))
        return 2;
    if (!lifecycle_stopping())
        return 3;
    return readable(0) && lifecycle_stopping() ? 0 : 4;
}

static int sigint(void)
{
    return stop_by(SIGINT);
}

static int sigterm(void)
{
    return stop_by(SIGTERM);
}

static void stops_at_a_signal_and_stays_readable(void **test_state)
{
    (void)test_state;
    assert_scene(sigint);
    assert_scene(sigterm);
}

static int sigint_ignored_by_the_parent(void)
{
    signal(SIGINT, SIG_IGN); /* as for a shell's background process */
    return stop_by(SIGINT);
}

static void hears_a_signal_that_came_ignored(void **test_state)
{
    (void)test_state;
    assert_scene(sigint_ignored_by_the_parent);
}

static int two_signals(void)
{
    if (sigint_ignored_by_the_parent() != 0)
        return 1;
    kill(getpid(), SIGINT);
    return 2; /* not reached */
}

static int another_second_signal(void)
{
    if (sigint() != 0)
        return 1;
    kill(getpid(), SIGTERM);
    return 2; /* not reached */
}

static void ends_at_once_at_a_second_signal(void **test_state)
{
    (void)test_state;
    int status = run_scene(two_signals);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
    status = run_scene(another_second_signal);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static int stop_from_inside(void)
{
    if (start() != 0)
        return 1;
    lifecycle_stop();
    lifecycle_stop();
    return readable(0) && lifecycle_stopping() && readable(0) ? 0 : 2;
}

static void stops_from_inside(void **test_state)
{
    (void)test_state;
    assert_scene(stop_from_inside);
}

static void *ask(void *answer)
{
    *(bool *)answer = lifecycle_stopping();
    return NULL;
}

/* A thread that asked first and ended must not take the second signal with it. */
static int another_thread_asks(void)
{
    pthread_t thread;
    bool answer = false;
    if (start() != 0)
        return 1;
    kill(getpid(), SIGTERM);
    pthread_create(&thread, NULL, ask, &answer);
    pthread_join(thread, NULL);
    if (!answer || !lifecycle_stopping())
        return 2;
    kill(getpid(), SIGTERM);
    return 3; /* not reached */
}

static void answers_any_thread(void **test_state)
{
    (void)test_state;
    int status = run_scene(another_thread_asks);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static int write_to_a_closed_pipe(void)
{
    int ends[2];
    if (start() != 0 || pipe(ends) != 0)
        return 1;
    close(ends[0]);
    return write(ends[1], "x", 1) < 0 ? 0 : 2;
}

static void survives_a_closed_pipe(void **test_state)
{
    (void)test_state;
    assert_scene(write_to_a_closed_pipe);
}

static int fail_to(FILE *file, enum status status, const struct detail *detail)
{
    int saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    int code = lifecycle_fail("weir-test", status, detail);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    return code;
}

static void says_why_a_start_failed_and_gives_the_exit_code(void **test_state)
{
    (void)test_state;
    char text[256] = "";
    FILE *file = tmpfile();
    struct detail detail = {"the store is held"}, empty = {""};
    assert_int_equal(fail_to(file, STATUS_BUSY, &detail), 75);
    assert_int_equal(fail_to(file, STATUS_CONFIG, &empty), 78);
    assert_int_equal(fail_to(file, STATUS_IO, NULL), 74);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_string_equal(text, "weir-test: the store is held\n"
                              "weir-test: bad configuration\n"
                              "weir-test: input or output failed\n");
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_a_signal_and_stays_readable),
        cmocka_unit_test(hears_a_signal_that_came_ignored),
        cmocka_unit_test(ends_at_once_at_a_second_signal),
        cmocka_unit_test(stops_from_inside),
        cmocka_unit_test(answers_any_thread),
        cmocka_unit_test(survives_a_closed_pipe),
        cmocka_unit_test(says_why_a_start_failed_and_gives_the_exit_code),
    };
    return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
