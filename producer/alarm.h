/* alarm: a descriptor that becomes readable at a set moment of CLOCK_BOOTTIME and stays so until it
 * is set again. For waits that must be finer than milliseconds.
 */
#ifndef WEIR_PRODUCER_ALARM_H
#define WEIR_PRODUCER_ALARM_H

#include <stdint.h>

#include "common/base/status.h"

MUST_USE enum status alarm_open(int *ret_fd, struct detail *ret_detail);
/* Sets *fd to −1; does nothing where it is. */
void alarm_close(int *fd);
/* at_ns in the past: at once. */
void alarm_set(int fd, uint64_t at_ns);

#endif
