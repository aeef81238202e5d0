/* view_page: a page of a view's reply that has all its rows. Pure. */
#ifndef WEIR_PROJECTOR_HTTP_VIEW_PAGE_H
#define WEIR_PROJECTOR_HTTP_VIEW_PAGE_H

#include "common/base/buffer.h"

/* Appends `map`, a view's, with only those of its rows that stand from `offset` on, at most `limit`
 * of them (0: all), and `next` where others follow. MALFORMED, INVALID: it is no view. */
MUST_USE enum status view_page_cut(struct slice map, uint64_t offset, uint64_t limit,
                                   struct buffer *page);

#endif
