/* Any bytes as a request and as a reply. */
#include "common/wire/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice frame = {data, size};
    struct detail detail;
    struct control_request request;
    enum control_code code;
    (void)!control_request_read(frame, &request, &code, &detail);
    struct mp_reader reader;
    uint32_t items;
    (void)!control_reply_read(frame, &reader, &items, &detail);
    struct hello_reply hello;
    (void)!hello_reply_read(frame, &hello, &detail);
    struct replay_reply replay;
    (void)!replay_reply_read(frame, &replay, &detail);
    return 0;
}
