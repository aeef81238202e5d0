/* inventory.stock_added, version 1 → 2: the `count` of version 1 is called `quantity`.
 *
 * An example of a migration: copied into common/event/upcast, it is all that a new schema version
 * takes. Data without a `count`, or with a `quantity`, stays as it is.
 */
#include "common/event/codec.h"
#include "common/event/upcast/upcast.h"

static enum status change(struct slice data, struct buffer *ret_data, struct detail *ret_detail)
{
    struct mp_reader ignored, reader = mp_reader_of(data);
    uint32_t pairs = 0;
    if (event_member(data, slice_of_text("quantity"), &ignored) == STATUS_OK)
        return STATUS_OK;
    enum status status = mp_read_map(&reader, &pairs);
    codec_map(ret_data, pairs);
    for (uint32_t i = 0; i < pairs && status == STATUS_OK; i++) {
        struct slice key, value;
        status = mp_read_text(&reader, &key);
        if (status == STATUS_OK)
            status = mp_read_raw(&reader, &value);
        if (status != STATUS_OK)
            break;
        codec_text_slice(ret_data,
                         slice_equal_text(key, "count") ? slice_of_text("quantity") : key);
        buffer_append(ret_data, value.data, value.size);
    }
    return status == STATUS_OK ? ret_data->status
                               : detail_set(ret_detail, status, "the data is not a map");
}

const struct upcast upcast_inventory_stock_added_1 = {.name = "inventory_stock_added_1",
                                                      .type = "inventory.stock_added",
                                                      .from = 1,
                                                      .change = change};
