#include "common/wire/envelope.h"

#include <string.h>

const char envelope_limits_text[] = "at most 4 frames of at most 64 bytes before the request";
_Static_assert(CONTROL_ECHO_FRAMES_MAX == 4 && CONTROL_ECHO_BYTES_MAX == 64,
               "envelope_limits_text names them");

static size_t bytes_used(const struct envelope *envelope)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < envelope->count; i++)
        bytes += envelope->sizes[i];
    return bytes;
}

static bool keep(struct envelope *envelope, struct slice frame)
{
    size_t bytes_max = envelope->count == 0 ? ENVELOPE_IDENTITY_BYTES_MAX : CONTROL_ECHO_BYTES_MAX;
    if (envelope->count == ENVELOPE_FRAMES_MAX || frame.size > bytes_max)
        return false;
    if (frame.size > 0)
        memcpy(envelope->bytes + bytes_used(envelope), frame.data, frame.size);
    envelope->sizes[envelope->count++] = (uint8_t)frame.size;
    return true;
}

enum status envelope_receive(struct socket *socket, struct envelope *ret_envelope,
                             struct frame *request)
{
    ret_envelope->count = 0;
    enum status status = socket_receive(socket, request);
    while (status == STATUS_OK && frame_more(request)) {
        if (!keep(ret_envelope, frame_slice(request))) {
            socket_discard_rest(socket, request);
            return STATUS_TOO_LARGE;
        }
        status = socket_receive(socket, request);
    }
    return status;
}

enum status envelope_send(struct socket *socket, const struct envelope *envelope,
                          struct slice reply, const struct slice *body)
{
    enum status status = STATUS_OK;
    const uint8_t *at = envelope->bytes;
    for (uint32_t i = 0; i < envelope->count && status == STATUS_OK; i++) {
        status = socket_send(socket, (struct slice){at, envelope->sizes[i]}, true);
        at += envelope->sizes[i];
    }
    if (status == STATUS_OK)
        status = socket_send(socket, reply, body != NULL);
    if (status == STATUS_OK && body != NULL)
        status = socket_send(socket, *body, false);
    return status;
}
