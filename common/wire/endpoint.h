/* endpoint: where the sockets are. A run folder (mode 0700) holds ipc sockets; each can be
 * overridden.
 *
 * Default run folder: $XDG_RUNTIME_DIR/weir, else /tmp/weir-UID.
 */
#ifndef WEIR_COMMON_WIRE_ENDPOINT_H
#define WEIR_COMMON_WIRE_ENDPOINT_H

#include <stdbool.h>

#include "common/base/status.h"

enum {
    ENDPOINT_BYTES_MAX = 256, /* a whole endpoint, or a run folder, with its NUL */
    IPC_PATH_BYTES_MAX = 107, /* sun_path */
};

struct endpoints {
    char run_dir[ENDPOINT_BYTES_MAX];
    char ingest[ENDPOINT_BYTES_MAX];
    char events[ENDPOINT_BYTES_MAX];
    char control[ENDPOINT_BYTES_MAX];
};

/* What the user gave; NULL where nothing. */
struct endpoint_options {
    const char *run_dir, *ingest, *events, *control, *query;
};

/* Fills the endpoints. CONFIG when a path is too long for ipc or an endpoint is not tcp:// or
 * ipc:// (ipc://@ is refused). */
MUST_USE enum status endpoints_resolve(const struct endpoint_options *options,
                                       struct endpoints *ret_endpoints, struct detail *ret_detail);
/* ipc://RUN_DIR/query-NAME, or the override. */
MUST_USE enum status endpoint_query(const struct endpoint_options *options,
                                    const struct endpoints *endpoints, const char *name,
                                    char ret_endpoint[ENDPOINT_BYTES_MAX],
                                    struct detail *ret_detail);

/* Makes the run folder (0700; its parent must be there) if it is missing. CONFIG if it belongs to
 * someone else, others may write in it, or it is not a folder; IO. */
MUST_USE enum status run_dir_prepare(const char *run_dir, struct detail *ret_detail);

/* Takes an exclusive lock on DIR/NAME.lock (flock; the file holds the pid, for people). The lock
 * lives until the returned descriptor is closed. BUSY, naming the file and the holder's pid; IO. */
MUST_USE enum status lock_file_take(const char *directory, const char *name, int *ret_fd,
                                    struct detail *ret_detail);
/* The holder says in the file's second line where it can be asked; relative ipc paths become
 * absolute. */
void lock_file_note(int fd, const char *endpoint);

struct lock_holder {
    bool held;
    char pid[32];                      /* "?" while it cannot be told */
    char endpoint[ENDPOINT_BYTES_MAX]; /* "": the holder does not say */
};
/* Looks at DIR/NAME.lock without taking it (it is held for a moment, which lock_file_take waits
 * out). No such file: not held. IO. */
MUST_USE enum status lock_file_look(const char *directory, const char *name,
                                    struct lock_holder *ret_holder, struct detail *ret_detail);

#endif
