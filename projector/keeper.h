/* keeper: keeps the built-in views in the database, and gives them back at the next start.
 *
 * A checkpoint is the rows of all views at one moment and how far they were. What changed since the
 * last one is taken at once, between two pieces of log; then it is written in portions, between the
 * turns of the main loop, and committed together. So following goes on, and a kill at any moment
 * leaves one checkpoint or the other. The next begins not before KEEPER_EVERY_NS, nor before 29
 * times as long as the last one took to write, nor before 29 times as long as the rows that changed
 * will take by their number, 10 s at most: keeping costs a thirtieth of the time, also while all
 * rows change as fast as can be.
 *
 * Now and then a view is also kept as it is, for answers as of then (store/snapshot.h): at least
 * SNAPSHOT_EVERY_EVENTS and SNAPSHOT_ROWS_SHARE events per row apart, so that what packing them
 * costs per event does not grow with the views.
 *
 * A database that cannot be written (full disk) does not stop the views; it is tried again.
 * Belongs to one thread, that of the store.
 */
#ifndef WEIR_PROJECTOR_KEEPER_H
#define WEIR_PROJECTOR_KEEPER_H

#include "common/base/clock.h"
#include "projector/follower.h"
#include "projector/store/store.h"

#define KEEPER_EVERY_NS (1 * NS_PER_S)

enum {
    SNAPSHOT_EVERY_EVENTS = 250000, /* unless options say otherwise */
    SNAPSHOT_ROWS_SHARE = 3,
    SNAPSHOTS_WAITING_MAX = 256, /* of one view, between two checkpoints; more are not taken */
};

struct keeper;

/* Loads what the database has of each view, as the starts of a fold to be made: `ret_starts` has
 * options->type_count places, all zero. A view that was made by another version, is damaged or was
 * never kept starts from options->since, and the log says so. FENCED: the database was made from
 * another log. DAMAGED: it is ahead of this log. GONE: the log lacks what a view needs. IO,
 * NO_MEMORY. */
MUST_USE enum status keeper_load(struct store *store, const struct follower_log *log,
                                 const struct fold_options *options, struct fold_start *ret_starts,
                                 struct detail *ret_detail);
/* The event that the views in the database begin with; 0: it has none. */
MUST_USE enum status keeper_since(struct store *store, const struct fold_options *options,
                                  uint64_t *ret_since, struct detail *ret_detail);
void keeper_starts_fini(struct fold_start *starts, uint32_t count);

struct keeper_options {
    struct store *store;
    struct fold *fold; /* made from the starts of keeper_load; outlives the keeper */
    struct log_id log_id;
    uint64_t snapshot_every; /* events; 0: SNAPSHOT_EVERY_EVENTS */
};
MUST_USE enum status keeper_open(const struct keeper_options *options, struct keeper **ret_keeper,
                                 struct detail *ret_detail);
void keeper_close(struct keeper **keeper);

/* Who else writes in the keeper's transactions, which it opens or finds open. */
struct keeper_guest {
    void *owner;
    bool (*has_news)(void *owner); /* is there something to commit? */
    enum status (*write)(void *owner, struct detail *ret_detail); /* just before a commit */
    void (*committed)(void *owner);
    void (*lost)(void *owner); /* the transaction was rolled back */
};
/* The one guest, from now on. */
void keeper_invite(struct keeper *keeper, const struct keeper_guest *guest);
/* The guest's failure rolled the transaction back. */
void keeper_lose(struct keeper *keeper);

/* Calls `kept` after each checkpoint that is committed, with the time that the thread spent on it;
 * one watcher, NULL: none. */
typedef void keeper_kept_fn(void *owner, uint64_t took_ns);
void keeper_watch(struct keeper *keeper, keeper_kept_fn *kept, void *owner);

/* Does what is due, a bounded piece of work. `now_ns`: CLOCK_BOOTTIME. */
void keeper_turn(struct keeper *keeper, uint64_t now_ns);
/* When keeper_turn has something to do, if records have come; CLOCK_BOOTTIME. */
uint64_t keeper_due_ns(const struct keeper *keeper);
/* A last checkpoint, all at once. */
void keeper_finish(struct keeper *keeper);

/* Why nothing is kept at the moment; NULL: all is well. */
const char *keeper_problem(const struct keeper *keeper);
/* The position of the newest checkpoint of this run. */
struct fold_position keeper_position(const struct keeper *keeper);

#endif
