#include "common/app/state_dir.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum status find(char ret_path[STATE_DIR_BYTES_MAX], struct detail *ret_detail)
{
    const char *state_home = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int size;
    if (state_home != NULL && state_home[0] == '/')
        size = snprintf(ret_path, STATE_DIR_BYTES_MAX, "%s/weir", state_home);
    else if (home != NULL && home[0] == '/')
        size = snprintf(ret_path, STATE_DIR_BYTES_MAX, "%s/.local/state/weir", home);
    else
        return detail_set(ret_detail, STATUS_CONFIG,
                          "no place to keep anything: set XDG_STATE_HOME");
    if (size < 0 || size >= STATE_DIR_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "XDG_STATE_HOME or HOME is too long");
    return STATUS_OK;
}

/* mkdir -p */
static enum status make(char *path, struct detail *ret_detail)
{
    for (char *slash = path + 1;; slash++) {
        if (*slash != '/' && *slash != '\0')
            continue;
        char kept = *slash;
        *slash = '\0';
        bool failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        if (failed)
            return detail_set(ret_detail, STATUS_IO, "cannot make %s: %s", path, strerror(errno));
        *slash = kept;
        if (kept == '\0')
            return STATUS_OK;
    }
}

enum status state_dir_prepare(char ret_path[STATE_DIR_BYTES_MAX], struct detail *ret_detail)
{
    enum status status = find(ret_path, ret_detail);
    return status == STATUS_OK ? make(ret_path, ret_detail) : status;
}
