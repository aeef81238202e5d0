/* Memory for large tables: zeroed, at a cache line, as much as was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/memory.h"

enum { CACHE_LINE_BYTES = 64 };

static void is_zeroed_and_aligned_whatever_its_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        1, 64, 65, MEMORY_HUGE_BYTES - 1, MEMORY_HUGE_BYTES, MEMORY_HUGE_BYTES + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *bytes = memory_zeroed(sizes[i]);
        assert_non_null(bytes);
        size_t grain = sizes[i] < MEMORY_HUGE_BYTES ? CACHE_LINE_BYTES : MEMORY_HUGE_BYTES;
        assert_int_equal((uintptr_t)bytes % grain, 0);
        for (size_t at = 0; at < sizes[i]; at++)
            if (bytes[at] != 0)
                fail_msg("byte %zu of %zu is not zero", at, sizes[i]);
        bytes[sizes[i] - 1] = 1;
        free(bytes);
    }
}

static void more_than_there_can_be_is_refused(void **state)
{
    (void)state;
    assert_null(memory_zeroed(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_zeroed_and_aligned_whatever_its_size),
        cmocka_unit_test(more_than_there_can_be_is_refused),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
