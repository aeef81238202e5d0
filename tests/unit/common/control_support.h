/* What the tests of control messages share: a buffer for one message as the test's state. */
#ifndef WEIR_TESTS_UNIT_COMMON_CONTROL_SUPPORT_H
#define WEIR_TESTS_UNIT_COMMON_CONTROL_SUPPORT_H

#include "common/base/buffer.h"
#include "common/wire/control.h"

static int set_up(void **test_state)
{
    static struct buffer buffer;
    buffer_init(&buffer, CONTROL_MESSAGE_BYTES_MAX);
    *test_state = &buffer;
    return 0;
}

static int tear_down(void **test_state)
{
    buffer_fini(*test_state);
    return 0;
}

#endif
