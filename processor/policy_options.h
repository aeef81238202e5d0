/* policy_options: --policy FILE and --limit SPEC, of every command that may bring policies along.
 */
#ifndef WEIR_PROCESSOR_POLICY_OPTIONS_H
#define WEIR_PROCESSOR_POLICY_OPTIONS_H

#include "common/app/options.h"
#include "common/policy/policy.h"

struct policy_options {
    const char *file;          /* NULL: not given */
    struct option_list limits; /* as the user wrote them */
};

/* To put into a command's table: */
#define OPTIONS_POLICY(p)                                                                          \
    {"policy", "FILE", "rate limits, INI (default: those in the log)", OPTION_TEXT, &(p).file, 0}, \
    {                                                                                              \
        "limit", "SPEC", "one rate limit: '\"name\";q=100;w=60;pk=source' (repeatable)",           \
            OPTION_LIST, &(p).limits, 0                                                            \
    }

/* Both kinds at once? Then the command line is wrong. */
static inline bool policy_options_clash(const struct policy_options *options)
{
    return options->file != NULL && options->limits.count > 0;
}

/* Was anything given? Otherwise the policies in the log stay. */
static inline bool policy_options_given(const struct policy_options *options)
{
    return options->file != NULL || options->limits.count > 0;
}

/* What was given, or no policies at all; `ret_policies` is undefined after a failure. CONFIG, with
 * file and line where there is one. */
MUST_USE enum status policy_options_read(const struct policy_options *options,
                                         struct policy_set *ret_policies,
                                         struct detail *ret_detail);

#endif
