/* fold: the projector's state: views, the position they show, and the policies in force there.
 *
 *   views      one per type that was asked for
 *   position   last event id, last rejection id, newest log time
 *   policies   those of the log's genesis, then as events of type weir.policy_changed say
 *
 * Views that were kept may stand at different positions: the fold then begins at the lowest, and a
 * view sees nothing of what it has seen.
 *
 * fold_apply is the only function that changes it. Records come whole and in order (follow sees to
 * that) and in groups, so that views can overlap their cache misses. No I/O, no clock. Not
 * thread-safe.
 */
#ifndef WEIR_PROJECTOR_CORE_FOLD_H
#define WEIR_PROJECTOR_CORE_FOLD_H

#include "common/wire/control.h"
#include "projector/views/view.h"

enum { FOLD_VIEWS_MAX = 64, FOLD_STREAMS = 2 };

struct fold_position {
    uint64_t event_id;     /* last one applied; 0: none */
    uint64_t rejection_id; /* last one applied; 0: none */
    uint64_t time_ns;      /* log time of the newest record applied; 0: none */
};

/* How far one view is: where it stands, and the hashes (hash_content) of the last records before.
 */
struct fold_mark {
    struct fold_position position;
    uint64_t anchors[FOLD_STREAMS]; /* by enum stream; 0: unknown, none was applied yet */
};

/* A view that was kept. */
struct fold_start {
    struct rows *rows;     /* the fold takes them over, also where it fails; NULL: empty, from the
                              mark */
    struct fold_mark mark; /* all zero: the log's beginning */
    char *policy;          /* INI, in force there; stays the caller's */
};

struct fold;

/* Views of another kind beside those of the fold: they hear what it hears, and answer for
 * themselves. Those in SQL are so. */
struct fold_guest {
    void *owner;
    /* Every group of accepted records, in order. */
    void (*accepted)(void *owner, const struct accepted_record *records, uint32_t count);
    uint32_t (*count)(void *owner);
    const char *(*name)(void *owner, uint32_t view);
    /* What makes it what it is, so that it can be made again for an earlier moment; size 0: it does
     * not answer. Valid until the guest is told of more. */
    struct slice (*text)(void *owner, uint32_t view);
    /* What is wrong with it, for people; NULL: nothing. */
    const char *(*problem)(void *owner, uint32_t view);
    /* Its rows; 0 where there is no version of it. */
    uint64_t (*rows)(void *owner, uint32_t view);
    /* Appends the whole reply to the request; `position` is the fold's. */
    void (*answer)(void *owner, uint32_t view, const struct control_request *asked,
                   const struct fold_position *position, struct buffer *reply);
};

struct fold_options {
    const struct view_type *const *types;
    uint32_t type_count;       /* ≤ FOLD_VIEWS_MAX */
    const char *policy;        /* the log's genesis policy, INI */
    struct fold_start *starts; /* type_count of them, or, of no types, the one where the fold itself
                                  begins; NULL: all from the beginning */
    struct hash_seed seed;
    uint64_t since; /* views are shown the events from this id on, and the rejections whose
                       after_event_id is ≥ since − 1; 0 or 1: all */
};

/* CONFIG for a policy that cannot be read; NO_MEMORY. */
MUST_USE enum status fold_new(const struct fold_options *options, struct fold **ret_fold,
                              struct detail *ret_detail);
void fold_destroy(struct fold **fold);

/* The one guest, from now on. */
void fold_invite(struct fold *fold, const struct fold_guest *guest);
/* NULL: there is none. */
const struct fold_guest *fold_guest(const struct fold *fold);

/* Applies exactly `count` ≥ 1 records, which are all of `records`, and gives the hash
 * (hash_content) of the last. DAMAGED: bytes that are no such records, or not the ones that come
 * next. CONFIG: a policy that this version cannot read. On failure the fold is not to be used any
 * more. */
MUST_USE enum status fold_apply(struct fold *fold, enum stream stream, struct slice records,
                                uint64_t count, uint64_t *ret_last_hash, struct detail *ret_detail);

/* The event that the views begin with; 1: the log's first. */
uint64_t fold_since(const struct fold *fold);
struct fold_position fold_position(const struct fold *fold);
/* The same with the hashes of the last records. */
struct fold_mark fold_mark(const struct fold *fold);
/* INI text of the policies in force at the position. */
const char *fold_policy(const struct fold *fold);
/* What the rows of a view show: further than the fold's own position where the fold has yet to
 * reach the one that the view was kept at. */
struct fold_position fold_view_position(const struct fold *fold, uint32_t view);
/* Is that so? */
bool fold_view_is_ahead(const struct fold *fold, uint32_t view);
uint32_t fold_view_count(const struct fold *fold);
const struct view_type *fold_view_type(const struct fold *fold, uint32_t view);
struct rows *fold_view_rows(struct fold *fold, uint32_t view);
/* The number of the view with this name; fold_view_count if there is none. */
uint32_t fold_view_find(const struct fold *fold, struct slice name);
/* Can a view of this name be made for an earlier moment? `ret_text`: of a guest's; size 0: it is
 * one of the fold's own. */
bool fold_view_text(const struct fold *fold, struct slice name, struct slice *ret_text);
/* Events and rejections that found no room in some view (rows_left_out, summed up). */
uint64_t fold_left_out(const struct fold *fold);

/* How many events of an old schema version could not be migrated and were shown to the views as
 * they are (upcast.h), and the id of the last. */
uint64_t fold_not_migrated(const struct fold *fold, uint64_t *ret_last_id);

#endif
