#include "processor/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/array.h"

enum { DIGITS = 20 };
#define SEGMENT_SUFFIX ".seg"

void segment_name(uint64_t number, char ret_name[SEGMENT_NAME_BYTES])
{
    (void)snprintf(ret_name, SEGMENT_NAME_BYTES, "%0*" PRIu64 SEGMENT_SUFFIX, (int)DIGITS, number);
}

static bool name_parse(const char *name, const char *suffix, uint64_t *ret_number)
{
    if (strspn(name, "0123456789") != DIGITS || strcmp(name + DIGITS, suffix) != 0)
        return false;
    errno = 0;
    const unsigned long long number = strtoull(name, NULL, 10);
    if (errno != 0)
        return false;
    *ret_number = number;
    return true;
}

bool segment_name_parse(const char *name, uint64_t *ret_number)
{
    return name_parse(name, SEGMENT_SUFFIX, ret_number);
}

enum status segment_open(struct file *file, const struct folder *folder, uint64_t number, int flags,
                         struct detail *ret_detail)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    return file_open(file, folder, name, flags, ret_detail);
}

static enum status list_add(struct segment_list *list, uint64_t number, struct detail *ret_detail)
{
    uint64_t *numbers = array_reach(list->numbers, &list->capacity, list->count, sizeof *numbers);
    if (numbers == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a list of files");
    list->numbers = numbers;
    list->numbers[list->count++] = number;
    return STATUS_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static DIR *open_listing(const struct folder *folder)
{
    const int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *listing = fdopendir(fd);
    if (listing == NULL)
        (void)close(fd);
    return listing;
}

enum status segment_list_read(struct segment_list *list, const struct folder *folder,
                              struct detail *ret_detail)
{
    return numbered_list_read(list, folder, SEGMENT_SUFFIX, ret_detail);
}

enum status numbered_list_read(struct segment_list *list, const struct folder *folder,
                               const char *suffix, struct detail *ret_detail)
{
    DIR *listing = open_listing(folder);
    if (listing == NULL)
        return detail_set(ret_detail, STATUS_IO, "%s: cannot list: %s", folder->path,
                          strerror(errno));
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        errno = 0;
        const struct dirent *entry = readdir(listing);
        if (entry == NULL)
            break;
        uint64_t number = 0;
        if (name_parse(entry->d_name, suffix, &number))
            status = list_add(list, number, ret_detail);
    }
    if (status == STATUS_OK && errno != 0)
        status =
            detail_set(ret_detail, STATUS_IO, "%s: cannot list: %s", folder->path, strerror(errno));
    (void)closedir(listing);
    if (status == STATUS_OK && list->count > 1)
        qsort(list->numbers, list->count, sizeof *list->numbers, compare_numbers);
    return status;
}

void segment_list_fini(struct segment_list *list)
{
    free(list->numbers);
    *list = (struct segment_list){0};
}
