/* INI text → policy set, over libinih.
 *
 * inih is fed line by line, for three reasons: so that a message can name its line (Debian's build
 * does not pass it on), so that section headers are read here (inih cuts them at 49 bytes and does
 * not say that an empty or repeated section began), and so that indented lines are not taken for
 * continuations of the line before. What is left to inih is `key = value ; comment`.
 */
#include <ini.h>
#include <string.h>

#include "common/policy/policy_setting.h"

struct ini_input {
    const char *at; /* rest of the text */
    uint32_t line;  /* number of the line that was read last; from 1 */
    struct policy_set *set;
    struct policy_draft draft; /* of the section that is open; policy NULL: none yet */
    uint32_t section_line;
    uint32_t failed_line; /* 0: no failure yet */
    struct detail failure;
};

static void fail(struct ini_input *input, uint32_t line, const struct detail *failure)
{
    if (input->failed_line != 0)
        return;
    input->failed_line = line;
    input->failure = *failure;
}

static void fail_here(struct ini_input *input, const char *reason)
{
    struct detail failure;
    if (detail_set(&failure, STATUS_CONFIG, "%s", reason) != STATUS_OK)
        fail(input, input->line, &failure);
}

static void section_end(struct ini_input *input)
{
    struct detail failure;
    if (input->draft.policy != NULL &&
        policy_draft_finish(input->set, &input->draft, &failure) != STATUS_OK)
        fail(input, input->section_line, &failure);
    input->draft.policy = NULL;
}

/* The NAME of `[policy "NAME"]`, blanks and a comment behind it allowed; NULL data if it is not
 * one. */
static struct slice section_name(const char *line, size_t size)
{
    static const char head[] = "[policy \"", tail[] = "\"]";
    struct slice nothing = {0};
    size_t head_size = sizeof head - 1, tail_size = sizeof tail - 1;
    if (size < head_size || memcmp(line, head, head_size) != 0)
        return nothing;
    const char *name = line + head_size, *end = line + size;
    const char *quote = memchr(name, '"', (size_t)(end - name));
    if (quote == NULL || (size_t)(end - quote) < tail_size || memcmp(quote, tail, tail_size) != 0)
        return nothing;
    const char *rest = quote + tail_size;
    while (rest < end && (*rest == ' ' || *rest == '\t' || *rest == '\r'))
        rest++;
    if (rest < end && *rest != ';' && *rest != '#')
        return nothing;
    return (struct slice){.data = (const uint8_t *)name, .size = (size_t)(quote - name)};
}

static void section_start(struct ini_input *input, const char *line, size_t size)
{
    section_end(input);
    struct slice name = section_name(line, size);
    if (name.data == NULL) {
        fail_here(input, "a section is headed [policy \"NAME\"]");
        return;
    }
    input->section_line = input->line;
    struct detail failure;
    if (policy_draft_start(input->set, name, &input->draft, &failure) != STATUS_OK)
        fail(input, input->line, &failure);
}

/* An ini_reader, in the manner of fgets: one line per call without its leading blanks, NULL at the
 * end or after a failure. Headers and comments reach inih as empty lines, which keeps its count of
 * lines equal to ours. */
static char *read_line(char *ret_line, int capacity, void *stream)
{
    struct ini_input *input = stream;
    if (*input->at == '\0' || input->failed_line != 0)
        return NULL;
    const char *line = input->at + strspn(input->at, " \t");
    size_t size = strcspn(line, "\n");
    input->at = line[size] == '\n' ? line + size + 1 : line + size;
    input->line++;
    if (*line == '[')
        section_start(input, line, size);
    if (*line == '[' || *line == ';' || *line == '#') {
        size = 0;
    } else if (size + 2 > (size_t)capacity) {
        fail_here(input, "the line is longer than 197 bytes");
        return NULL;
    }
    memcpy(ret_line, line, size);
    memcpy(ret_line + size, "\n", 2);
    return ret_line;
}

/* An ini_handler. Failures are kept in the input; what inih reports is then only bad syntax. */
static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    (void)section;
    struct ini_input *input = user;
    struct detail failure;
    if (input->failed_line != 0)
        return 1;
    if (input->draft.policy == NULL)
        fail_here(input, "a setting before the first [policy \"NAME\"]");
    else if (policy_draft_set(&input->draft, key, value, &failure) != STATUS_OK)
        fail(input, input->line, &failure);
    return 1;
}

enum status policy_set_parse(const char *text, const char *name, struct policy_set *ret_set,
                             struct detail *ret_detail)
{
    struct ini_input input = {.at = text, .set = ret_set};
    ret_set->count = 0;
    int syntax = ini_parse_stream(read_line, &input, take_pair, &input);
    section_end(&input);
    if (syntax < 0)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "%s: out of memory", name);
    if (syntax > 0 && (input.failed_line == 0 || (uint32_t)syntax < input.failed_line))
        return detail_set(ret_detail, STATUS_CONFIG, "%s:%d: expected KEY = VALUE", name, syntax);
    if (input.failed_line != 0)
        return detail_set(ret_detail, STATUS_CONFIG, "%s:%u: %s", name, input.failed_line,
                          input.failure.text);
    struct detail failure;
    enum status status = policy_set_render(ret_set, &failure);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "%s:%u: %s", name, input.line, failure.text);
    return STATUS_OK;
}
