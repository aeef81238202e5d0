#include "processor/policy_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum status file_read(const char *path, char *ret_text, size_t size,
                             struct detail *ret_detail)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return detail_set(ret_detail, STATUS_CONFIG, "%s: cannot be read: %s", path,
                          strerror(errno));
    size_t length = fread(ret_text, 1, size, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || memchr(ret_text, '\0', length) != NULL)
        return detail_set(ret_detail, STATUS_CONFIG, "%s: is not a text file", path);
    if (length == size)
        return detail_set(ret_detail, STATUS_CONFIG, "%s: longer than %zu bytes", path, size - 1);
    ret_text[length] = '\0';
    return STATUS_OK;
}

enum status policy_options_read(const struct policy_options *options,
                                struct policy_set *ret_policies, struct detail *ret_detail)
{
    static char text[POLICY_TEXT_BYTES_MAX];
    memset(ret_policies, 0, sizeof *ret_policies);
    if (options->file != NULL) {
        enum status status = file_read(options->file, text, sizeof text, ret_detail);
        return status != STATUS_OK
                   ? status
                   : policy_set_parse(text, options->file, ret_policies, ret_detail);
    }
    for (uint32_t i = 0; i < options->limits.count; i++) {
        enum status status =
            policy_set_add_limit(ret_policies, options->limits.items[i], ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
