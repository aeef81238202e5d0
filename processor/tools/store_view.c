#include "processor/tools/store_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/base/logger.h"
#include "common/wire/endpoint.h"
#include "common/wire/request.h"
#include "processor/store/scan.h"
#include "processor/store/segment.h"
#include "processor/store/source_record.h"
#include "processor/store/walk.h"

enum { IO_THREADS = 1, REPLY_BYTES_MAX = 512 * 1024 };

struct store_view {
    const char *directory;
    struct reader *reader;
    struct durable durable;
    uint64_t now_ns; /* log time, where a processor told it; else 0 */
    struct log_id log_id;
    bool has_log_id;
    bool sockets_up;
    bool warned; /* of a torn tail */
};

/* ---- nobody holds the store ---- */

static enum status look_on_disk(struct store_view *view, struct durable *ret_durable,
                                struct detail *ret_detail)
{
    struct folder folder = {.fd = -1};
    struct scan_result scan = {0};
    enum status status = folder_open(&folder, view->directory, SEGMENT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = scan_end(&folder, &scan, ret_detail);
    folder_close(&folder);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && scan.empty))
        return detail_set(ret_detail, STATUS_IO, "%s: there is no log in this folder",
                          view->directory);
    if (status != STATUS_OK)
        return status;
    if (scan.torn_bytes > 0 && !view->warned) {
        log_warn("the last write is torn and not shown; the next start sets it aside",
                 "segment=%" PRIu64 " offset=%" PRIu64 " bytes=%" PRIu64 " what=\"%s\"",
                 scan.segment, scan.offset, scan.torn_bytes, scan.torn_reason.text);
        view->warned = true;
    }
    view->now_ns = 0;
    *ret_durable = scan.durable;
    return STATUS_OK;
}

/* ---- a processor holds it ---- */

static enum status field_uint(struct slice map, const char *path, uint64_t *ret_value)
{
    struct mp_reader reader;
    enum status status = event_field(map, slice_of_text(path), &reader);
    return status == STATUS_OK ? mp_read_uint(&reader, ret_value) : status;
}

static bool read_end(struct slice map, struct durable *ret_end, uint64_t *ret_now_ns)
{
    return field_uint(map, "durable.batch", &ret_end->last_batch) == STATUS_OK &&
           field_uint(map, "last_event_id", &ret_end->last_event_id) == STATUS_OK &&
           field_uint(map, "last_rejection_id", &ret_end->last_rejection_id) == STATUS_OK &&
           field_uint(map, "durable.time", &ret_end->last_time_ns) == STATUS_OK &&
           field_uint(map, "durable.segment", &ret_end->segment) == STATUS_OK &&
           field_uint(map, "durable.offset", &ret_end->offset) == STATUS_OK &&
           field_uint(map, "now", ret_now_ns) == STATUS_OK;
}

static enum status read_status(struct store_view *view, struct slice reply,
                               struct durable *ret_durable, struct detail *ret_detail)
{
    struct mp_reader value;
    struct slice map;
    struct log_id log_id;
    enum status status = control_reply_map_read(reply, &map, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = event_field(map, slice_of_text("log_id"), &value);
    if (status == STATUS_OK)
        status = log_id_read(&value, &log_id);
    if (status != STATUS_OK || !read_end(map, ret_durable, &view->now_ns))
        return detail_set(ret_detail, STATUS_UNAVAILABLE,
                          "the processor's status lacks its log_id or durable end");
    if (view->has_log_id && !log_id_equal(&log_id, &view->log_id))
        return detail_set(ret_detail, STATUS_UNAVAILABLE,
                          "%s: the processor that answers serves another log", view->directory);
    return STATUS_OK;
}

static enum status exchange(struct store_view *view, const struct lock_holder *holder,
                            struct frame *reply, struct detail *ret_detail)
{
    const struct socket_options options = {.kind = SOCKET_DEALER,
                                           .endpoint = holder->endpoint,
                                           .high_water_mark = 1,
                                           .message_bytes_max = REPLY_BYTES_MAX};
    const struct control_request request = {.verb = CONTROL_STATUS};
    struct socket *socket = NULL;
    enum status status = STATUS_OK;
    if (!view->sockets_up)
        status = socket_setup(IO_THREADS, ret_detail);
    if (status != STATUS_OK)
        return status;
    view->sockets_up = true;
    status = socket_open(&options, &socket, ret_detail);
    if (status == STATUS_OK)
        status = request_exchange(socket, &request, lifecycle_fd(), reply, ret_detail);
    socket_close(&socket);
    if (status == STATUS_UNAVAILABLE)
        return detail_set(ret_detail, status,
                          "%s is in use by process %s, which does not say at %s within %llu s how "
                          "far the log is durable: wait for it, or stop it",
                          view->directory, holder->pid, holder->endpoint,
                          REQUEST_LIMIT_NS / NS_PER_S);
    return status;
}

static enum status ask_holder(struct store_view *view, const struct lock_holder *holder,
                              struct durable *ret_durable, struct detail *ret_detail)
{
    struct frame reply;
    if (holder->endpoint[0] == '\0')
        return detail_set(ret_detail, STATUS_BUSY,
                          "%s is in use by process %s, which answers no questions (yet): try again "
                          "when it is done or has started",
                          view->directory, holder->pid);
    frame_init(&reply);
    enum status status = exchange(view, holder, &reply, ret_detail);
    if (status == STATUS_OK)
        status = read_status(view, frame_slice(&reply), ret_durable, ret_detail);
    frame_fini(&reply);
    return status;
}

/* ---- either ---- */

/* The holder is looked at again after the scan: one that came meanwhile may have written. */
static enum status find_end(struct store_view *view, struct durable *ret_durable,
                            struct detail *ret_detail)
{
    struct lock_holder holder;
    enum status status = lock_file_look(view->directory, "store", &holder, ret_detail);
    if (status == STATUS_OK && !holder.held) {
        status = look_on_disk(view, ret_durable, ret_detail);
        struct detail unused;
        if (lock_file_look(view->directory, "store", &holder, &unused) != STATUS_OK || !holder.held)
            return status;
        status = STATUS_OK;
    }
    return status == STATUS_OK ? ask_holder(view, &holder, ret_durable, ret_detail) : status;
}

/* Where the first segment is kept, the genesis tells which log it is. */
static enum status read_log_id(struct store_view *view, struct detail *ret_detail)
{
    struct walk walk;
    struct batch_header first = {0};
    struct place place = {.segment = 0, .offset = 0, .number = 0};
    struct batch_disk disk;
    struct batch_view batch;
    struct genesis genesis;
    enum status status = walk_init(&walk, view->directory, ret_detail);
    if (status == STATUS_OK)
        status = walk_first(&walk, &view->durable, &first, ret_detail);
    if (status == STATUS_OK && first.number == 0) {
        status = walk_next(&walk, &view->durable, &place, &disk, ret_detail);
        if (status == STATUS_OK)
            status = walk_read(&walk, &place, &disk, &batch, ret_detail);
        if (status == STATUS_OK && genesis_read(batch.sources, &genesis) == STATUS_OK) {
            view->log_id = genesis.log_id;
            view->has_log_id = true;
        }
    }
    walk_fini(&walk);
    return status;
}

/* Is `until` in a sealed segment, so that the end need not be found? What fails here does so again
 * where that is, and is told then. */
static bool find_sealed(struct store_view *view, const struct moment *until)
{
    struct folder folder = {.fd = -1};
    struct durable sealed;
    enum status status = folder_open(&folder, view->directory, SEGMENT_FOLDER, false, NULL);
    if (status == STATUS_OK)
        status = scan_sealed(&folder, &sealed, NULL);
    folder_close(&folder);
    if (status != STATUS_OK ||
        until->value >= (until->kind == MOMENT_ID ? sealed.last_event_id : sealed.last_time_ns))
        return false;
    view->durable = sealed;
    return true;
}

enum status store_view_open(const char *directory, struct store_view **ret_view,
                            struct detail *ret_detail)
{
    const struct moment now = {.kind = MOMENT_BACK};
    return store_view_open_until(directory, &now, ret_view, ret_detail);
}

enum status store_view_open_until(const char *directory, const struct moment *until,
                                  struct store_view **ret_view, struct detail *ret_detail)
{
    struct store_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to read the log");
    view->directory = directory;
    enum status status = STATUS_OK;
    if (until->kind == MOMENT_BACK || !find_sealed(view, until))
        status = find_end(view, &view->durable, ret_detail);
    if (status == STATUS_OK)
        status = reader_new(directory, &view->reader, ret_detail);
    if (status == STATUS_OK)
        status = read_log_id(view, ret_detail);
    if (status == STATUS_OK)
        *ret_view = view;
    else
        store_view_close(&view);
    return status;
}

void store_view_close(struct store_view **view)
{
    if (*view == NULL)
        return;
    reader_destroy(&(*view)->reader);
    if ((*view)->sockets_up)
        socket_teardown();
    free(*view);
    *view = NULL;
}

enum status store_view_refresh(struct store_view *view, struct detail *ret_detail)
{
    struct durable durable = {0};
    enum status status = find_end(view, &durable, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (durable.last_batch < view->durable.last_batch ||
        durable.last_event_id < view->durable.last_event_id ||
        durable.last_rejection_id < view->durable.last_rejection_id)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "%s: the log ends at batch %" PRIu64 ", it was shown up to %" PRIu64,
                          view->directory, durable.last_batch, view->durable.last_batch);
    view->durable = durable;
    return STATUS_OK;
}

const struct durable *store_view_durable(const struct store_view *view)
{
    return &view->durable;
}

struct reader *store_view_reader(struct store_view *view)
{
    return view->reader;
}

const char *store_view_directory(const struct store_view *view)
{
    return view->directory;
}

uint64_t store_view_now_ns(const struct store_view *view)
{
    return view->now_ns;
}
