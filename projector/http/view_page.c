#include "projector/http/view_page.h"

#include "common/event/codec.h"
#include "common/event/mp.h"

/* What is known of the map after one look at it. */
struct outline {
    uint32_t pairs, rows; /* pairs without `next` */
    uint64_t first, end;  /* rows of the page */
    bool has_next;        /* rows are left out of the map itself, or of the page */
    uint64_t next;
};

static enum status look_at(struct slice map, uint64_t offset, uint64_t limit,
                           struct outline *ret_outline)
{
    struct mp_reader reader = mp_reader_of(map);
    struct outline outline = {0};
    uint32_t pairs;
    struct slice name, item;
    enum status status = mp_read_map(&reader, &pairs);
    outline.pairs = pairs;
    for (uint32_t i = 0; i < pairs && status == STATUS_OK; i++) {
        status = mp_read_text(&reader, &name);
        if (status == STATUS_OK)
            status = mp_read_raw(&reader, &item);
        if (status != STATUS_OK)
            break;
        struct mp_reader value = mp_reader_of(item);
        if (slice_equal_text(name, "rows"))
            status = mp_read_array(&value, &outline.rows);
        if (slice_equal_text(name, "next")) {
            outline.has_next = true;
            outline.pairs--;
            status = mp_read_uint(&value, &outline.next);
        }
    }
    outline.first = offset < outline.rows ? offset : outline.rows;
    outline.end = outline.rows;
    if (limit > 0 && limit < outline.rows - outline.first) {
        outline.end = outline.first + limit;
        outline.has_next = true;
        outline.next = outline.end;
    }
    if (status == STATUS_OK)
        *ret_outline = outline;
    return status;
}

static enum status copy_rows(struct mp_reader *reader, const struct outline *outline,
                             struct buffer *page)
{
    uint32_t rows;
    struct slice row;
    enum status status = mp_read_array(reader, &rows);
    codec_array(page, (uint32_t)(outline->end - outline->first));
    for (uint64_t i = 0; i < rows && status == STATUS_OK; i++) {
        status = mp_read_raw(reader, &row);
        if (status == STATUS_OK && i >= outline->first && i < outline->end)
            buffer_append(page, row.data, row.size);
    }
    return status;
}

static enum status copy_pair(struct mp_reader *reader, const struct outline *outline,
                             struct buffer *page)
{
    struct slice name, item;
    enum status status = mp_read_text(reader, &name);
    if (status != STATUS_OK)
        return status;
    if (slice_equal_text(name, "next"))
        return mp_skip(reader);
    codec_text_slice(page, name);
    if (slice_equal_text(name, "rows"))
        return copy_rows(reader, outline, page);
    status = mp_read_raw(reader, &item);
    if (status == STATUS_OK)
        buffer_append(page, item.data, item.size);
    return status;
}

enum status view_page_cut(struct slice map, uint64_t offset, uint64_t limit, struct buffer *page)
{
    struct mp_reader reader = mp_reader_of(map);
    struct outline outline;
    uint32_t pairs;
    enum status status = look_at(map, offset, limit, &outline);
    if (status == STATUS_OK)
        status = mp_read_map(&reader, &pairs);
    if (status != STATUS_OK)
        return status;
    codec_map(page, outline.pairs + (outline.has_next ? 1U : 0U));
    for (uint32_t i = 0; i < pairs && status == STATUS_OK; i++)
        status = copy_pair(&reader, &outline, page);
    if (outline.has_next) {
        codec_text(page, "next");
        codec_uint(page, outline.next);
    }
    return status == STATUS_OK ? page->status : status;
}
