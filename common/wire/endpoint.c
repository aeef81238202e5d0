#include "common/wire/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IPC_SCHEME "ipc://"
#define TCP_SCHEME "tcp://"

enum {
    SCHEME_BYTES = 6,
    LOCK_PATH_BYTES_MAX = 4096,
    FOLDER_BYTES_MAX = 4096,
    PID_TEXT_BYTES = 32,
    LOCK_ATTEMPTS = 50,
    LOCK_ATTEMPT_EVERY_NS = 1000000,
};

/* --- endpoints --- */

static enum status check_ipc(const char *endpoint, struct detail *ret_detail)
{
    const char *path = endpoint + SCHEME_BYTES;
    if (path[0] == '@' || path[0] == '*')
        return detail_set(ret_detail, STATUS_CONFIG,
                          "endpoint %s: an ipc endpoint is a path, so that the folder guards it",
                          endpoint);
    if (strlen(path) > IPC_PATH_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "endpoint %s: an ipc path has at most %d bytes; use a shorter --run-dir",
                          endpoint, IPC_PATH_BYTES_MAX);
    return STATUS_OK;
}

static enum status check_endpoint(const char *endpoint, struct detail *ret_detail)
{
    if (strlen(endpoint) >= ENDPOINT_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "endpoint %.40s...: longer than %d bytes",
                          endpoint, ENDPOINT_BYTES_MAX - 1);
    bool ipc = strncmp(endpoint, IPC_SCHEME, SCHEME_BYTES) == 0;
    bool tcp = strncmp(endpoint, TCP_SCHEME, SCHEME_BYTES) == 0;
    if ((!ipc && !tcp) || endpoint[SCHEME_BYTES] == '\0')
        return detail_set(ret_detail, STATUS_CONFIG,
                          "endpoint %s: it has to be tcp://HOST:PORT or ipc://PATH", endpoint);
    return ipc ? check_ipc(endpoint, ret_detail) : STATUS_OK;
}

/* The override, or the socket `name` in the run folder; checked. */
static enum status fill_endpoint(const char *override, const char *run_dir, const char *name,
                                 char ret_endpoint[ENDPOINT_BYTES_MAX], struct detail *ret_detail)
{
    char text[2 * ENDPOINT_BYTES_MAX];
    int length = override != NULL ? snprintf(text, sizeof text, "%s", override)
                                  : snprintf(text, sizeof text, IPC_SCHEME "%s/%s", run_dir, name);
    if (length < 0 || (size_t)length >= sizeof text)
        return detail_set(ret_detail, STATUS_CONFIG, "the endpoint of %s is too long", name);
    enum status status = check_endpoint(text, ret_detail);
    if (status != STATUS_OK)
        return status;
    memcpy(ret_endpoint, text, (size_t)length + 1);
    return STATUS_OK;
}

static enum status resolve_run_dir(const char *run_dir, char ret_run_dir[ENDPOINT_BYTES_MAX],
                                   struct detail *ret_detail)
{
    char text[ENDPOINT_BYTES_MAX];
    int length;
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (run_dir != NULL)
        length = snprintf(text, sizeof text, "%s", run_dir);
    else if (runtime != NULL && runtime[0] == '/') /* a relative one is to be ignored, says XDG */
        length = snprintf(text, sizeof text, "%s/weir", runtime);
    else
        length = snprintf(text, sizeof text, "/tmp/weir-%ju", (uintmax_t)getuid());
    if (length <= 0 || (size_t)length >= sizeof text)
        return detail_set(ret_detail, STATUS_CONFIG, "the run folder's path has 1 to %d bytes",
                          ENDPOINT_BYTES_MAX - 1);
    memcpy(ret_run_dir, text, (size_t)length + 1);
    return STATUS_OK;
}

enum status endpoints_resolve(const struct endpoint_options *options,
                              struct endpoints *ret_endpoints, struct detail *ret_detail)
{
    struct endpoints e = {.run_dir = ""};
    enum status status = resolve_run_dir(options->run_dir, e.run_dir, ret_detail);
    if (status == STATUS_OK)
        status = fill_endpoint(options->ingest, e.run_dir, "ingest", e.ingest, ret_detail);
    if (status == STATUS_OK)
        status = fill_endpoint(options->events, e.run_dir, "events", e.events, ret_detail);
    if (status == STATUS_OK)
        status = fill_endpoint(options->control, e.run_dir, "control", e.control, ret_detail);
    if (status == STATUS_OK)
        *ret_endpoints = e;
    return status;
}

enum status endpoint_query(const struct endpoint_options *options,
                           const struct endpoints *endpoints, const char *name,
                           char ret_endpoint[ENDPOINT_BYTES_MAX], struct detail *ret_detail)
{
    char socket_name[ENDPOINT_BYTES_MAX];
    int length = snprintf(socket_name, sizeof socket_name, "query-%s", name);
    if (name[0] == '\0' || strchr(name, '/') != NULL || length < 0 ||
        (size_t)length >= sizeof socket_name)
        return detail_set(ret_detail, STATUS_CONFIG, "'%s' is no name for a projector", name);
    return fill_endpoint(options->query, endpoints->run_dir, socket_name, ret_endpoint, ret_detail);
}

/* --- the run folder --- */

static enum status check_run_dir(const char *run_dir, const struct stat *info,
                                 struct detail *ret_detail)
{
    if (!S_ISDIR(info->st_mode))
        return detail_set(ret_detail, STATUS_CONFIG, "run folder %s: it is not a folder", run_dir);
    if (info->st_uid != geteuid())
        return detail_set(ret_detail, STATUS_CONFIG,
                          "run folder %s: it belongs to user %ju; use another --run-dir", run_dir,
                          (uintmax_t)info->st_uid);
    if ((info->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "run folder %s: others may write in it (mode %04o); chmod 700 it",
                          run_dir, (unsigned)(info->st_mode & 07777));
    return STATUS_OK;
}

enum status run_dir_prepare(const char *run_dir, struct detail *ret_detail)
{
    struct stat info;
    if (mkdir(run_dir, S_IRWXU) != 0 && errno != EEXIST)
        return detail_set(ret_detail, STATUS_IO, "cannot make the run folder %s: %s", run_dir,
                          strerror(errno));
    /* Not through a link: in a shared /tmp anybody may have put one there. */
    if (lstat(run_dir, &info) != 0)
        return detail_set(ret_detail, STATUS_IO, "cannot look at the run folder %s: %s", run_dir,
                          strerror(errno));
    return check_run_dir(run_dir, &info, ret_detail);
}

/* --- lock files --- */

/* Where the holder is told to be: "PID\n", and a second line once it can be asked. */
static void read_holder(int fd, struct lock_holder *ret_holder)
{
    char text[PID_TEXT_BYTES + ENDPOINT_BYTES_MAX];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    size_t digits = strspn(text, "0123456789");
    ret_holder->endpoint[0] = '\0';
    (void)snprintf(ret_holder->pid, sizeof ret_holder->pid, "%.*s", digits > 0 ? (int)digits : 1,
                   digits > 0 ? text : "?");
    char *line = strchr(text, '\n');
    size_t length = line == NULL ? 0 : strcspn(line + 1, "\n");
    if (length > 0 && line[1 + length] == '\n')
        (void)snprintf(ret_holder->endpoint, sizeof ret_holder->endpoint, "%.*s", (int)length,
                       line + 1);
}

static void write_holder(int fd, const char *endpoint)
{
    char text[PID_TEXT_BYTES + ENDPOINT_BYTES_MAX + FOLDER_BYTES_MAX];
    int length = snprintf(text, sizeof text, "%jd\n%s%s", (intmax_t)getpid(), endpoint,
                          *endpoint == '\0' ? "" : "\n");
    /* The lock is what counts; on a full disk the text may be missing. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) != length)
        return;
}

void lock_file_note(int fd, const char *endpoint)
{
    char folder[FOLDER_BYTES_MAX], absolute[FOLDER_BYTES_MAX + ENDPOINT_BYTES_MAX];
    bool relative =
        strncmp(endpoint, IPC_SCHEME, SCHEME_BYTES) == 0 && endpoint[SCHEME_BYTES] != '/';
    if (relative && getcwd(folder, sizeof folder) != NULL) {
        (void)snprintf(absolute, sizeof absolute, IPC_SCHEME "%s/%s", folder,
                       endpoint + SCHEME_BYTES);
        if (strlen(absolute) < ENDPOINT_BYTES_MAX)
            endpoint = absolute;
    }
    write_holder(fd, endpoint);
}

/* Whoever looks at a lock (lock_file_look, flock(1) in a script) holds it for a moment. */
static int lock_with_patience(int fd)
{
    for (int attempt = 0;; attempt++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK || attempt == LOCK_ATTEMPTS)
            return -1;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_ATTEMPT_EVERY_NS}, NULL);
    }
}

static enum status lock_open_file(int fd, const char *path, struct detail *ret_detail)
{
    struct lock_holder holder;
    if (lock_with_patience(fd) == 0) {
        write_holder(fd, "");
        return STATUS_OK;
    }
    if (errno != EWOULDBLOCK)
        return detail_set(ret_detail, STATUS_IO, "cannot lock %s: %s", path, strerror(errno));
    read_holder(fd, &holder);
    return detail_set(ret_detail, STATUS_BUSY,
                      "%s is held by process %s: stop it, or use another folder or name", path,
                      holder.pid);
}

static enum status lock_path(const char *directory, const char *name,
                             char ret_path[LOCK_PATH_BYTES_MAX], struct detail *ret_detail)
{
    int length = snprintf(ret_path, LOCK_PATH_BYTES_MAX, "%s/%s.lock", directory, name);
    if (length < 0 || length >= LOCK_PATH_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "the path of the lock %s is too long", name);
    return STATUS_OK;
}

enum status lock_file_take(const char *directory, const char *name, int *ret_fd,
                           struct detail *ret_detail)
{
    char path[LOCK_PATH_BYTES_MAX];
    enum status status = lock_path(directory, name, path, ret_detail);
    if (status != STATUS_OK)
        return status;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return detail_set(ret_detail, STATUS_IO, "cannot open %s: %s", path, strerror(errno));
    status = lock_open_file(fd, path, ret_detail);
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return STATUS_OK;
}

enum status lock_file_look(const char *directory, const char *name, struct lock_holder *ret_holder,
                           struct detail *ret_detail)
{
    char path[LOCK_PATH_BYTES_MAX];
    enum status status = lock_path(directory, name, path, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct lock_holder holder = {.held = false};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return detail_set(ret_detail, STATUS_IO, "cannot open %s: %s", path, strerror(errno));
    if (fd >= 0) {
        holder.held = flock(fd, LOCK_SH | LOCK_NB) != 0;
        if (holder.held)
            read_holder(fd, &holder);
        close(fd);
    }
    *ret_holder = holder;
    return STATUS_OK;
}
