/* A folder of its own for a test's database. */
#ifndef WEIR_TESTS_UNIT_PROJECTOR_STORE_FIXTURE_H
#define WEIR_TESTS_UNIT_PROJECTOR_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "projector/store/store.h"

static char folder[64];
static char database[96];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-views-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(database, sizeof database, "%s/views.db", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static inline enum status open_store(bool rebuild, struct store **ret_store,
                                     struct detail *ret_detail)
{
    struct store_options options = {.path = database, .rebuild = rebuild};
    return store_open(&options, ret_store, ret_detail);
}

/* The database, which must open. */
static inline struct store *store_of_test(void)
{
    struct store *store = NULL;
    struct detail detail = {.text = ""};
    if (open_store(false, &store, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return store;
}

static inline void run_sql(struct store *store, const char *sql)
{
    struct detail detail = {.text = ""};
    if (store_run(store, sql, &detail) != STATUS_OK)
        fail_msg("%s: %s", sql, detail.text);
}

#endif
