#include "projector/views_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/logger.h"
#include "projector/sql/sql_file.h"
#include "projector/views_files.h"

enum {
    FILES_MAX = 4 * SQL_VIEWS_MAX, /* looked at; more are warned of */
    ABSENT_LOOKS = 2,              /* then a file is gone */
};

/* What tells that a file is as it was. */
struct look {
    uint64_t inode, size, changed_ns;
};

struct file {
    char name[SQL_NAME_BYTES_MAX + 1]; /* without the ending */
    struct look look;
    bool is_pending; /* changed, and to be read when it stays so */
    uint32_t absent; /* looks that did not find it, one after another */
    bool is_seen;    /* in this look */
};

struct views_folder {
    const char *path;
    struct sql_views *views;
    struct file files[FILES_MAX];
    uint32_t count;
    bool has_looked;
    bool is_unreadable;
    bool has_warned_of_names;
};

enum status views_folder_open(const char *path, struct sql_views *views,
                              struct views_folder **ret_folder, struct detail *ret_detail)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return detail_set(ret_detail, STATUS_CONFIG, "the folder of views in SQL, %s: %s", path,
                          strerror(errno));
    closedir(directory);
    struct views_folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the folder of views");
    folder->path = path;
    folder->views = views;
    *ret_folder = folder;
    return STATUS_OK;
}

void views_folder_close(struct views_folder **folder)
{
    free(*folder);
    *folder = NULL;
}

/* --- one file --- */

static struct file *file_find(struct views_folder *folder, const char *name)
{
    for (uint32_t i = 0; i < folder->count; i++)
        if (strcmp(folder->files[i].name, name) == 0)
            return &folder->files[i];
    return NULL;
}

static void offer(struct views_folder *folder, struct file *file, const char *path)
{
    struct buffer text;
    struct detail why = {.text = ""};
    buffer_init(&text, SQL_FILE_BYTES_MAX + 4096);
    if (views_file_read(path, &text, &why) == STATUS_OK)
        sql_views_offer(folder->views, file->name, buffer_slice(&text));
    else
        sql_views_offer_unreadable(folder->views, file->name, why.text);
    file->is_pending = false;
    buffer_fini(&text);
}

static void look_at_file(struct views_folder *folder, struct file *file, const char *path,
                         const struct stat *stat)
{
    struct look look = {(uint64_t)stat->st_ino, (uint64_t)stat->st_size,
                        (uint64_t)stat->st_mtim.tv_sec * NS_PER_S +
                            (uint64_t)stat->st_mtim.tv_nsec};
    bool is_same = memcmp(&look, &file->look, sizeof look) == 0;
    file->look = look;
    file->is_seen = true;
    file->absent = 0;
    if (!folder->has_looked || (is_same && file->is_pending) ||
        (is_same && !sql_views_knows(folder->views, file->name)))
        offer(folder, file, path);
    else if (!is_same)
        file->is_pending = true;
}

/* --- the folder --- */

static void warn_of_name(struct views_folder *folder, const char *name, const char *why)
{
    if (!folder->has_warned_of_names)
        log_warn("a file that is no view", "file=%s why=\"%s\"", name, why);
    folder->has_warned_of_names = true;
}

static enum status look_at_entry(void *owner, const char *name, const char *path, const char *why,
                                 struct detail *ret_detail)
{
    (void)ret_detail;
    struct views_folder *folder = owner;
    struct stat found;
    if (why != NULL) {
        warn_of_name(folder, name, why);
        return STATUS_OK;
    }
    if (stat(path, &found) != 0 || !S_ISREG(found.st_mode))
        return STATUS_OK;
    struct file *file = file_find(folder, name);
    if (file == NULL && folder->count == FILES_MAX) {
        warn_of_name(folder, name, "there are too many files");
        return STATUS_OK;
    }
    if (file == NULL) {
        file = &folder->files[folder->count++];
        *file = (struct file){.is_pending = false};
        snprintf(file->name, sizeof file->name, "%s", name);
    }
    look_at_file(folder, file, path, &found);
    return STATUS_OK;
}

/* Withdraws the views of files that are gone, and what the database has of files that never came
 * back. */
static void withdraw_absent(struct views_folder *folder)
{
    for (uint32_t i = folder->count; i > 0; i--) {
        struct file *file = &folder->files[i - 1];
        if (file->is_seen || ++file->absent < ABSENT_LOOKS)
            continue;
        sql_views_withdraw(folder->views, file->name);
        *file = folder->files[--folder->count];
    }
    for (uint32_t i = sql_views_count(folder->views); i > 0; i--) {
        char name[SQL_NAME_BYTES_MAX + 1];
        snprintf(name, sizeof name, "%s", sql_views_name(folder->views, i - 1));
        if (file_find(folder, name) == NULL)
            sql_views_withdraw(folder->views, name);
    }
}

void views_folder_look(struct views_folder *folder)
{
    struct detail why = {.text = ""};
    for (uint32_t i = 0; i < folder->count; i++)
        folder->files[i].is_seen = false;
    if (views_files_each(folder->path, look_at_entry, folder, &why) != STATUS_OK) {
        if (!folder->is_unreadable)
            log_warn("the folder of views in SQL cannot be read; they stay as they are",
                     "folder=%s why=\"%s\"", folder->path, why.text);
        folder->is_unreadable = true;
        return;
    }
    folder->is_unreadable = false;
    withdraw_absent(folder);
    folder->has_looked = true;
}
