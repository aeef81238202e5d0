/* Any bytes as what travels on `events`: headers, heartbeats, acks and records. */
#include "common/wire/feed.h"

static void read_ack(struct slice frame)
{
    struct ack ack;
    if (ack_read(frame, &ack) != STATUS_OK)
        return;
    struct mp_reader reader = mp_reader_of(ack.refusals);
    struct refusal refusal;
    for (uint32_t i = 0; i < ack.refusal_count; i++) {
        if (refusal_read(&reader, &refusal) != STATUS_OK)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice frame = {data, size};
    struct feed_header header;
    (void)!feed_header_read(frame, &header);
    struct heartbeat heartbeat;
    (void)!heartbeat_read(frame, &heartbeat);
    read_ack(frame);
    struct mp_reader reader = mp_reader_of(frame);
    struct accepted_record accepted;
    while (accepted_record_read(&reader, &accepted) == STATUS_OK) {
    }
    reader = mp_reader_of(frame);
    struct rejection rejection;
    while (rejection_read(&reader, &rejection) == STATUS_OK) {
    }
    return 0;
}
