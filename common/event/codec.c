#include "common/event/codec.h"

#include <msgpack/pack.h>

/* msgpack-c writes each item in one to three pieces; a failure sticks in the buffer, where the
 * caller looks, so what the packer returns need not be looked at here. */
static int write_piece(void *data, const char *bytes, size_t size)
{
    struct buffer *buffer = data;
    buffer_append(buffer, bytes, size);
    return buffer->status == STATUS_OK ? 0 : -1;
}

static msgpack_packer packer_of(struct buffer *buffer)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, buffer, write_piece);
    return packer;
}

void codec_array(struct buffer *buffer, uint32_t count)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_array(&packer, count);
}

void codec_map(struct buffer *buffer, uint32_t pairs)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_map(&packer, pairs);
}

void codec_uint(struct buffer *buffer, uint64_t value)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_uint64(&packer, value);
}

void codec_int(struct buffer *buffer, int64_t value)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_int64(&packer, value);
}

void codec_float(struct buffer *buffer, double value)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_double(&packer, value);
}

void codec_bool(struct buffer *buffer, bool value)
{
    msgpack_packer packer = packer_of(buffer);
    if (value)
        msgpack_pack_true(&packer);
    else
        msgpack_pack_false(&packer);
}

void codec_nil(struct buffer *buffer)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_nil(&packer);
}

void codec_text(struct buffer *buffer, const char *text)
{
    codec_text_slice(buffer, slice_of_text(text));
}

void codec_text_slice(struct buffer *buffer, struct slice text)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_str(&packer, text.size);
    buffer_append(buffer, text.data, text.size);
}

void codec_bin(struct buffer *buffer, struct slice bytes)
{
    msgpack_packer packer = packer_of(buffer);
    msgpack_pack_bin(&packer, bytes.size);
    buffer_append(buffer, bytes.data, bytes.size);
}
