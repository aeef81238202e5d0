#include "projector/views_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "projector/sql/sql_file.h"
#include "projector/views/view.h"

#define ENDING ".sql"

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum status take_entry(const char *folder, const char *entry, views_file_fn *take,
                              void *owner, struct detail *ret_detail)
{
    char name[SQL_NAME_BYTES_MAX + 1], path[VIEWS_FILE_PATH_BYTES_MAX];
    size_t size = strlen(entry), ending = strlen(ENDING);
    if (entry[0] == '.' || size <= ending || strcmp(entry + size - ending, ENDING) != 0)
        return STATUS_OK;
    struct slice stem = {(const uint8_t *)entry, size - ending};
    int path_bytes = snprintf(path, sizeof path, "%s/%s", folder, entry);
    if (path_bytes < 0 || (size_t)path_bytes >= sizeof path)
        return take(owner, entry, "", "its path is too long", ret_detail);
    if (!sql_view_name_is_good(stem))
        return take(owner, entry, path,
                    "a view's name is 1 to 64 of a-z 0-9 _, beginning with a letter, without __, "
                    "not beginning with weir or sqlite_",
                    ret_detail);
    memcpy(name, entry, stem.size);
    name[stem.size] = '\0';
    return take(owner, name, path, NULL, ret_detail);
}

enum status views_files_each(const char *folder, views_file_fn *take, void *owner,
                             struct detail *ret_detail)
{
    struct dirent **entries = NULL;
    enum status status = STATUS_OK;
    int count = scandir(folder, &entries, NULL, compare_entries);
    if (count < 0)
        return detail_set(ret_detail, STATUS_IO, "%s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == STATUS_OK)
            status = take_entry(folder, entries[i]->d_name, take, owner, ret_detail);
        free(entries[i]);
    }
    free(entries);
    return status;
}

enum status views_file_read(const char *path, struct buffer *text, struct detail *ret_detail)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return detail_set(ret_detail, STATUS_IO, "%s", strerror(errno));
    ssize_t got = 0;
    do {
        text->size += (size_t)got;
        got = buffer_reserve(text, 4096) == STATUS_OK
                  ? read(fd, text->data + text->size, text->capacity - text->size)
                  : 0;
    } while (got > 0);
    int error = errno;
    close(fd);
    if (got < 0)
        return detail_set(ret_detail, STATUS_IO, "%s", strerror(error));
    if (text->status != STATUS_OK)
        return detail_set(ret_detail, text->status, "more than %d bytes", SQL_FILE_BYTES_MAX);
    return STATUS_OK;
}

enum status views_name_check(const char *name, struct detail *ret_detail)
{
    if (view_type_find(slice_of_text(name)) == NULL)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_CONFIG,
                      "%s.sql: a built-in view has this name: give the file another one", name);
}
