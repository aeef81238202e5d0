/* segment: the files of the log, DIRECTORY/log/NNNNNNNNNNNNNNNNNNNN.seg, each named by the number
 * of its first batch.
 *
 * A segment named N exists only when every batch below N is durable: the log syncs the old one
 * before it renames the next into place. Recovery relies on it.
 */
#ifndef WEIR_PROCESSOR_STORE_SEGMENT_H
#define WEIR_PROCESSOR_STORE_SEGMENT_H

#include "processor/store/file.h"

#define SEGMENT_FOLDER     "log"
#define SEGMENT_SPARE_NAME "spare.seg" /* being prepared; holds nothing of value, ever */

enum { SEGMENT_NAME_BYTES = 25 }; /* 20 digits, ".seg", NUL */

void segment_name(uint64_t number, char ret_name[SEGMENT_NAME_BYTES]);
/* false if it is not the name of a segment. */
bool segment_name_parse(const char *name, uint64_t *ret_number);

/* Opens the segment; `flags` O_RDONLY or O_RDWR. */
MUST_USE enum status segment_open(struct file *file, const struct folder *folder, uint64_t number,
                                  int flags, struct detail *ret_detail);

/* The numbers of all segments in a folder, ascending. */
struct segment_list {
    uint64_t *numbers;
    uint32_t count;
    uint32_t capacity;
};
/* All files named by 20 digits and `suffix`. Appends to an empty list. NO_MEMORY, IO. */
MUST_USE enum status numbered_list_read(struct segment_list *list, const struct folder *folder,
                                        const char *suffix, struct detail *ret_detail);
/* The segments. As numbered_list_read. */
MUST_USE enum status segment_list_read(struct segment_list *list, const struct folder *folder,
                                       struct detail *ret_detail);
void segment_list_fini(struct segment_list *list);

#endif
