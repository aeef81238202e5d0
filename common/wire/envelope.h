/* envelope: whom to answer: the frames before a request that came in at a ROUTER socket.
 *
 *     peer's identity (libzmq's, ≤ 255 bytes) | ≤ 4 frames of ≤ 64 bytes each | request
 *
 * They go back before the reply as they came, so that a client can number its requests. A plain
 * value: it is copied to wherever the answer will be made.
 */
#ifndef WEIR_COMMON_WIRE_ENVELOPE_H
#define WEIR_COMMON_WIRE_ENVELOPE_H

#include "common/wire/control.h"
#include "common/wire/socket.h"

enum {
    ENVELOPE_FRAMES_MAX = 1 + CONTROL_ECHO_FRAMES_MAX,
    ENVELOPE_IDENTITY_BYTES_MAX = 255,
    ENVELOPE_BYTES_MAX =
        ENVELOPE_IDENTITY_BYTES_MAX + CONTROL_ECHO_FRAMES_MAX * CONTROL_ECHO_BYTES_MAX,
};

struct envelope {
    uint32_t count; /* frames */
    uint8_t sizes[ENVELOPE_FRAMES_MAX];
    uint8_t bytes[ENVELOPE_BYTES_MAX]; /* of all frames, one after another */
};

/* What to tell a peer whose envelope was TOO_LARGE. */
extern const char envelope_limits_text[];

/* Takes one message from a ROUTER socket; never waits. OK: its last frame is in `request`. END:
 * none is there. TOO_LARGE: too many frames or too long ones; the message is thrown away, and the
 * envelope holds what came before the excess, enough for a reply. IO. */
MUST_USE enum status envelope_receive(struct socket *socket, struct envelope *ret_envelope,
                                      struct frame *request);

/* Sends the reply, with `body` as one more frame where that is not NULL. A peer that is gone or
 * does not read loses it: it asks again. OK, FULL, IO. */
MUST_USE enum status envelope_send(struct socket *socket, const struct envelope *envelope,
                                   struct slice reply, const struct slice *body);

#endif
