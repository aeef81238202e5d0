#include "common/upload/upload_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/wire/endpoint.h"

enum { NAME_BYTES_MAX = 32 };

struct upload_file {
    char folder[UPLOAD_PATH_BYTES_MAX];
    char path[UPLOAD_PATH_BYTES_MAX + NAME_BYTES_MAX];
    char temporary[UPLOAD_PATH_BYTES_MAX + 2 * NAME_BYTES_MAX];
    int lock_fd;
};

enum status upload_file_open(const struct upload_name *whose, struct upload_file **ret_file,
                             struct detail *ret_detail)
{
    struct upload_file *file = malloc(sizeof *file);
    if (file == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the upload's record");
    file->lock_fd = -1;
    enum status status = STATUS_OK;
    int size = snprintf(file->folder, sizeof file->folder, "%s", whose->folder);
    if (size < 0 || (size_t)size >= sizeof file->folder) {
        status = detail_set(ret_detail, STATUS_CONFIG, "%s: the path is too long", whose->folder);
        goto out;
    }
    uint64_t hash = hash_content(0, whose->path, strlen(whose->path));
    hash = hash_content(hash, whose->log_id.bytes, sizeof whose->log_id.bytes);
    if (whose->source != NULL)
        hash = hash_content(hash, whose->source, strlen(whose->source));
    char name[NAME_BYTES_MAX];
    snprintf(name, sizeof name, "%016llx.upload", (unsigned long long)hash);
    snprintf(file->path, sizeof file->path, "%s/%s", file->folder, name);
    snprintf(file->temporary, sizeof file->temporary, "%s/%s.new", file->folder, name);
    status = lock_file_take(file->folder, name, &file->lock_fd, ret_detail);
out:
    if (status == STATUS_OK)
        *ret_file = file;
    else
        upload_file_close(&file);
    return status;
}

void upload_file_close(struct upload_file **file)
{
    if (*file == NULL)
        return;
    if ((*file)->lock_fd >= 0)
        close((*file)->lock_fd);
    free(*file);
    *file = NULL;
}

const char *upload_file_path(const struct upload_file *file)
{
    return file->path;
}

static enum status read_whole(const char *path, struct buffer *buffer, struct detail *ret_detail)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return STATUS_NOT_FOUND;
    enum status status = fd >= 0 ? STATUS_OK : STATUS_IO;
    while (status == STATUS_OK) {
        enum { STEP_BYTES = 16 * 1024 };
        status = buffer_reserve(buffer, STEP_BYTES);
        if (status != STATUS_OK)
            break;
        ssize_t size = read(fd, buffer->data + buffer->size, STEP_BYTES);
        if (size == 0)
            break;
        if (size > 0)
            buffer->size += (size_t)size;
        else if (errno != EINTR)
            status = STATUS_IO;
    }
    if (status != STATUS_OK)
        status = detail_set(ret_detail, STATUS_IO, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

enum status upload_file_load(const struct upload_file *file, struct upload *upload,
                             struct detail *ret_detail)
{
    struct buffer text;
    buffer_init(&text, UPLOAD_RECORD_BYTES_MAX);
    struct detail reason;
    enum status status = read_whole(file->path, &text, ret_detail);
    if (status == STATUS_OK) {
        status = upload_record_read(buffer_slice(&text), upload, &reason);
        if (status != STATUS_OK)
            status = detail_set(ret_detail, status, "%s: %s", file->path, reason.text);
    }
    buffer_fini(&text);
    return status;
}

static bool write_whole(int fd, struct slice text)
{
    while (text.size > 0) {
        ssize_t size = write(fd, text.data, text.size);
        if (size < 0 && errno != EINTR)
            return false;
        if (size > 0) {
            text.data += size;
            text.size -= (size_t)size;
        }
    }
    return fsync(fd) == 0;
}

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = fsync(fd) == 0;
    close(fd);
    return done;
}

static bool replace(const struct upload_file *file, struct slice text)
{
    int fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = write_whole(fd, text);
    bool closed = close(fd) == 0;
    return written && closed && rename(file->temporary, file->path) == 0 &&
           sync_folder(file->folder);
}

enum status upload_file_save(const struct upload_file *file, const struct upload *upload,
                             struct detail *ret_detail)
{
    struct buffer text;
    buffer_init(&text, UPLOAD_RECORD_BYTES_MAX);
    upload_record_write(&text, upload);
    enum status status = text.status;
    if (status == STATUS_OK && !replace(file, buffer_slice(&text)))
        status = STATUS_IO;
    if (status != STATUS_OK)
        status = detail_set(ret_detail, status, "cannot write %s: %s", file->path, strerror(errno));
    buffer_fini(&text);
    return status;
}
