#include "processor/held_store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/base/logger.h"
#include "common/wire/endpoint.h"
#include "processor/policy_change.h"
#include "processor/recall.h"

void held_store_init(struct held_store *held, const char *directory)
{
    *held = (struct held_store){.directory = directory, .lock_fd = -1};
}

void held_store_fini(struct held_store *held)
{
    state_destroy(&held->state);
    log_close(&held->log);
    recovery_destroy(&held->recovery);
    if (held->lock_fd >= 0)
        close(held->lock_fd);
    held->lock_fd = -1;
}

enum status held_store_lock(struct held_store *held, struct detail *ret_detail)
{
    if (mkdir(held->directory, 0700) != 0 && errno != EEXIST)
        return detail_set(ret_detail, STATUS_IO, "cannot make the store folder %s: %s",
                          held->directory, strerror(errno));
    return lock_file_take(held->directory, "store", &held->lock_fd, ret_detail);
}

static void genesis_make(const struct policy_set *first, uint64_t created_at_ns,
                         struct buffer *buffer)
{
    struct genesis genesis = {.created_at_ns = created_at_ns,
                              .policy_text = slice_of_text(first->text)};
    struct hash_seed random;
    hash_seed_random(&random);
    memcpy(genesis.log_id.bytes, random.bytes, LOG_ID_BYTES);
    genesis_write(buffer, &genesis);
}

/* A log_visit_fn: folds, unless a stop was asked for. */
static enum status fold_visit(void *recovery, const struct batch_view *batch,
                              struct detail *ret_detail)
{
    if (lifecycle_stopping())
        return detail_set(ret_detail, STATUS_INTERRUPTED, "stopped while the log was read");
    return recovery_visit(recovery, batch, ret_detail);
}

enum status held_store_open(struct held_store *held, const struct policy_set *first,
                            uint64_t created_at_ns, struct detail *ret_detail)
{
    struct buffer genesis;
    struct detail warning;
    buffer_init(&genesis, GENESIS_BYTES_MAX);
    genesis_make(first, created_at_ns, &genesis);
    struct log_options options = {.directory = held->directory,
                                  .segment_bytes = held->segment_bytes,
                                  .genesis = buffer_slice(&genesis),
                                  .created_at_ns = created_at_ns};
    struct recall recall = {.recovery = NULL};
    enum status status = recall_begin(held->directory, FOLD_END_NONE, false, &recall, ret_detail);
    held->recovery = recall.recovery;
    if (recall.start.chain.next_number > 0) {
        log_info("folding on from a snapshot", "batch=%" PRIu64 " event_id=%" PRIu64,
                 recall.start.chain.next_number, recall.start.chain.next_event_id - 1);
        options.start = &recall.start;
    }
    if (status == STATUS_OK)
        status = log_open(&options, fold_visit, held->recovery, &held->log, &warning, ret_detail);
    buffer_fini(&genesis);
    if (status != STATUS_OK)
        return status;
    if (warning.text[0] != '\0')
        log_warn("the log's end was repaired", "what=\"%s\"", warning.text);
    held->state = recovery_take_state(held->recovery);
    if (held->state == NULL)
        return detail_set(ret_detail, STATUS_DAMAGED, "%s: the log has no genesis",
                          held->directory);
    held->log_id = recovery_genesis(held->recovery)->log_id;
    held->genesis_policy = (const char *)recovery_genesis(held->recovery)->policy_text.data;
    return STATUS_OK;
}

enum status held_store_settle(struct held_store *held, const struct policy_set *wanted,
                              uint64_t now_ns, struct detail *ret_detail)
{
    if (wanted != NULL && strcmp(wanted->text, state_policies(held->state)->text) != 0) {
        enum status status =
            policy_change_make(held->log, held->directory, held->state, wanted, now_ns, ret_detail);
        if (status == STATUS_GONE) /* what is asked for cannot be; without it the store starts */
            status = STATUS_CONFIG;
        if (status != STATUS_OK)
            return status;
        log_warn("the policy given at the start differs from the one in the log, and replaces it",
                 "event_id=%" PRIu64, log_durable(held->log).last_event_id);
    }
    if (state_policies(held->state)->count == 0)
        log_warn("no policy is in force: nothing is limited", NULL);
    return STATUS_OK;
}
