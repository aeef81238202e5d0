/* --limit items, in the style of RateLimit-Policy in draft-ietf-httpapi-ratelimit-headers:
 *
 *     "per-source";q=100;w=60;pk=source
 *
 * q, w (seconds), wms (milliseconds) and pk are the draft's short names of quota, window and key;
 * the other settings go by the names they have in INI.
 */
#include <stdio.h>
#include <string.h>

#include "common/policy/policy_setting.h"

enum { PARAMETER_BYTES_MAX = 192 };

struct short_name {
    const char *name;
    const char *setting;
    const char *unit; /* put behind the value */
};
static const struct short_name short_names[] = {
    {"q", "quota", ""},
    {"w", "window", "s"},
    {"wms", "window", "ms"},
    {"pk", "key", ""},
};

static struct short_name setting_of(const char *name)
{
    for (unsigned i = 0; i < sizeof short_names / sizeof short_names[0]; i++) {
        if (strcmp(short_names[i].name, name) == 0)
            return short_names[i];
    }
    return (struct short_name){.name = name, .setting = name, .unit = ""};
}

/* One `name=value`; moves *at behind it. */
static enum status take_parameter(struct policy_draft *draft, const char **at,
                                  struct detail *ret_detail)
{
    char name[PARAMETER_BYTES_MAX], value[PARAMETER_BYTES_MAX + 2];
    const char *start = *at + strspn(*at, " ");
    size_t name_size = strcspn(start, "=;"), value_size = 0;
    if (start[name_size] == '=')
        value_size = strcspn(start + name_size + 1, ";");
    if (start[name_size] != '=' || name_size >= sizeof name || value_size >= PARAMETER_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "expected NAME=VALUE at '%s'", start);
    memcpy(name, start, name_size);
    name[name_size] = '\0';
    struct short_name setting = setting_of(name);
    snprintf(value, sizeof value, "%.*s%s", (int)value_size, start + name_size + 1, setting.unit);
    *at = start + name_size + 1 + value_size;
    return policy_draft_set(draft, setting.setting, value, ret_detail);
}

static enum status take_item(struct policy_set *set, const char *item, struct detail *ret_detail)
{
    const char *quote = item[0] == '"' ? strchr(item + 1, '"') : NULL;
    if (quote == NULL)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "expected \"NAME\";q=QUOTA;w=SECONDS;pk=KEY, the name in quotes");
    struct slice name = {.data = (const uint8_t *)item + 1, .size = (size_t)(quote - item - 1)};
    struct policy_draft draft = {0};
    enum status status = policy_draft_start(set, name, &draft, ret_detail);
    const char *at = quote + 1;
    while (status == STATUS_OK && *at == ';') {
        at++;
        status = take_parameter(&draft, &at, ret_detail);
    }
    if (status == STATUS_OK && *at != '\0')
        status = detail_set(ret_detail, STATUS_CONFIG, "expected ';' at '%s'", at);
    if (status == STATUS_OK)
        status = policy_draft_finish(set, &draft, ret_detail);
    return status;
}

enum status policy_set_add_limit(struct policy_set *set, const char *item,
                                 struct detail *ret_detail)
{
    struct detail failure;
    uint32_t count = set->count;
    enum status status = take_item(set, item, &failure);
    if (status == STATUS_OK)
        status = policy_set_render(set, &failure);
    if (status == STATUS_OK)
        return STATUS_OK;
    set->count = count;
    return detail_set(ret_detail, status, "--limit %s: %s", item, failure.text);
}
