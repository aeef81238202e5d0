#include "projector/run.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/app/options.h"
#include "common/app/state_dir.h"
#include "common/base/background.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "projector/asof.h"
#include "projector/core/since.h"
#include "projector/follower.h"
#include "projector/http/http.h"
#include "projector/keeper.h"
#include "projector/query_server.h"
#include "projector/sql_runner.h"

#define PROGRAM            "weir-projector"
#define DEFAULT_NAME       "main"
#define SUMMARY_EVERY_NS   (5 * NS_PER_S)
#define LEAVE_NS           (50 * NS_PER_MS) /* of rest */
#define SNAPSHOT_EVERY_MAX 1000000000000ULL /* events */

enum {
    NAME_BYTES_MAX = 32,
    NAMES_TRIED_MAX = 1000, /* main, main-2, … */
    IO_THREADS = 1,
    MESSAGE_BYTES_KEPT = 8 * 1024 * 1024, /* larger pieces are given back when they are freed */
    FREED_BYTES_KEPT = 64 * 1024 * 1024,  /* at the end of the heap; more is given back */
};

struct run_options {
    struct endpoint_options endpoints;
    const char *name;      /* NULL: the first free one */
    const char *views;     /* names with commas between them; NULL: all */
    const char *views_dir; /* of views in SQL; NULL: there are none */
    const char *db;        /* NULL: see database_path */
    const char *http;      /* ADDR:PORT; NULL: no HTTP */
    bool rebuild;
    bool yield;              /* to all other programs, where processors are short */
    uint64_t from_id;        /* 0: not given */
    uint64_t snapshot_every; /* events; 0: not given */
};

/* A running projector; what is NULL was not made yet. */
struct projector {
    char name[NAME_BYTES_MAX + 1];
    int lock_fd; /* −1: none */
    struct follower *follower;
    struct store *store;
    struct fold *fold;
    struct keeper *keeper;
    struct sql_runner *sql; /* NULL: no views in SQL */
    struct asof *asof;
    struct query_server *server;
    struct http *http; /* stays NULL without --http */
    struct log_id log_id;
    const struct view_type *types[FOLD_VIEWS_MAX];
    uint32_t type_count;
    bool was_live;
    uint64_t summary_due_ns;      /* CLOCK_BOOTTIME */
    uint64_t summary_event_id;    /* of the last summary */
    uint64_t summary_at_ns;       /* CLOCK_BOOTTIME */
    uint64_t left_out;            /* as warned of */
    struct background background; /* only where it yields */
    uint64_t rests_until_ns;      /* CLOCK_BOOTTIME; follows nothing before */
    bool has_rested;              /* as told */
};

/* --- options --- */

static enum status take_options(int argc, char **argv, struct run_options *options,
                                struct command *command)
{
    struct option_spec specs[] = {
        {"name", "NAME", "name of this projector (default main, or main-2 and on when taken)",
         OPTION_TEXT, &options->name, 0},
        {"views", "A,B", "only these views (default all)", OPTION_TEXT, &options->views, 0},
        {"views-dir", "DIR", "folder of views in SQL, one .sql file each; may change at any time",
         OPTION_TEXT, &options->views_dir, 0},
        {"db", "FILE",
         "the views' database (default NAME.db in the folder of --run-dir, else in "
         "$XDG_STATE_HOME/weir)",
         OPTION_TEXT, &options->db, 0},
        {"rebuild", NULL, "make the database anew from the log", OPTION_FLAG, &options->rebuild, 0},
        {"from-id", "N",
         "begin with event N, where retention dropped the log's beginning; kept with the database",
         OPTION_UINT, &options->from_id, UINT64_MAX},
        {"snapshot-every", "EVENTS",
         "keep each view for answers as of then, so many events apart at least (default 250000)",
         OPTION_UINT, &options->snapshot_every, SNAPSHOT_EVERY_MAX},
        {"yield", NULL,
         "follow with what others leave of the processors: where they are short, views lag",
         OPTION_FLAG, &options->yield, 0},
        {"http", "ADDR:PORT",
         "serve views, events, metrics and the dashboard over HTTP, such as 127.0.0.1:8080; port "
         "0: "
         "any that is free",
         OPTION_TEXT, &options->http, 0},
        {"query", "ENDPOINT", "override where queries are answered", OPTION_TEXT,
         &options->endpoints.query, 0},
        OPTIONS_ENDPOINTS(options->endpoints),
    };
    command->options = specs;
    command->option_count = sizeof specs / sizeof specs[0];
    enum status status = options_parse(PROGRAM, command, argc, argv, NULL, NULL);
    command->options = NULL;
    command->option_count = 0;
    return status;
}

static bool name_is_good(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t size = strlen(name);
    return size >= 1 && size <= NAME_BYTES_MAX && strchr(letters, name[0]) != NULL &&
           strspn(name + 1, "-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
               size - 1;
}

static enum status no_such_view(const struct command *command, struct slice name)
{
    char names[512] = "";
    for (uint32_t i = 0; i < view_type_count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", view_types[i]->name);
    }
    return options_usage(PROGRAM, command, "--views: no view '%.*s'; there are %s", (int)name.size,
                         (const char *)name.data, names);
}

static bool has_type(const struct projector *projector, const struct view_type *type)
{
    for (uint32_t i = 0; i < projector->type_count; i++)
        if (projector->types[i] == type)
            return true;
    return false;
}

static enum status choose_views(struct projector *projector, const struct command *command,
                                const char *list)
{
    for (uint32_t i = 0; list == NULL && i < view_type_count && i < FOLD_VIEWS_MAX; i++)
        projector->types[projector->type_count++] = view_types[i];
    while (list != NULL) {
        size_t size = strcspn(list, ",");
        struct slice name = {(const uint8_t *)list, size};
        const struct view_type *type = view_type_find(name);
        if (type == NULL)
            return no_such_view(command, name);
        if (!has_type(projector, type) && projector->type_count < FOLD_VIEWS_MAX)
            projector->types[projector->type_count++] = type;
        list = list[size] == ',' ? list + size + 1 : NULL;
    }
    return STATUS_OK;
}

/* --- start and end --- */

static enum status try_name(struct projector *projector, const char *run_dir, const char *name,
                            struct detail *ret_detail)
{
    char lock[sizeof "query-" + NAME_BYTES_MAX];
    snprintf(lock, sizeof lock, "query-%s", name);
    enum status status = lock_file_take(run_dir, lock, &projector->lock_fd, ret_detail);
    if (status == STATUS_OK)
        snprintf(projector->name, sizeof projector->name, "%s", name);
    return status;
}

/* The name that was asked for, or the first free one of main, main-2, …. */
static enum status take_name(struct projector *projector, const char *run_dir, const char *asked,
                             struct detail *ret_detail)
{
    if (asked != NULL)
        return try_name(projector, run_dir, asked, ret_detail);
    char name[NAME_BYTES_MAX + 1] = DEFAULT_NAME;
    enum status status = try_name(projector, run_dir, name, ret_detail);
    for (int i = 2; i <= NAMES_TRIED_MAX && status == STATUS_BUSY; i++) {
        snprintf(name, sizeof name, DEFAULT_NAME "-%d", i);
        status = try_name(projector, run_dir, name, ret_detail);
    }
    return status;
}

/* The views' database: what was asked for; else NAME.db in the run folder that was asked for, where
 * it is easy to find; else in the state folder, for a reboot empties the default run folder. */
static enum status database_path(const struct run_options *options, const char *name,
                                 char ret_path[STORE_PATH_BYTES_MAX], struct detail *ret_detail)
{
    char folder[STATE_DIR_BYTES_MAX];
    int size;
    if (options->db != NULL) {
        size = snprintf(ret_path, STORE_PATH_BYTES_MAX, "%s", options->db);
    } else if (options->endpoints.run_dir != NULL) {
        size =
            snprintf(ret_path, STORE_PATH_BYTES_MAX, "%s/%s.db", options->endpoints.run_dir, name);
    } else {
        enum status status = state_dir_prepare(folder, ret_detail);
        if (status != STATUS_OK)
            return status;
        size = snprintf(ret_path, STORE_PATH_BYTES_MAX, "%s/%s.db", folder, name);
    }
    if (size <= 0 || size >= STORE_PATH_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "the path of the database is empty or too long");
    return STATUS_OK;
}

static enum status open_database(struct projector *projector, const struct run_options *options,
                                 struct detail *ret_detail)
{
    char path[STORE_PATH_BYTES_MAX];
    struct store_options store = {.path = path, .rebuild = options->rebuild};
    enum status status = database_path(options, projector->name, path, ret_detail);
    if (status == STATUS_OK)
        status = store_open(&store, &projector->store, ret_detail);
    return status;
}

/* What the views begin with, by --from-id and the database. */
static enum status choose_since(const struct projector *projector,
                                const struct run_options *options, struct fold_options *fold,
                                struct detail *ret_detail)
{
    uint64_t kept = 0;
    enum status status = keeper_since(projector->store, fold, &kept, ret_detail);
    if (status == STATUS_OK)
        status = since_choose(options->from_id, kept, &fold->since, ret_detail);
    return status;
}

static enum status open_keeper(struct projector *projector, const struct follower_log *log,
                               const struct run_options *run, struct detail *ret_detail)
{
    struct keeper_options options = {.store = projector->store,
                                     .fold = projector->fold,
                                     .log_id = log->log_id,
                                     .snapshot_every = run->snapshot_every};
    return keeper_open(&options, &projector->keeper, ret_detail);
}

/* The views as the database has them, or empty. */
static enum status make_views(struct projector *projector, const struct follower_log *log,
                              const struct run_options *run, struct detail *ret_detail)
{
    struct fold_start *starts = calloc(FOLD_VIEWS_MAX, sizeof *starts);
    if (starts == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the views");
    struct fold_options options = {.types = projector->types,
                                   .type_count = projector->type_count,
                                   .policy = log->policy,
                                   .starts = starts};
    hash_seed_random(&options.seed);
    enum status status = choose_since(projector, run, &options, ret_detail);
    if (status == STATUS_OK)
        status = keeper_load(projector->store, log, &options, starts, ret_detail);
    if (status == STATUS_OK)
        status = fold_new(&options, &projector->fold, ret_detail);
    if (status == STATUS_OK)
        status = open_keeper(projector, log, run, ret_detail);
    keeper_starts_fini(starts, FOLD_VIEWS_MAX);
    free(starts);
    return status;
}

static enum status open_sql(struct projector *projector, const struct endpoints *endpoints,
                            const struct follower_log *log, const char *folder,
                            struct detail *ret_detail)
{
    struct sql_runner_options options = {.folder = folder,
                                         .endpoints = endpoints,
                                         .log = log,
                                         .store = projector->store,
                                         .fold = projector->fold,
                                         .keeper = projector->keeper};
    return folder != NULL ? sql_runner_open(&options, &projector->sql, ret_detail) : STATUS_OK;
}

static enum status join(struct projector *projector, const struct endpoints *endpoints,
                        const struct run_options *options, struct detail *ret_detail)
{
    struct follower_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the log's policy");
    enum status status = follower_open(endpoints, &projector->follower, ret_detail);
    if (status == STATUS_OK)
        status = follower_ask_log(projector->follower, log, ret_detail);
    if (status == STATUS_UNAVAILABLE)
        status = detail_set(ret_detail, status,
                            "no processor answers at %s: start one with 'weir-processor run'",
                            endpoints->control);
    if (status == STATUS_OK)
        status = open_database(projector, options, ret_detail);
    if (status == STATUS_OK)
        status = make_views(projector, log, options, ret_detail);
    if (status == STATUS_OK)
        status = open_sql(projector, endpoints, log, options->views_dir, ret_detail);
    if (status != STATUS_OK)
        goto out;
    projector->log_id = log->log_id;
    uint64_t since = fold_since(projector->fold);
    struct fold_mark first = {.position = {0}}; /* of all; only a snapshot can stand for it */
    if (since >= log->first_event_id)
        first = follower_log_first(log);
    struct asof_options asof = {.endpoints = endpoints,
                                .log_id = log->log_id,
                                .since = since,
                                .first = first,
                                .first_policy = log->first_policy,
                                .database = store_path(projector->store),
                                .types = projector->types,
                                .type_count = projector->type_count};
    status = asof_open(&asof, &projector->asof, ret_detail);
    if (status != STATUS_OK)
        goto out;
    follower_start(projector->follower, &log->log_id, projector->fold);
out:
    free(log);
    return status;
}

static void answer_http(void *owner, struct slice request, struct buffer *reply)
{
    struct projector *projector = owner;
    answer(projector->fold, &projector->log_id, request, reply);
}

static enum status answer_http_then(void *owner, const struct control_request *request,
                                    http_told_fn *tell, void *tell_owner)
{
    struct projector *projector = owner;
    struct slice text;
    if (!fold_view_text(projector->fold, request->view, &text))
        return STATUS_NOT_FOUND;
    struct asof_question question = {.view = request->view,
                                     .text = text,
                                     .at = request->at,
                                     .event_id = request->at_event_id,
                                     .time_ns = request->time_ns};
    return asof_ask(projector->asof, &question, tell, tell_owner);
}

static void note_checkpoint(void *owner, uint64_t took_ns)
{
    struct projector *projector = owner;
    http_note_checkpoint(projector->http, keeper_position(projector->keeper).event_id, took_ns);
}

static enum status open_http(struct projector *projector, const char *address,
                             const struct endpoints *endpoints, struct detail *ret_detail)
{
    struct http_options options = {.address = address,
                                   .name = projector->name,
                                   .endpoints = endpoints,
                                   .log_id = projector->log_id,
                                   .kept_event_id = keeper_position(projector->keeper).event_id,
                                   .fold = projector->fold,
                                   .follower = projector->follower,
                                   .ask = answer_http,
                                   .ask_then = answer_http_then,
                                   .ask_owner = projector};
    enum status status = http_open(&options, &projector->http, ret_detail);
    if (status == STATUS_OK)
        keeper_watch(projector->keeper, note_checkpoint, projector);
    return status;
}

static enum status start(struct projector *projector, const struct run_options *options,
                         struct detail *ret_detail)
{
    struct endpoints endpoints;
    char query[ENDPOINT_BYTES_MAX];
    enum status status = lifecycle_start(ret_detail);
    if (status == STATUS_OK)
        status = endpoints_resolve(&options->endpoints, &endpoints, ret_detail);
    if (status == STATUS_OK)
        status = run_dir_prepare(endpoints.run_dir, ret_detail);
    if (status == STATUS_OK)
        status = take_name(projector, endpoints.run_dir, options->name, ret_detail);
    if (status == STATUS_OK)
        status =
            endpoint_query(&options->endpoints, &endpoints, projector->name, query, ret_detail);
    if (status == STATUS_OK)
        status = socket_setup(IO_THREADS, ret_detail);
    if (status == STATUS_OK)
        status = join(projector, &endpoints, options, ret_detail);
    if (status == STATUS_OK)
        status = query_server_open(query, &projector->server, ret_detail);
    if (status == STATUS_OK && options->http != NULL)
        status = open_http(projector, options->http, &endpoints, ret_detail);
    return status;
}

static void finish(struct projector *projector)
{
    asof_close(&projector->asof);
    http_close(&projector->http);
    query_server_close(&projector->server);
    sql_runner_close(&projector->sql);
    keeper_close(&projector->keeper);
    follower_close(&projector->follower);
    fold_destroy(&projector->fold);
    store_close(&projector->store);
    socket_teardown();
    background_end(&projector->background);
    if (projector->lock_fd >= 0)
        close(projector->lock_fd);
}

/* --- what is logged --- */

static void log_summary(struct projector *projector, uint64_t now_ns)
{
    struct fold_position position = fold_position(projector->fold);
    struct follower_progress progress = follower_progress(projector->follower);
    double seconds = (double)(now_ns - projector->summary_at_ns) / (double)NS_PER_S;
    double rate = (double)(position.event_id - projector->summary_event_id) / seconds;
    log_info("summary",
             "events_per_s=%.0f event_id=%" PRIu64 " rejection_id=%" PRIu64 " behind=%" PRIu64
             " live=%s replays=%" PRIu64,
             rate, position.event_id, position.rejection_id,
             progress.newest_event_id - position.event_id, progress.live ? "yes" : "no",
             progress.replays);
    projector->summary_event_id = position.event_id;
    projector->summary_at_ns = now_ns;
    projector->summary_due_ns = now_ns + SUMMARY_EVERY_NS;
}

static void log_changes(struct projector *projector, uint64_t now_ns)
{
    if (!projector->was_live && follower_progress(projector->follower).live) {
        projector->was_live = true;
        struct fold_position position = fold_position(projector->fold);
        log_info("caught up", "event_id=%" PRIu64 " rejection_id=%" PRIu64, position.event_id,
                 position.rejection_id);
    }
    uint64_t left_out = fold_left_out(projector->fold);
    if (left_out > 0 && projector->left_out == 0)
        log_warn("a view is full: new keys are counted as left_out, not shown", "rows_max=%d",
                 ROWS_MAX);
    projector->left_out = left_out;
    if (now_ns >= projector->summary_due_ns) {
        log_summary(projector, now_ns);
        follower_announce(projector->follower, projector->name);
    }
}

/* --- the loop --- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static bool is_resting(const struct projector *projector, uint64_t now_ns)
{
    return now_ns < projector->rests_until_ns;
}

static int wait_ms(const struct projector *projector, uint64_t now_ns)
{
    uint64_t due_ns = earlier(projector->summary_due_ns, keeper_due_ns(projector->keeper));
    if (is_resting(projector, now_ns))
        due_ns = earlier(due_ns, projector->rests_until_ns);
    else
        due_ns = earlier(due_ns, follower_due_ns(projector->follower));
    if (projector->sql != NULL && !is_resting(projector, now_ns))
        due_ns = earlier(due_ns, sql_runner_due_ns(projector->sql));
    if (projector->http != NULL)
        due_ns = earlier(due_ns, http_due_ns(projector->http));
    return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

/* Until something has come or is due. What is followed is not looked at while it rests. */
static enum status wait_for_work(const struct projector *projector, struct detail *ret_detail)
{
    struct socket_wait items[4 + FOLLOWER_SOCKETS + HTTP_SOCKETS] = {
        {.fd = lifecycle_fd()},
        {.socket = query_server_socket(projector->server)},
        {.fd = asof_fd(projector->asof)}};
    int count = 3;
    uint64_t now_ns = clock_boot_ns();
    if (!is_resting(projector, now_ns)) {
        count += follower_wait_on(projector->follower, items + count);
        if (projector->sql != NULL)
            items[count++] = (struct socket_wait){.socket = sql_runner_socket(projector->sql)};
    }
    if (projector->http != NULL) {
        http_wait_on(projector->http, items + count);
        count += HTTP_SOCKETS;
    }
    enum status status = socket_wait(items, count, wait_ms(projector, now_ns));
    if (status == STATUS_OK || status == STATUS_TIMED_OUT || status == STATUS_INTERRUPTED)
        return STATUS_OK;
    return detail_set(ret_detail, status, "cannot wait on the sockets");
}

/* Where it yields and had to wait for a processor, the others come first for a while. */
static void rest(struct projector *projector)
{
    uint64_t now_ns = clock_boot_ns();
    const uint64_t rest_ns = background_rest_ns(&projector->background, now_ns);
    projector->rests_until_ns = now_ns + rest_ns;
    if (rest_ns >= LEAVE_NS)
        follower_leave(projector->follower);
    if (is_resting(projector, now_ns) && !projector->has_rested) {
        projector->has_rested = true;
        log_info("processors are short: this projector rests in between, and its views lag",
                 "name=%s", projector->name);
    }
}

static enum status follow(struct projector *projector, uint64_t now_ns, struct detail *ret_detail)
{
    if (is_resting(projector, now_ns))
        return STATUS_OK;
    enum status status = follower_turn(projector->follower, now_ns, ret_detail);
    if (projector->sql != NULL)
        sql_runner_turn(projector->sql, now_ns);
    rest(projector);
    return status;
}

static enum status serve(struct projector *projector, struct detail *ret_detail)
{
    projector->summary_at_ns = clock_boot_ns();
    projector->summary_due_ns = projector->summary_at_ns + SUMMARY_EVERY_NS;
    follower_announce(projector->follower, projector->name);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !lifecycle_stopping()) {
        status = wait_for_work(projector, ret_detail);
        uint64_t now_ns = clock_boot_ns();
        if (status == STATUS_OK)
            status = follow(projector, now_ns, ret_detail);
        query_server_turn(projector->server, projector->fold, &projector->log_id, projector->asof);
        asof_turn(projector->asof);
        if (projector->http != NULL)
            http_turn(projector->http, clock_boot_ns());
        keeper_turn(projector->keeper, clock_boot_ns());
        log_changes(projector, now_ns);
    }
    return status;
}

/* A replay comes in messages of up to a megabyte, each in memory of its own: what was freed stays
 * for the next one, else the kernel takes its pages back and clears them again. */
static void keep_freed_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MESSAGE_BYTES_KEPT);
    (void)mallopt(M_TRIM_THRESHOLD, FREED_BYTES_KEPT);
}

int run_main(int argc, char **argv)
{
    struct command command = {
        .name = "run",
        .help = "follow the processor's log from its first event, keep the views, answer queries"};
    struct run_options options = {0};
    struct projector projector = {.lock_fd = -1, .background.statistics = -1};
    struct detail detail = {.text = ""};
    enum status status = take_options(argc, argv, &options, &command);
    if (status == STATUS_OK && options.name != NULL && !name_is_good(options.name))
        status = options_usage(PROGRAM, &command, "--name: 1 to %d of A-Z a-z 0-9 - _ .",
                               NAME_BYTES_MAX);
    if (status == STATUS_OK)
        status = choose_views(&projector, &command, options.views);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);

    keep_freed_memory();
    store_set_up_process();
    if (options.yield) {
        background_begin_session();
        background_begin(&projector.background);
    }
    status = start(&projector, &options, &detail);
    if (status == STATUS_OK) {
        log_info("ready", "name=%s views=%" PRIu32 " event_id=%" PRIu64 " db=%s http=%s",
                 projector.name, projector.type_count, fold_position(projector.fold).event_id,
                 store_path(projector.store),
                 projector.http != NULL ? http_address(projector.http) : "off");
        status = serve(&projector, &detail);
        keeper_finish(projector.keeper);
        log_info("stopped", "event_id=%" PRIu64, fold_position(projector.fold).event_id);
    }
    finish(&projector);
    return status == STATUS_OK || status == STATUS_INTERRUPTED
               ? EXIT_CODE_DONE
               : lifecycle_fail(PROGRAM, status, &detail);
}
