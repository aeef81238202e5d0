#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "processor/store/source_record.h"

void fixture_folder(char ret_path[FIXTURE_PATH_BYTES], bool on_disk)
{
    const char *parent = on_disk || access("/dev/shm", W_OK) != 0 ? "/tmp" : "/dev/shm";
    (void)snprintf(ret_path, FIXTURE_PATH_BYTES, "%s/weir-test-XXXXXX", parent);
    assert_non_null(mkdtemp(ret_path));
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

void fixture_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- history ---- */

static struct kept_batch *new_batch(struct history *history)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 64 : 2 * history->capacity;
        history->batches = realloc(history->batches, history->capacity * sizeof *history->batches);
        assert_non_null(history->batches);
    }
    return &history->batches[history->count++];
}

/* Keeps a copy of the three parts. */
static void keep(struct history *history, const struct batch_header *header,
                 const struct buffer parts[3])
{
    struct kept_batch *kept = new_batch(history);
    uint8_t *bytes = malloc(parts[0].size + parts[1].size + parts[2].size + 1);
    struct slice slices[3];
    uint8_t *at = bytes;
    assert_non_null(bytes);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(parts[i].status, STATUS_OK);
        if (parts[i].size > 0)
            memcpy(at, parts[i].data, parts[i].size);
        slices[i] = (struct slice){at, parts[i].size};
        at += parts[i].size;
    }
    *kept = (struct kept_batch){.view = {.header = *header,
                                         .sources = slices[0],
                                         .accepted = slices[1],
                                         .rejected = slices[2]},
                                .bytes = bytes};
}

void history_init(struct history *history)
{
    *history =
        (struct history){.next_event_id = 1, .next_rejection_id = 1, .time_ns = FIXTURE_START_NS};
    struct buffer parts[3];
    for (int i = 0; i < 3; i++)
        buffer_init(&parts[i], BATCH_BYTES_MAX);
    const struct genesis genesis = {.log_id.bytes = "0123456789abcdef",
                                    .created_at_ns = FIXTURE_START_NS,
                                    .policy_text = slice_of_text("")};
    genesis_write(&parts[0], &genesis);
    keep(history,
         &(struct batch_header){.kind = BATCH_GENESIS,
                                .first_event_id = 1,
                                .first_rejection_id = 1,
                                .first_time_ns = FIXTURE_START_NS,
                                .last_time_ns = FIXTURE_START_NS},
         parts);
    for (int i = 0; i < 3; i++)
        buffer_fini(&parts[i]);
}

void history_fini(struct history *history)
{
    for (size_t i = 0; i < history->count; i++)
        free(history->batches[i].bytes);
    free(history->batches);
    *history = (struct history){0};
}

static void write_event(struct buffer *buffer, uint32_t data_bytes, struct rng *rng)
{
    codec_array(buffer, 5);
    codec_uint(buffer, rng_next(rng) >> 1);
    codec_text(buffer, "order.created");
    codec_text(buffer, "order-001");
    codec_uint(buffer, 1);
    codec_map(buffer, 1);
    codec_text(buffer, "text");
    char *text = malloc(data_bytes + 1u);
    assert_non_null(text);
    for (uint32_t i = 0; i < data_bytes; i++)
        text[i] = (char)('a' + rng_below(rng, 26));
    codec_text_slice(buffer, (struct slice){(const uint8_t *)text, data_bytes});
    free(text);
}

static void write_accepted(struct buffer *buffer, const struct history *history, uint64_t id,
                           uint32_t data_bytes, struct rng *rng)
{
    struct buffer event;
    buffer_init(&event, BATCH_BYTES_MAX);
    write_event(&event, data_bytes, rng);
    assert_int_equal(event.status, STATUS_OK);
    assert_int_equal(buffer_reserve(buffer, RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + event.size),
                     STATUS_OK);
    const uint8_t *end = accepted_record_put(buffer->data + buffer->size, id, history->time_ns,
                                             slice_of_text("shop/1"), id, buffer_slice(&event));
    buffer->size = (size_t)(end - buffer->data);
    buffer_fini(&event);
}

static void write_rejected(struct buffer *buffer, const struct history *history, uint64_t id,
                           struct rng *rng)
{
    const struct rejection rejection = {.rejection_id = id,
                                        .rejected_at_ns = history->time_ns,
                                        .after_event_id = history->next_event_id - 1,
                                        .reason = REASON_RATE_LIMITED,
                                        .count = 1 + rng_below(rng, 1000),
                                        .retry_after_ns = RECORD_NEVER,
                                        .source = slice_of_text("shop/1")};
    rejection_write(buffer, &rejection);
}

void history_add(struct history *history, const struct batch_recipe *recipe, struct rng *rng)
{
    struct buffer parts[3];
    for (int i = 0; i < 3; i++)
        buffer_init(&parts[i], BATCH_BYTES_MAX);
    history->time_ns += recipe->step_ns;
    source_record_write(&parts[0], slice_of_text("shop/1"), 1, history->next_event_id, NULL, 0);
    for (uint32_t i = 0; i < recipe->events; i++)
        write_accepted(&parts[1], history, history->next_event_id + i, recipe->data_bytes, rng);
    for (uint32_t i = 0; i < recipe->rejections; i++)
        write_rejected(&parts[2], history, history->next_rejection_id + i, rng);
    const struct batch_header header = {.kind = BATCH_ORDINARY,
                                        .number = history->count,
                                        .first_event_id = history->next_event_id,
                                        .first_rejection_id = history->next_rejection_id,
                                        .event_count = recipe->events,
                                        .rejection_count = recipe->rejections,
                                        .first_time_ns = history->time_ns,
                                        .last_time_ns = history->time_ns};
    keep(history, &header, parts);
    history->next_event_id += recipe->events;
    history->next_rejection_id += recipe->rejections;
    for (int i = 0; i < 3; i++)
        buffer_fini(&parts[i]);
}

void history_add_random(struct history *history, size_t count, struct rng *rng)
{
    for (size_t i = 0; i < count; i++) {
        const struct batch_recipe recipe = {.events = (uint32_t)rng_below(rng, 6),
                                            .rejections = (uint32_t)rng_below(rng, 4),
                                            .data_bytes = (uint32_t)rng_below(rng, 200),
                                            .step_ns = rng_below(rng, 3)};
        history_add(history, &recipe, rng);
    }
}

void history_truncate(struct history *history, size_t count)
{
    while (history->count > count) {
        const struct batch_header *header = &history->batches[--history->count].view.header;
        history->next_event_id = header->first_event_id;
        history->next_rejection_id = header->first_rejection_id;
        free(history->batches[history->count].bytes);
    }
    history->time_ns = history->batches[count - 1].view.header.last_time_ns;
}

void history_append(const struct history *history, struct log *log, size_t first, size_t count,
                    uint32_t group)
{
    struct batch_view views[LOG_APPEND_BATCHES_MAX];
    assert_in_range(group, 1, LOG_APPEND_BATCHES_MAX);
    for (size_t done = 0; done < count;) {
        uint32_t some = 0;
        while (some < group && done + some < count) {
            views[some] = history->batches[first + done + some].view;
            some++;
        }
        struct detail detail = {""};
        const enum status status = log_append(log, views, some, &detail);
        if (status != STATUS_OK)
            print_error("log_append: %s: %s\n", status_text(status), detail.text);
        assert_int_equal(status, STATUS_OK);
        done += some;
    }
}

struct durable history_durable(const struct history *history)
{
    return (struct durable){.last_batch = history->count - 1,
                            .last_event_id = history->next_event_id - 1,
                            .last_rejection_id = history->next_rejection_id - 1,
                            .last_time_ns = history->time_ns};
}

struct slice history_record(const struct history *history, enum stream stream, uint64_t id)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct batch_view *view = &history->batches[i].view;
        const bool accepted = stream == STREAM_ACCEPTED;
        const uint64_t first =
            accepted ? view->header.first_event_id : view->header.first_rejection_id;
        const uint64_t count = accepted ? view->header.event_count : view->header.rejection_count;
        if (id < first || id - first >= count)
            continue;
        struct mp_reader reader = mp_reader_of(accepted ? view->accepted : view->rejected);
        struct slice record = {NULL, 0};
        for (uint64_t at = first; at <= id; at++)
            assert_int_equal(mp_read_raw(&reader, &record), STATUS_OK);
        return record;
    }
    return (struct slice){NULL, 0};
}

/* ---- opening ---- */

bool batch_views_equal(const struct batch_view *a, const struct batch_view *b)
{
    const struct batch_header *x = &a->header;
    const struct batch_header *y = &b->header;
    return x->kind == y->kind && x->number == y->number && x->first_event_id == y->first_event_id &&
           x->first_rejection_id == y->first_rejection_id && x->event_count == y->event_count &&
           x->rejection_count == y->rejection_count && x->first_time_ns == y->first_time_ns &&
           x->last_time_ns == y->last_time_ns && slice_equal(a->sources, b->sources) &&
           slice_equal(a->accepted, b->accepted) && slice_equal(a->rejected, b->rejected);
}

enum status expect_batch(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    (void)ret_detail;
    struct expectation *expected = context;
    if (expected->visited >= expected->history->count ||
        !batch_views_equal(&expected->history->batches[expected->visited].view, batch))
        expected->differs = true;
    expected->visited++;
    return STATUS_OK;
}

enum status fixture_try_open(const char *path, const struct history *history, struct log **ret_log,
                             size_t *ret_visited, struct detail *ret_warning,
                             struct detail *ret_detail)
{
    const struct log_options options = {.directory = path,
                                        .segment_bytes = FIXTURE_SEGMENT_BYTES,
                                        .genesis = history->batches[0].view.sources,
                                        .created_at_ns = FIXTURE_START_NS};
    struct expectation expected = {.history = history};
    const enum status status =
        log_open(&options, expect_batch, &expected, ret_log, ret_warning, ret_detail);
    assert_false(expected.differs); /* whatever happens, nothing wrong is given out */
    *ret_visited = expected.visited;
    return status;
}

struct log *fixture_open(const char *path, const struct history *history, size_t expected,
                         struct detail *ret_warning)
{
    struct log *log = NULL;
    struct detail detail = {""};
    struct detail warning = {""};
    size_t visited = 0;
    const enum status status = fixture_try_open(path, history, &log, &visited, &warning, &detail);
    if (status != STATUS_OK)
        print_error("log_open: %s: %s\n", status_text(status), detail.text);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(visited, expected);
    if (ret_warning != NULL)
        *ret_warning = warning;
    else
        assert_string_equal(warning.text, "");
    return log;
}

/* ---- files ---- */

void segment_path(const char *store, uint64_t number, char *ret_path, size_t size)
{
    (void)snprintf(ret_path, size, "%s/log/%020" PRIu64 ".seg", store, number);
}

static int open_existing(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

uint64_t file_bytes_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

void peek(const char *path, uint64_t offset, void *bytes, size_t size)
{
    const int fd = open_existing(path, O_RDONLY);
    assert_int_equal(pread(fd, bytes, size, (off_t)offset), (ssize_t)size);
    (void)close(fd);
}

void poke(const char *path, uint64_t offset, const void *bytes, size_t size)
{
    const int fd = open_existing(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    (void)close(fd);
}

void flip_bit(const char *path, uint64_t offset, unsigned bit)
{
    uint8_t byte = 0;
    peek(path, offset, &byte, 1);
    byte ^= (uint8_t)(1u << bit);
    poke(path, offset, &byte, 1);
}

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

size_t count_files(const char *folder)
{
    size_t count = 0;
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.')
            count++;
    (void)closedir(listing);
    return count;
}
