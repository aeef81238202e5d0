/* Any text as policies: what parses has a canonical text that parses to the same text. */
#include <stdlib.h>
#include <string.h>

#include "common/policy/policy.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_canonical(const struct policy_set *set, struct policy_set *scratch)
{
    struct detail detail;
    require(policy_set_parse(set->text, "canonical", scratch, &detail) == STATUS_OK);
    require(strcmp(set->text, scratch->text) == 0);
    require(set->count == scratch->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct policy_set *set = calloc(1, sizeof *set);
    struct policy_set *scratch = calloc(1, sizeof *scratch);
    require(text != NULL && set != NULL && scratch != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    struct detail detail;
    if (policy_set_parse(text, "fuzz", set, &detail) == STATUS_OK)
        check_canonical(set, scratch);
    memset(set, 0, sizeof *set);
    if (policy_set_add_limit(set, text, &detail) == STATUS_OK)
        check_canonical(set, scratch);
    free(text);
    free(set);
    free(scratch);
    return 0;
}
