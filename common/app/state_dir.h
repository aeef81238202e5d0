/* state_dir: where programs keep what must outlive a reboot and is worth nothing to anybody else:
 * $XDG_STATE_HOME/weir, else ~/.local/state/weir.
 */
#ifndef WEIR_COMMON_APP_STATE_DIR_H
#define WEIR_COMMON_APP_STATE_DIR_H

#include "common/base/status.h"

enum { STATE_DIR_BYTES_MAX = 4096 }; /* its path with the NUL */

/* Gives the path of the folder, made with its parents (mode 0700, as the XDG specification asks)
 * where they are missing. CONFIG: no XDG_STATE_HOME and no HOME; IO. */
MUST_USE enum status state_dir_prepare(char ret_path[STATE_DIR_BYTES_MAX],
                                       struct detail *ret_detail);

#endif
