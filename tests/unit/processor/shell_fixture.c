#include "tests/unit/processor/shell_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/wire/submission.h"

enum {
    SHELL_SEGMENT_BYTES = 16 * 1024 * 1024,
    MESSAGES_MAX = 1000,
    WAIT_MS = 1,
};

int shell_group_set_up(void **test_state)
{
    (void)test_state;
    struct detail detail;
    return socket_setup(1, &detail) == STATUS_OK ? 0 : 1;
}

int shell_group_tear_down(void **test_state)
{
    (void)test_state;
    socket_teardown();
    return 0;
}

/* ---- the store ------------------------------------------------------------------------------ */

static void expect_ok(enum status status, const struct detail *detail)
{
    if (status != STATUS_OK)
        fail_msg("%s: %s", status_text(status), detail->text);
}

/* The genesis of every shell: the same log id. */
static void genesis_make(const char *policies, struct buffer *buffer)
{
    struct policy_set *set = calloc(1, sizeof *set);
    struct detail detail;
    assert_non_null(set);
    expect_ok(policy_set_parse(policies, "policies", set, &detail), &detail);
    struct genesis genesis = {.log_id.bytes = "0123456789abcdef",
                              .created_at_ns = FIXTURE_START_NS,
                              .policy_text = slice_of_text(set->text)};
    genesis_write(buffer, &genesis);
    free(set);
}

/* A log_visit_fn: both folds begin with the genesis, whose salt gives their seed. */
static enum status fold_twice(void *context, const struct batch_view *batch,
                              struct detail *ret_detail)
{
    struct shell *shell = context;
    enum status status = recovery_visit(shell->mirror, batch, ret_detail);
    return status == STATUS_OK ? recovery_visit(shell->recovery, batch, ret_detail) : status;
}

static void log_start(struct shell *shell, const char *policies)
{
    struct detail detail;
    struct buffer genesis;
    buffer_init(&genesis, BATCH_BYTES_MAX);
    genesis_make(policies, &genesis);
    struct log_options options = {.directory = shell->folder,
                                  .segment_bytes = SHELL_SEGMENT_BYTES,
                                  .genesis = buffer_slice(&genesis),
                                  .created_at_ns = FIXTURE_START_NS};
    shell->recovery = recovery_new(shell->folder);
    shell->mirror = recovery_new(shell->folder);
    expect_ok(log_open(&options, fold_twice, shell, &shell->service.log, NULL, &detail), &detail);
    buffer_fini(&genesis);
    shell->state = recovery_take_state(shell->recovery);
}

struct recovery *shell_reopen(struct shell *shell)
{
    struct detail detail;
    log_close(&shell->service.log);
    struct log_options options = {.directory = shell->folder, .segment_bytes = SHELL_SEGMENT_BYTES};
    struct recovery *recovery = recovery_new(shell->folder);
    expect_ok(log_open(&options, recovery_visit, recovery, &shell->service.log, NULL, &detail),
              &detail);
    return recovery;
}

/* ---- the core thread ------------------------------------------------------------------------ */

static struct socket *socket_of(const struct shell *shell, enum socket_kind kind)
{
    char endpoint[FIXTURE_PATH_BYTES + 16];
    snprintf(endpoint, sizeof endpoint, "ipc://%s/ingest", shell->folder);
    struct socket_options options = {.kind = kind,
                                     .bind = kind == SOCKET_PULL,
                                     .endpoint = endpoint,
                                     .high_water_mark = MESSAGES_MAX,
                                     .message_bytes_max = INGEST_MESSAGE_BYTES_MAX,
                                     .linger_ms = 0};
    struct socket *socket;
    struct detail detail;
    expect_ok(socket_open(&options, &socket, &detail), &detail);
    return socket;
}

void shell_open(struct shell *shell, const char *policies, uint32_t records_per_s)
{
    struct service *service = &shell->service;
    *shell = (struct shell){.stop_fd = eventfd(0, EFD_CLOEXEC)};
    fixture_folder(shell->folder, false);
    log_start(shell, policies);
    service->store_directory = shell->folder;
    service->log_id = recovery_genesis(shell->recovery)->log_id;
    service->records_per_s = records_per_s;
    log_clock_init(&service->clock, clock_wall_ns(), clock_boot_ns(), FIXTURE_START_NS);
    service->pool = batch_pool_new();
    service->to_commit = queue_new(BATCHES_IN_FLIGHT_MAX, false);
    service->to_core = queue_new(CALLS_WAITING_MAX, true);
    service->to_control = queue_new(2 * CALLS_WAITING_MAX, true);
    service->to_filler = queue_new(CHANGES_WAITING_MAX, false);
    pin_init(&service->pin);
    shell->pull = socket_of(shell, SOCKET_PULL);
    shell->push = socket_of(shell, SOCKET_PUSH);
    shell->ingest = ingest_new(service, shell->state, shell->pull);
    assert_non_null(shell->ingest);
}

static void *core_thread(void *context)
{
    struct shell *shell = context;
    ingest_run(shell->ingest, shell->stop_fd);
    return NULL;
}

void shell_run(struct shell *shell)
{
    assert_int_equal(pthread_create(&shell->thread, NULL, core_thread, shell), 0);
}

/* What the commit thread does, without publishing. */
static void batch_commit(struct shell *shell, struct batch *batch)
{
    struct detail detail;
    struct batch_view view = batch_view_of(batch);
    assert_true(batch->acks.size <= BATCH_ACKS_BYTES_MAX);
    if (batch_is_durable_matter(batch)) {
        expect_ok(log_append(shell->service.log, &view, 1, &detail), &detail);
        atomic_fetch_sub(&shell->service.counters.in_flight, 1);
        if (shell->mirror != NULL)
            expect_ok(recovery_visit(shell->mirror, &view, &detail), &detail);
    }
    if (shell->on_batch != NULL)
        shell->on_batch(shell->context, batch);
    for (uint32_t i = 0; i < batch->answer_count; i++) {
        assert_null(shell->answer);
        shell->answer = batch->answers[i];
    }
    batch->answer_count = 0;
    batch_release(batch);
}

void shell_pump(struct shell *shell)
{
    void *batch;
    while (queue_pop(shell->service.to_commit, &batch, 1, WAIT_MS) == 1)
        batch_commit(shell, batch);
    assert_int_equal(atomic_load(&shell->service.failure), STATUS_OK);
}

static void frame_push(struct shell *shell, struct slice frame, bool more)
{
    enum status status;
    while ((status = socket_send(shell->push, frame, more)) == STATUS_FULL)
        if (shell->thread != 0)
            shell_pump(shell);
    assert_int_equal(status, STATUS_OK);
}

void shell_push(struct shell *shell, struct slice frame, const char *second)
{
    frame_push(shell, frame, second != NULL);
    if (second != NULL)
        frame_push(shell, slice_of_text(second), false);
    shell->pushed++;
}

void shell_settle(struct shell *shell)
{
    do
        shell_pump(shell);
    while (counter_get(&shell->service.counters.submissions) < shell->pushed);
}

struct source_info shell_hello(struct shell *shell, const char *name)
{
    struct envelope nobody = {0};
    struct call *call = call_new(CALL_HELLO, &nobody);
    assert_non_null(call);
    shell_settle(shell);
    call->hello.source_size = (uint32_t)strlen(name);
    memcpy(call->hello.source, name, call->hello.source_size);
    queue_push(shell->service.to_core, call);
    while (shell->answer == NULL)
        shell_pump(shell);
    assert_ptr_equal(shell->answer, call);
    assert_int_equal(call->status, STATUS_OK);
    struct source_info info = {.epoch = call->hello.epoch,
                               .last_sequence = call->hello.last_sequence};
    shell->answer = NULL;
    call_destroy(&call);
    return info;
}

void shell_stop(struct shell *shell)
{
    shell_settle(shell);
    assert_int_equal(eventfd_write(shell->stop_fd, 1), 0);
    shell_join(shell);
}

void shell_join(struct shell *shell)
{
    while (!queue_finished(shell->service.to_commit))
        shell_pump(shell);
    assert_int_equal(pthread_join(shell->thread, NULL), 0);
    assert_int_equal(counter_get(&shell->service.counters.in_flight), 0);
}

void shell_close(struct shell *shell)
{
    struct service *service = &shell->service;
    ingest_destroy(&shell->ingest);
    socket_close(&shell->push);
    socket_close(&shell->pull);
    queue_destroy(&service->to_commit);
    queue_destroy(&service->to_core);
    queue_destroy(&service->to_control);
    queue_destroy(&service->to_filler);
    pin_fini(&service->pin);
    batch_pool_destroy(&service->pool);
    log_close(&service->log);
    recovery_destroy(&shell->recovery);
    recovery_destroy(&shell->mirror);
    close(shell->stop_fd);
    fixture_remove(shell->folder);
}
