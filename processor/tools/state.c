#include "processor/tools/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/moment.h"
#include "common/app/options.h"
#include "common/base/clock.h"
#include "common/base/duration.h"
#include "common/event/codec.h"
#include "common/event/json.h"
#include "processor/core/explain.h"
#include "processor/recall.h"
#include "processor/tools/filling.h"
#include "processor/tools/store_view.h"

#define PROGRAM "weir-processor"

enum {
    KEYS_SHOWN = 20, /* of a policy, the fullest first */
    JSON_BYTES_MAX = 8 * 1024 * 1024,
};

struct state_options {
    const char *store, *at, *policy, *key;
    bool json;
};

struct show {
    struct state_options options;
    struct moment at;
    struct store_view *view;
    struct state *state;                 /* NULL: there was none */
    struct buffer json;                  /* the answer's MessagePack */
    struct explain_key keys[KEYS_SHOWN]; /* of the policy at hand, the fullest first */
    uint32_t key_count;                  /* of those and the others that were asked for */
};

/* ---- options ---- */

static enum status check_options(struct show *show, const struct command *command)
{
    struct detail detail;
    const struct state_options *o = &show->options;
    if (o->store == NULL)
        return options_usage(PROGRAM, command, "--store DIR is missing");
    if (o->at != NULL && moment_parse(o->at, &show->at, &detail) != STATUS_OK)
        return options_usage(PROGRAM, command, "--at %s", detail.text);
    return STATUS_OK;
}

static enum status options_read(struct show *show, int argc, char **argv)
{
    struct state_options *o = &show->options;
    const struct option_spec specs[] = {
        {"store", "DIR", "folder of the log", OPTION_TEXT, &o->store, 0},
        {"at", "X",
         "as of '#ID', a time (RFC 3339), or -5m before the log's last time (default: "
         "the end of the log)",
         OPTION_TEXT, &o->at, 0},
        {"policy", "NAME", "only this policy", OPTION_TEXT, &o->policy, 0},
        {"key", "K", "only this key, and which events fill its window", OPTION_TEXT, &o->key, 0},
        {"json", NULL, "print one JSON object", OPTION_FLAG, &o->json, 0},
    };
    const struct command command = {.name = "state",
                                    .help = "show the limiter's own state as of any event or time",
                                    .options = specs,
                                    .option_count = sizeof specs / sizeof specs[0]};
    char **operands;
    int operand_count;
    enum status status = options_parse(PROGRAM, &command, argc, argv, &operands, &operand_count);
    return status == STATUS_OK ? check_options(show, &command) : status;
}

/* ---- the state ---- */

/* Where the fold ends; *ret_none: before the first event. */
static enum status find_end(struct show *show, struct fold_end *ret_end, bool *ret_none,
                            struct detail *ret_detail)
{
    const struct durable *durable = store_view_durable(show->view);
    struct moment at = moment_resolve(show->at, durable->last_time_ns);
    uint64_t next_id = 1;
    *ret_end = FOLD_END_NONE;
    *ret_none = durable->last_event_id == 0;
    if (show->options.at == NULL)
        return STATUS_OK;
    if (at.kind == MOMENT_ID) {
        if (at.value > durable->last_event_id)
            return detail_set(ret_detail, STATUS_NOT_FOUND, "--at %s: the last event is #%" PRIu64,
                              show->options.at, durable->last_event_id);
        ret_end->event_id = at.value;
        *ret_none = at.value == 0;
        return STATUS_OK;
    }
    ret_end->time_ns = at.value;
    enum status status =
        reader_seek(store_view_reader(show->view), durable, STREAM_ACCEPTED,
                    at.value == UINT64_MAX ? at.value : at.value + 1, &next_id, ret_detail);
    *ret_none = next_id <= 1;
    return status;
}

static enum status recall(struct show *show, struct detail *ret_detail)
{
    struct fold_end end;
    bool none = false;
    enum status status = find_end(show, &end, &none, ret_detail);
    if (status != STATUS_OK || none)
        return status;
    struct slice only = {NULL, 0}; /* all keys */
    if (show->options.key != NULL)
        only = slice_of_text(show->options.key);
    return recall_state(show->options.store, store_view_durable(show->view), end, only,
                        &show->state, ret_detail);
}

/* ---- keys ---- */

static bool is_fuller(const struct explain_key *left, const struct explain_key *right)
{
    if (left->units != right->units)
        return left->units > right->units;
    if (left->key.is_text != right->key.is_text)
        return right->key.is_text;
    if (left->key.is_text)
        return slice_compare(left->key.text, right->key.text) < 0;
    return left->key.bits < right->key.bits;
}

static void keep_fullest(struct show *show, const struct explain_key *key)
{
    uint32_t at = show->key_count < KEYS_SHOWN ? show->key_count : KEYS_SHOWN;
    show->key_count++;
    for (; at > 0 && is_fuller(key, &show->keys[at - 1]); at--)
        if (at < KEYS_SHOWN)
            show->keys[at] = show->keys[at - 1];
    if (at < KEYS_SHOWN)
        show->keys[at] = *key;
}

static void collect_keys(struct show *show, uint32_t policy)
{
    const char *wanted = show->options.key;
    uint32_t slots = explain_slot_count(show->state, policy);
    show->key_count = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        struct explain_key key;
        struct window_walk walk;
        if (explain_slot_walk(show->state, policy, slot, &key.key, &walk) &&
            (wanted == NULL || policy_key_is(&key.key, slice_of_text(wanted))) &&
            explain_slot(show->state, policy, slot, &key))
            keep_fullest(show, &key);
    }
}

/* ---- output: one MessagePack map, printed as JSON or as text ---- */

static void pair_text(struct buffer *json, const char *name, const char *value)
{
    codec_text(json, name);
    codec_text(json, value);
}

static void pair_uint(struct buffer *json, const char *name, uint64_t value)
{
    codec_text(json, name);
    codec_uint(json, value);
}

static void pair_time(struct buffer *json, const char *name, uint64_t time_ns)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format(time_ns, text);
    pair_text(json, name, text);
}

static void write_filling(struct show *show, const struct filling *filling)
{
    uint64_t shown = filling->count < FILLING_SHOWN ? filling->count : FILLING_SHOWN;
    if (show->options.json) {
        codec_text(&show->json, "events");
        codec_array(&show->json, (uint32_t)shown);
    } else {
        printf("    filled by");
    }
    for (uint64_t i = filling->count - shown; i < filling->count; i++) {
        if (show->options.json)
            codec_uint(&show->json, filling->ids[i % FILLING_SHOWN]);
        else
            printf(" #%" PRIu64, filling->ids[i % FILLING_SHOWN]);
    }
    if (show->options.json) {
        pair_uint(&show->json, "more_events", filling->count - shown);
        codec_text(&show->json, "events_gone");
        codec_bool(&show->json, filling->gone);
        return;
    }
    if (filling->count > shown)
        printf(" and %" PRIu64 " before them", filling->count - shown);
    if (filling->gone)
        printf("%s that are no longer kept", shown > 0 ? " and others" : " events");
    printf("\n");
}

static void print_key(const struct policy *policy, const struct explain_key *key, uint64_t now_ns)
{
    char fits[CLOCK_TEXT_BYTES];
    if (key->key.is_text)
        printf("  %.*s", (int)key->key.text.size, (const char *)key->key.text.data);
    else if (key->key.is_negative)
        printf("  %" PRId64, (int64_t)key->key.bits);
    else
        printf("  %" PRIu64, key->key.bits);
    printf(": %" PRIu64 " of %" PRIu64 " units, the next fits ", key->units, policy->quota);
    if (key->fits_in_ns == 0) {
        printf("now\n");
        return;
    }
    clock_format(now_ns + key->fits_in_ns, fits);
    printf("in %.3f s, at %s\n", (double)key->fits_in_ns / (double)NS_PER_S, fits);
}

static enum status show_key(struct show *show, uint32_t policy, const struct explain_key *key,
                            struct detail *ret_detail)
{
    struct filling filling = {.count = 0};
    const bool asked = show->options.key != NULL;
    const uint64_t now_ns = explain_now_ns(show->state);
    enum status status = STATUS_OK;
    if (asked)
        status = filling_find(store_view_reader(show->view), store_view_durable(show->view),
                              show->state, policy, key, &filling, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (show->options.json) {
        codec_map(&show->json, asked ? 6 : 3);
        codec_text(&show->json, "key");
        policy_key_write(&key->key, &show->json);
        pair_uint(&show->json, "units", key->units);
        pair_time(&show->json, "next_fits_at", now_ns + key->fits_in_ns);
    } else {
        print_key(&state_policies(show->state)->items[policy], key, now_ns);
    }
    if (asked)
        write_filling(show, &filling);
    return STATUS_OK;
}

static enum status show_policy(struct show *show, uint32_t index, struct detail *ret_detail)
{
    const struct policy *policy = &state_policies(show->state)->items[index];
    enum status status = STATUS_OK;
    collect_keys(show, index);
    uint32_t shown = show->key_count < KEYS_SHOWN ? show->key_count : KEYS_SHOWN;
    char window[DURATION_TEXT_BYTES];
    duration_format(policy->window_ns, window);
    const bool all = show->options.key == NULL; /* else how many keys there are is not known */
    if (show->options.json) {
        codec_map(&show->json, all ? 6 : 5);
        pair_text(&show->json, "policy", policy->name);
        pair_uint(&show->json, "quota", policy->quota);
        pair_text(&show->json, "window", window);
        if (all)
            pair_uint(&show->json, "live_keys", state_policy_keys(show->state, index));
        pair_uint(&show->json, "more_keys", show->key_count - shown);
        codec_text(&show->json, "keys");
        codec_array(&show->json, shown);
    } else {
        printf("policy %s: %" PRIu64 " units in %s%s", policy->name, policy->quota, window,
               policy->mode == POLICY_SHADOW ? ", shadow" : "");
        if (all)
            printf("; %" PRIu64 " keys in their windows", state_policy_keys(show->state, index));
        printf("\n");
    }
    for (uint32_t i = 0; i < shown && status == STATUS_OK; i++)
        status = show_key(show, index, &show->keys[i], ret_detail);
    if (show->options.json || status != STATUS_OK)
        return status;
    if (show->options.key != NULL && shown == 0)
        printf("  %s: 0 of %" PRIu64 " units, the next fits now\n", show->options.key,
               policy->quota);
    if (show->key_count > shown)
        printf("  and %u more keys\n", show->key_count - shown);
    return STATUS_OK;
}

static bool asked_for(const struct show *show, uint32_t index)
{
    return show->options.policy == NULL ||
           strcmp(show->options.policy, state_policies(show->state)->items[index].name) == 0;
}

static enum status show_policies(struct show *show, struct detail *ret_detail)
{
    const struct policy_set *policies = state_policies(show->state);
    uint32_t count = 0;
    for (uint32_t i = 0; i < policies->count; i++)
        count += asked_for(show, i) ? 1 : 0;
    if (show->options.policy != NULL && count == 0)
        return detail_set(ret_detail, STATUS_NOT_FOUND, "no policy %s was in force then",
                          show->options.policy);
    if (show->options.json) {
        codec_text(&show->json, "policies");
        codec_array(&show->json, count);
    } else if (count == 0) {
        printf("no policy in force: nothing is limited\n");
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < policies->count && status == STATUS_OK; i++)
        if (asked_for(show, i))
            status = show_policy(show, i, ret_detail);
    return status;
}

static enum status show_nothing(struct show *show)
{
    if (!show->options.json) {
        printf("no state: no event had been accepted%s%s\n",
               show->options.at != NULL ? " as of " : "",
               show->options.at != NULL ? show->options.at : "");
        return STATUS_OK;
    }
    codec_map(&show->json, 1);
    codec_text(&show->json, "state");
    codec_nil(&show->json);
    return STATUS_OK;
}

static enum status show_state(struct show *show, struct detail *ret_detail)
{
    if (show->state == NULL)
        return show_nothing(show);
    const struct position position = state_position(show->state);
    char time[CLOCK_TEXT_BYTES], digest[20];
    clock_format(explain_now_ns(show->state), time);
    (void)snprintf(digest, sizeof digest, "%016" PRIx64, state_digest(show->state));
    if (show->options.json) {
        codec_map(&show->json, 6);
        pair_uint(&show->json, "event_id", position.last_event_id);
        pair_uint(&show->json, "rejection_id", position.last_rejection_id);
        pair_text(&show->json, "time", time);
        pair_uint(&show->json, "sources", state_source_count(show->state));
        pair_text(&show->json, "digest", digest);
    } else {
        printf("state behind event #%" PRIu64 " and rejection #%" PRIu64
               ", as of %s: %u sources, digest %s\n",
               position.last_event_id, position.last_rejection_id, time,
               state_source_count(show->state), digest);
    }
    return show_policies(show, ret_detail);
}

static enum status print_json(struct show *show, struct detail *ret_detail)
{
    struct buffer text;
    buffer_init(&text, 4 * JSON_BYTES_MAX);
    enum status status = show->json.status;
    if (status == STATUS_OK)
        status = json_write_item(buffer_slice(&show->json), &text);
    if (status == STATUS_OK)
        printf("%.*s\n", (int)text.size, (const char *)text.data);
    else
        detail_write(ret_detail, "the state cannot be shown: %s", status_text(status));
    buffer_fini(&text);
    return status;
}

static enum status run(struct show *show, struct detail *ret_detail)
{
    const struct moment now = {.kind = MOMENT_BACK};
    enum status status = lifecycle_start(ret_detail);
    if (status == STATUS_OK)
        status =
            store_view_open_until(show->options.store, show->options.at == NULL ? &now : &show->at,
                                  &show->view, ret_detail);
    if (status == STATUS_OK)
        status = recall(show, ret_detail);
    if (status == STATUS_OK)
        status = show_state(show, ret_detail);
    if (status == STATUS_OK && show->options.json)
        status = print_json(show, ret_detail);
    if (status == STATUS_OK && fflush(stdout) != 0)
        status = detail_set(ret_detail, STATUS_IO, "cannot write the output");
    return status;
}

int state_main(int argc, char **argv)
{
    struct show show = {.options = {.store = NULL}};
    struct detail detail = {""};
    enum status status = options_read(&show, argc, argv);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);
    buffer_init(&show.json, JSON_BYTES_MAX);
    status = run(&show, &detail);
    state_destroy(&show.state);
    store_view_close(&show.view);
    buffer_fini(&show.json);
    return status == STATUS_OK ? EXIT_CODE_DONE : lifecycle_fail(PROGRAM, status, &detail);
}
