#include "projector/keeper.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/logger.h"
#include "projector/core/since.h"
#include "projector/store/snapshot.h"
#include "projector/store/view_table.h"

#define KIND "built-in"

enum {
    TAKEN_BYTES_MAX = 32 * 1024 * 1024,       /* of one view; more than that is written at once */
    PACKED_KEPT_BYTES_MAX = 16 * 1024 * 1024, /* room for a snapshot; more is given back */
    PORTION_ROWS = 2048,                      /* written in one turn, some ms */
    COST_SHARE = 29,                          /* times the cost between two checkpoints */
    ROW_COST_NS = 2000,                       /* to write one row, as a rule */
};
#define EXPECTED_PAUSE_NS_MAX (10 * NS_PER_S)

/* One view: what was taken of it and is not written yet. */
struct kept_view {
    struct view_table *table;
    struct buffer taken;
    struct slice left; /* of `taken` */
    bool is_in;        /* this checkpoint has it */
    struct checkpoint checkpoint;
    uint64_t snapshot_event_id;                       /* of the newest snapshot */
    struct snapshot snapshots[SNAPSHOTS_WAITING_MAX]; /* not written yet */
    uint32_t snapshot_count, snapshots_in;            /* there are; this checkpoint has */
};

struct keeper {
    struct store *store;
    struct fold *fold;
    struct log_id log_id;
    uint64_t snapshot_every; /* events, at least */
    struct kept_view *views;
    struct buffer packed; /* scratch of snapshots */
    char *policy;         /* in force where the checkpoint was taken */
    bool is_writing;
    uint64_t cost_ns;  /* of the checkpoint so far */
    uint64_t ended_ns; /* the last one; the first: when the keeper was opened */
    uint64_t pause_ns; /* behind it, at least */
    struct fold_position taken_at, kept_at;
    bool has_problem;
    struct detail problem;
    struct keeper_guest guest; /* write NULL: there is none */
    keeper_kept_fn *kept;      /* NULL: nobody watches */
    void *kept_owner;
};

/* --- loading --- */

static void log_rebuild(const char *view, const char *why)
{
    log_warn("a view is made anew from the log", "view=%s why=\"%s\"", view, why);
}

/* Is the checkpoint one of this log? */
static enum status check_log(const struct store *store, const char *view,
                             const struct checkpoint *checkpoint, const struct follower_log *log,
                             struct detail *ret_detail)
{
    if (!log_id_equal(&checkpoint->log_id, &log->log_id))
        return detail_set(ret_detail, STATUS_FENCED,
                          "database %s was made from another log than the one that the processor "
                          "serves: start with --rebuild to make it anew, or name another --db",
                          store_path(store));
    const struct fold_position *position = &checkpoint->position;
    if (position->event_id > log->last_event_id || position->rejection_id > log->last_rejection_id)
        return detail_set(
            ret_detail, STATUS_DAMAGED,
            "database %s is ahead of the log: view %s has seen event %" PRIu64
            " and rejection %" PRIu64 ", the log ends at %" PRIu64 " and %" PRIu64
            ": it lost what was published, or an old copy was put in its place; start with "
            "--rebuild to make the views from what it holds now",
            store_path(store), view, position->event_id, position->rejection_id, log->last_event_id,
            log->last_rejection_id);
    return STATUS_OK;
}

/* The rows, known to be those of the checkpoint. DAMAGED, NOT_FOUND: they are not all there. */
static enum status load_rows(struct store *store, const struct view_type *type,
                             const struct checkpoint *checkpoint, struct rows *rows,
                             struct detail *ret_detail)
{
    rows_note_changes(rows);
    enum status status = view_table_load(store, type, rows, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct digest digest = rows_digest(rows);
    if (memcmp(&digest, &checkpoint->digest, sizeof digest) != 0)
        return detail_set(ret_detail, STATUS_DAMAGED, "its rows do not fit their digest");
    rows_restore_left_out(rows, checkpoint->left_out);
    return STATUS_OK;
}

/* Takes a view out of the database; it begins anew. */
static enum status forget(struct store *store, const char *view, struct detail *ret_detail)
{
    enum status status = store_begin(store, ret_detail);
    if (status == STATUS_OK)
        status = checkpoint_remove(store, view, ret_detail);
    if (status == STATUS_OK)
        status = view_table_drop(store, view, ret_detail);
    if (status == STATUS_OK)
        status = snapshot_remove_all(store, view, ret_detail);
    if (status == STATUS_OK)
        status = store_commit(store, ret_detail);
    store_roll_back(store);
    return status;
}

/* The view begins with the first event that is kept; the fold leaves out what is before `since`. */
static enum status anew(struct store *store, const struct view_type *type,
                        const struct follower_log *log, const struct fold_options *options,
                        struct fold_start *ret_start, struct detail *ret_detail)
{
    rows_destroy(&ret_start->rows);
    enum status status = since_check(options->since, log->first_event_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    ret_start->mark = follower_log_first(log);
    memcpy(ret_start->policy, log->first_policy, sizeof log->first_policy);
    ret_start->rows = rows_new(type, &options->seed, ROWS_MAX);
    if (ret_start->rows == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the views");
    rows_note_changes(ret_start->rows);
    return forget(store, type->name, ret_detail);
}

static bool is_of_format(const struct checkpoint *checkpoint, const struct view_type *type)
{
    char format[CHECKPOINT_FORMAT_BYTES_MAX];
    view_table_format(type, format);
    return strcmp(checkpoint->kind, KIND) == 0 && strcmp(checkpoint->format, format) == 0;
}

/* ret_start->policy is room for the text in force at the checkpoint. */
static enum status load_view(struct store *store, const struct follower_log *log,
                             const struct fold_options *options, uint32_t view,
                             struct fold_start *ret_start, struct detail *ret_detail)
{
    const struct view_type *type = options->types[view];
    struct checkpoint checkpoint;
    enum status status =
        checkpoint_read(store, type->name, &checkpoint, ret_start->policy, ret_detail);
    if (status == STATUS_OK && !is_of_format(&checkpoint, type)) {
        log_rebuild(type->name, "it was made by another version");
        return anew(store, type, log, options, ret_start, ret_detail);
    }
    if (status == STATUS_OK) {
        status = check_log(store, type->name, &checkpoint, log, ret_detail);
        if (status != STATUS_OK)
            return status;
        ret_start->rows = rows_new(type, &options->seed, ROWS_MAX);
        if (ret_start->rows == NULL)
            return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the views");
        status = load_rows(store, type, &checkpoint, ret_start->rows, ret_detail);
        if (status == STATUS_NOT_FOUND)
            status = STATUS_DAMAGED; /* of what the checkpoint says is there */
    }
    if (status == STATUS_DAMAGED)
        log_rebuild(type->name, ret_detail->text);
    if (status == STATUS_DAMAGED || status == STATUS_NOT_FOUND)
        return anew(store, type, log, options, ret_start, ret_detail);
    if (status != STATUS_OK)
        return status;
    ret_start->mark = (struct fold_mark){.position = checkpoint.position,
                                         .anchors = {checkpoint.anchors[0], checkpoint.anchors[1]}};
    return STATUS_OK;
}

enum status keeper_since(struct store *store, const struct fold_options *options,
                         uint64_t *ret_since, struct detail *ret_detail)
{
    char *policy = malloc(POLICY_TEXT_BYTES_MAX);
    if (policy == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a policy");
    uint64_t since = 0;
    for (uint32_t i = 0; i < options->type_count; i++) {
        struct checkpoint checkpoint;
        enum status status =
            checkpoint_read(store, options->types[i]->name, &checkpoint, policy, NULL);
        if (status == STATUS_OK && checkpoint.since > since)
            since = checkpoint.since; /* others are made anew: keeper_load says why */
    }
    free(policy);
    *ret_since = since;
    return STATUS_OK;
}

enum status keeper_load(struct store *store, const struct follower_log *log,
                        const struct fold_options *options, struct fold_start *ret_starts,
                        struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < options->type_count && status == STATUS_OK; i++) {
        ret_starts[i].policy = malloc(POLICY_TEXT_BYTES_MAX);
        if (ret_starts[i].policy == NULL)
            return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a policy");
        status = load_view(store, log, options, i, &ret_starts[i], ret_detail);
    }
    return status;
}

void keeper_starts_fini(struct fold_start *starts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rows_destroy(&starts[i].rows);
        free(starts[i].policy);
        starts[i].policy = NULL;
    }
}

/* --- snapshots --- */

/* The first `count` of those that wait. */
static void drop_snapshots(struct kept_view *view, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        snapshot_fini(&view->snapshots[i]);
    view->snapshot_count -= count;
    memmove(view->snapshots, view->snapshots + count,
            view->snapshot_count * sizeof *view->snapshots);
}

static void take_snapshot(struct keeper *keeper, uint32_t place)
{
    struct kept_view *view = &keeper->views[place];
    struct rows *rows = fold_view_rows(keeper->fold, place);
    uint64_t event_id = fold_position(keeper->fold).event_id;
    uint64_t share = (uint64_t)SNAPSHOT_ROWS_SHARE * rows_count(rows);
    uint64_t every = share > keeper->snapshot_every ? share : keeper->snapshot_every;
    if (event_id < view->snapshot_event_id + every || fold_view_is_ahead(keeper->fold, place) ||
        view->snapshot_count == SNAPSHOTS_WAITING_MAX)
        return;
    struct snapshot *snapshot = &view->snapshots[view->snapshot_count];
    if (snapshot_take(keeper->fold, rows, &keeper->packed, snapshot) == STATUS_OK)
        view->snapshot_count++;
    if (keeper->packed.capacity > PACKED_KEPT_BYTES_MAX)
        buffer_fini(&keeper->packed);
    view->snapshot_event_id = event_id;
}

static enum status write_snapshots(struct keeper *keeper, uint32_t place, struct detail *ret_detail)
{
    struct kept_view *view = &keeper->views[place];
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < view->snapshots_in && status == STATUS_OK; i++)
        status = snapshot_write(keeper->store, fold_view_type(keeper->fold, place),
                                &view->snapshots[i], ret_detail);
    return status;
}

/* --- lifecycle --- */

static enum status open_tables(struct keeper *keeper, struct detail *ret_detail)
{
    enum status status = store_begin(keeper->store, ret_detail);
    for (uint32_t i = 0; i < fold_view_count(keeper->fold) && status == STATUS_OK; i++)
        status = snapshot_newest(keeper->store, fold_view_type(keeper->fold, i)->name,
                                 &keeper->views[i].snapshot_event_id, ret_detail);
    for (uint32_t i = 0; i < fold_view_count(keeper->fold) && status == STATUS_OK; i++)
        status = view_table_open(keeper->store, fold_view_type(keeper->fold, i),
                                 &keeper->views[i].table, ret_detail);
    if (status == STATUS_OK)
        status = store_commit(keeper->store, ret_detail);
    store_roll_back(keeper->store);
    return status;
}

enum status keeper_open(const struct keeper_options *options, struct keeper **ret_keeper,
                        struct detail *ret_detail)
{
    enum status status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the database");
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return status;
    keeper->store = options->store;
    keeper->fold = options->fold;
    keeper->log_id = options->log_id;
    buffer_init(&keeper->packed, SNAPSHOT_BYTES_MAX);
    keeper->snapshot_every =
        options->snapshot_every > 0 ? options->snapshot_every : SNAPSHOT_EVERY_EVENTS;
    keeper->policy = malloc(POLICY_TEXT_BYTES_MAX);
    keeper->views = calloc(FOLD_VIEWS_MAX, sizeof *keeper->views);
    if (keeper->policy == NULL || keeper->views == NULL)
        goto out;
    for (uint32_t i = 0; i < FOLD_VIEWS_MAX; i++)
        buffer_init(&keeper->views[i].taken, TAKEN_BYTES_MAX);
    keeper->ended_ns = clock_boot_ns();
    keeper->taken_at = keeper->kept_at = fold_position(options->fold);
    status = open_tables(keeper, ret_detail);
out:
    if (status == STATUS_OK)
        *ret_keeper = keeper;
    else
        keeper_close(&keeper);
    return status;
}

void keeper_close(struct keeper **keeper)
{
    struct keeper *old = *keeper;
    if (old == NULL)
        return;
    for (uint32_t i = 0; old->views != NULL && i < FOLD_VIEWS_MAX; i++) {
        view_table_close(&old->views[i].table);
        buffer_fini(&old->views[i].taken);
        drop_snapshots(&old->views[i], old->views[i].snapshot_count);
    }
    buffer_fini(&old->packed);
    free(old->views);
    free(old->policy);
    free(old);
    *keeper = NULL;
}

void keeper_invite(struct keeper *keeper, const struct keeper_guest *guest)
{
    keeper->guest = *guest;
}

void keeper_watch(struct keeper *keeper, keeper_kept_fn *kept, void *owner)
{
    keeper->kept = kept;
    keeper->kept_owner = owner;
}

/* --- a checkpoint --- */

static enum status write_rows(struct kept_view *view, uint32_t rows_max, struct detail *ret_detail)
{
    enum status status = view_table_write(view->table, &view->left, rows_max, ret_detail);
    if (view->left.size == 0)
        buffer_clear(&view->taken);
    return status;
}

/* Takes the view's changes. What does not fit is written on the spot. */
static enum status take_view(struct keeper *keeper, uint32_t place, struct detail *ret_detail)
{
    struct kept_view *view = &keeper->views[place];
    struct rows *rows = fold_view_rows(keeper->fold, place);
    struct fold_mark mark = fold_mark(keeper->fold);
    enum status status = STATUS_OK;
    view->is_in = !fold_view_is_ahead(keeper->fold, place);
    view->snapshots_in = view->is_in ? view->snapshot_count : 0;
    if (!view->is_in)
        return STATUS_OK; /* nothing is new since the checkpoint that it has */
    view->checkpoint = (struct checkpoint){.kind = KIND,
                                           .log_id = keeper->log_id,
                                           .position = mark.position,
                                           .anchors = {mark.anchors[0], mark.anchors[1]},
                                           .since = fold_since(keeper->fold),
                                           .left_out = rows_left_out(rows),
                                           .digest = rows_digest(rows),
                                           .policy = keeper->policy};
    view_table_format(fold_view_type(keeper->fold, place), view->checkpoint.format);
    buffer_clear(&view->taken);
    do {
        status = rows_take_changes(rows, &view->taken);
        view->left = buffer_slice(&view->taken);
        if (status == STATUS_OK && rows_unsaved(rows) > 0)
            status = write_rows(view, UINT32_MAX, ret_detail);
    } while (status == STATUS_OK && rows_unsaved(rows) > 0);
    return status;
}

static enum status take(struct keeper *keeper, struct detail *ret_detail)
{
    const char *policy = fold_policy(keeper->fold);
    memcpy(keeper->policy, policy, strlen(policy) + 1);
    keeper->taken_at = fold_position(keeper->fold);
    keeper->is_writing = true;
    keeper->cost_ns = 0;
    enum status status = store_begin(keeper->store, ret_detail);
    for (uint32_t i = 0; i < fold_view_count(keeper->fold) && status == STATUS_OK; i++)
        status = take_view(keeper, i, ret_detail);
    return status;
}

static bool has_rows_left(const struct keeper *keeper)
{
    for (uint32_t i = 0; i < fold_view_count(keeper->fold); i++)
        if (keeper->views[i].is_in && keeper->views[i].left.size > 0)
            return true;
    return false;
}

static enum status write_portion(struct keeper *keeper, uint32_t rows_max,
                                 struct detail *ret_detail)
{
    for (uint32_t i = 0; i < fold_view_count(keeper->fold); i++)
        if (keeper->views[i].is_in && keeper->views[i].left.size > 0)
            return write_rows(&keeper->views[i], rows_max, ret_detail);
    return STATUS_OK;
}

static enum status commit(struct keeper *keeper, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < fold_view_count(keeper->fold) && status == STATUS_OK; i++)
        if (keeper->views[i].is_in)
            status = checkpoint_write(keeper->store, fold_view_type(keeper->fold, i)->name,
                                      &keeper->views[i].checkpoint, ret_detail);
    if (status == STATUS_OK && keeper->guest.write != NULL)
        status = keeper->guest.write(keeper->guest.owner, ret_detail);
    for (uint32_t i = 0; i < fold_view_count(keeper->fold) && status == STATUS_OK; i++)
        status = write_snapshots(keeper, i, ret_detail);
    if (status == STATUS_OK)
        status = store_commit(keeper->store, ret_detail);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < fold_view_count(keeper->fold); i++)
        drop_snapshots(&keeper->views[i], keeper->views[i].snapshots_in);
    if (keeper->has_problem)
        log_info("the views are kept again", NULL);
    keeper->has_problem = false;
    keeper->is_writing = false;
    keeper->kept_at = keeper->taken_at;
    if (keeper->guest.committed != NULL)
        keeper->guest.committed(keeper->guest.owner);
    return STATUS_OK;
}

/* All rows have to be written again, for what was taken is lost. */
static void start_over(struct keeper *keeper)
{
    keeper->is_writing = false;
    keeper->taken_at = keeper->kept_at;
    for (uint32_t i = 0; i < fold_view_count(keeper->fold); i++) {
        rows_unsave(fold_view_rows(keeper->fold, i));
        buffer_clear(&keeper->views[i].taken);
        keeper->views[i].left = (struct slice){NULL, 0};
    }
}

static void give_up(struct keeper *keeper, const struct detail *why)
{
    store_roll_back(keeper->store);
    start_over(keeper);
    if (keeper->guest.lost != NULL)
        keeper->guest.lost(keeper->guest.owner);
    if (!keeper->has_problem)
        log_error("the views cannot be kept; they go on in memory, and it is tried again",
                  "why=\"%s\"", why->text);
    keeper->has_problem = true;
    keeper->problem = *why;
}

void keeper_lose(struct keeper *keeper)
{
    if (keeper->is_writing)
        start_over(keeper);
}

static bool has_news(const struct keeper *keeper)
{
    struct fold_position position = fold_position(keeper->fold);
    return position.event_id != keeper->taken_at.event_id ||
           position.rejection_id != keeper->taken_at.rejection_id ||
           (keeper->guest.has_news != NULL && keeper->guest.has_news(keeper->guest.owner));
}

static enum status step(struct keeper *keeper, uint32_t rows_max, struct detail *ret_detail)
{
    if (!keeper->is_writing)
        return take(keeper, ret_detail);
    if (has_rows_left(keeper))
        return write_portion(keeper, rows_max, ret_detail);
    return commit(keeper, ret_detail);
}

/* One step of a checkpoint, and what it cost. */
static enum status work(struct keeper *keeper, uint32_t rows_max, struct detail *ret_detail)
{
    uint64_t begin_ns = clock_boot_ns();
    enum status status = step(keeper, rows_max, ret_detail);
    keeper->cost_ns += clock_boot_ns() - begin_ns;
    if (status == STATUS_OK && !keeper->is_writing && keeper->kept != NULL)
        keeper->kept(keeper->kept_owner, keeper->cost_ns);
    return status;
}

/* What the next checkpoint is expected to cost counts as what the last one did: many rows that all
 * change, as while a projector catches up, are not written every second. */
static uint64_t next_ns(const struct keeper *keeper)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < fold_view_count(keeper->fold); i++)
        rows += rows_unsaved(fold_view_rows(keeper->fold, i));
    uint64_t expected_ns = rows * ROW_COST_NS * COST_SHARE;
    if (expected_ns > EXPECTED_PAUSE_NS_MAX)
        expected_ns = EXPECTED_PAUSE_NS_MAX;
    return keeper->ended_ns + (expected_ns > keeper->pause_ns ? expected_ns : keeper->pause_ns);
}

void keeper_turn(struct keeper *keeper, uint64_t now_ns)
{
    struct detail detail = {.text = ""};
    for (uint32_t i = 0; i < fold_view_count(keeper->fold); i++)
        take_snapshot(keeper, i);
    if (!keeper->is_writing && (now_ns < next_ns(keeper) || !has_news(keeper)))
        return;
    enum status status = work(keeper, PORTION_ROWS, &detail);
    if (status != STATUS_OK)
        give_up(keeper, &detail);
    if (!keeper->is_writing) {
        uint64_t pause_ns = COST_SHARE * keeper->cost_ns;
        keeper->pause_ns = pause_ns > KEEPER_EVERY_NS ? pause_ns : KEEPER_EVERY_NS;
        keeper->ended_ns = clock_boot_ns();
    }
}

uint64_t keeper_due_ns(const struct keeper *keeper)
{
    if (keeper->is_writing)
        return 0;
    return has_news(keeper) ? next_ns(keeper) : UINT64_MAX;
}

void keeper_finish(struct keeper *keeper)
{
    struct detail detail = {.text = ""};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (keeper->is_writing || has_news(keeper)))
        status = work(keeper, UINT32_MAX, &detail);
    if (status != STATUS_OK)
        give_up(keeper, &detail);
}

const char *keeper_problem(const struct keeper *keeper)
{
    return keeper->has_problem ? keeper->problem.text : NULL;
}

struct fold_position keeper_position(const struct keeper *keeper)
{
    return keeper->kept_at;
}
