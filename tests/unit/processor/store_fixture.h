/* store_fixture: a scratch store, and a history of batches kept in memory as the oracle of what the
 * log must give back. For the tests of processor/store. */
#ifndef WEIR_TESTS_STORE_FIXTURE_H
#define WEIR_TESTS_STORE_FIXTURE_H

#include "common/base/rng.h"
#include "common/wire/control.h"
#include "processor/store/log.h"

enum {
    FIXTURE_PATH_BYTES = 128,
    FIXTURE_SEGMENT_BYTES = SEGMENT_BYTES_MIN,
    FIXTURE_START_NS = 1000000,
};

/* One batch as it was given to the log; owns its bytes. */
struct kept_batch {
    struct batch_view view;
    uint8_t *bytes;
};

struct history {
    struct kept_batch *batches; /* [0] is the genesis */
    size_t count;
    size_t capacity;
    uint64_t next_event_id;
    uint64_t next_rejection_id;
    uint64_t time_ns;
};

/* What one batch is to hold. */
struct batch_recipe {
    uint32_t events;
    uint32_t rejections;
    uint32_t data_bytes; /* text in each event, incompressible letters */
    uint64_t step_ns;    /* later than the batch before */
};

/* A new folder in memory (tmpfs) where there is one, for tests that open a store hundreds of times;
 * else, and with on_disk, in the folder for temporary files. */
void fixture_folder(char ret_path[FIXTURE_PATH_BYTES], bool on_disk);
void fixture_remove(const char *path);

void history_init(struct history *history);
void history_fini(struct history *history);
/* Adds a batch with real records. */
void history_add(struct history *history, const struct batch_recipe *recipe, struct rng *rng);
/* `count` small batches of a few events and rejections, seeded. */
void history_add_random(struct history *history, size_t count, struct rng *rng);
/* Forgets the batches from `count` on (what was set aside). */
void history_truncate(struct history *history, size_t count);
/* Appends [first, first + count) in groups of up to `group`. */
void history_append(const struct history *history, struct log *log, size_t first, size_t count,
                    uint32_t group);
struct durable history_durable(const struct history *history);

/* The bytes of record `id` of the history, or a slice of size 0. */
struct slice history_record(const struct history *history, enum stream stream, uint64_t id);

/* A visitor that compares what the log gives with the history, batch by batch. */
struct expectation {
    const struct history *history;
    size_t visited;
    bool differs;
};
enum status expect_batch(void *context, const struct batch_view *batch, struct detail *ret_detail);
bool batch_views_equal(const struct batch_view *a, const struct batch_view *b);

/* Opens the store of the history; the log must give back exactly `expected` batches. Prints the
 * detail when the status is not `status`. */
struct log *fixture_open(const char *path, const struct history *history, size_t expected,
                         struct detail *ret_warning);
/* Opens without expectations. */
enum status fixture_try_open(const char *path, const struct history *history, struct log **ret_log,
                             size_t *ret_visited, struct detail *ret_warning,
                             struct detail *ret_detail);

/* Raw access to the files, behind the log's back. */
void segment_path(const char *store, uint64_t number, char *ret_path, size_t size);
uint64_t file_bytes_of(const char *path);
void peek(const char *path, uint64_t offset, void *bytes, size_t size);
void poke(const char *path, uint64_t offset, const void *bytes, size_t size);
void flip_bit(const char *path, uint64_t offset, unsigned bit);
bool path_exists(const char *path);
size_t count_files(const char *folder);

#endif
