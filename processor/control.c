#include "processor/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/logger.h"
#include "common/event/codec.h"
#include "common/wire/control.h"
#include "processor/report.h"

enum {
    REPLY_BYTES_MAX = 512 * 1024,
    REQUESTS_PER_TURN_MAX = 64,
    BODY_BYTES_MAX = REPLAY_BODY_BYTES_MAX + BATCH_BYTES_MAX,
};

struct control {
    struct service *service;
    struct socket *socket;
    struct reader *reader;
    struct frame frame;
    struct buffer reply;         /* scratch */
    struct buffer body;          /* scratch: records of a replay */
    uint32_t calls_out;          /* with other threads */
    bool change_out;             /* one of them changes the policies */
    struct policy_set *policies; /* in force, as far as that is durable; owned */
    struct detail damage;        /* what a replay found damaged; "" for nothing */
    struct presence presence;
    struct first_kept first; /* where the log begins … */
    uint64_t first_drops;    /* … after so many drops; UINT64_MAX: not known */
};

struct control *control_new(struct service *service, struct socket *socket, struct reader *reader,
                            const struct policy_set *policies)
{
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL)
        return NULL;
    control->policies = malloc(sizeof *control->policies);
    if (control->policies == NULL) {
        free(control);
        return NULL;
    }
    *control->policies = *policies;
    control->service = service;
    control->socket = socket;
    control->reader = reader;
    control->first_drops = UINT64_MAX;
    frame_init(&control->frame);
    buffer_init(&control->reply, REPLY_BYTES_MAX);
    buffer_init(&control->body, BODY_BYTES_MAX);
    return control;
}

void control_destroy(struct control **control)
{
    if (*control == NULL)
        return;
    reader_destroy(&(*control)->reader);
    frame_fini(&(*control)->frame);
    buffer_fini(&(*control)->reply);
    buffer_fini(&(*control)->body);
    free((*control)->policies);
    free(*control);
    *control = NULL;
}

/* ---- replies ---- */

/* Sends what stands in `reply` (and `body`). A peer that is gone or does not read loses it; it asks
 * again. */
static void reply_send(struct control *control, const struct envelope *envelope, bool with_body)
{
    if (control->reply.status != STATUS_OK) {
        buffer_clear(&control->reply);
        control_error_write(&control->reply, CONTROL_CODE_UNAVAILABLE, "the reply has no room");
        with_body = false;
    }
    const struct slice body = buffer_slice(&control->body);
    enum status status = envelope_send(control->socket, envelope, buffer_slice(&control->reply),
                                       with_body ? &body : NULL);
    if (status != STATUS_OK)
        counter_add(&control->service->counters.publish_failures, 1);
}

static void reply_error(struct control *control, const struct envelope *envelope,
                        enum control_code code, const struct detail *detail)
{
    buffer_clear(&control->reply);
    control_error_write(&control->reply, code, detail->text);
    reply_send(control, envelope, false);
}

static void reply_refusal(struct control *control, const struct envelope *envelope,
                          enum control_code code, const char *text)
{
    struct detail detail;
    detail_write(&detail, "%s", text);
    reply_error(control, envelope, code, &detail);
}

static void reply_failure(struct control *control, const struct envelope *envelope,
                          enum status status, const struct detail *detail)
{
    enum control_code code = status == STATUS_GONE ? CONTROL_CODE_GONE : CONTROL_CODE_UNAVAILABLE;
    if (status == STATUS_DAMAGED || status == STATUS_IO) {
        log_error("a replay met damage", "what=\"%s\"", detail->text);
        control->damage = *detail;
    }
    reply_error(control, envelope, code, detail);
}

/* ---- verbs ---- */

static void hello_tell(struct control *control, const struct call *call)
{
    struct hello_reply reply = {.log_id = control->service->log_id,
                                .epoch = call->hello.epoch,
                                .last_sequence = call->hello.last_sequence};
    buffer_clear(&control->reply);
    hello_reply_write(&control->reply, &reply);
    reply_send(control, &call->envelope, false);
}

static void policy_tell(struct control *control, const struct envelope *envelope)
{
    buffer_clear(&control->reply);
    control_ok_write(&control->reply, 1);
    codec_text(&control->reply, control->policies->text);
    reply_send(control, envelope, false);
}

/* The change is durable: from here on it is told. */
static void change_tell(struct control *control, struct call *call)
{
    struct change *change = &call->change;
    struct policy_set *before = control->policies;
    log_info("the policy was changed",
             "event_id=%" PRIu64 " by=control laps=%" PRIu32 " paused_ms=%.1f", change->event_id,
             change->laps, (double)change->paused_ns / (double)NS_PER_MS);
    control->policies = change->policies;
    change->policies = before;
    policy_tell(control, &call->envelope);
}

static enum control_code code_of(enum status status)
{
    switch (status) {
    case STATUS_FULL: /* the log holds more than the policy may keep */
    case STATUS_TOO_LARGE:
    case STATUS_GONE:
        return CONTROL_CODE_INVALID;
    default:
        return CONTROL_CODE_UNAVAILABLE;
    }
}

static void call_answer(struct control *control, struct call *call)
{
    if (call->status != STATUS_OK)
        reply_error(control, &call->envelope, code_of(call->status), &call->detail);
    else if (call->kind == CALL_HELLO)
        hello_tell(control, call);
    else
        change_tell(control, call);
    call_destroy(&call);
}

/* Hands a call to the core; takes it over. */
static void call_pass(struct control *control, struct call *call)
{
    if (control->calls_out < CALLS_WAITING_MAX &&
        queue_try_push(control->service->to_core, call) == STATUS_OK) {
        control->calls_out++;
        control->change_out = control->change_out || call->kind == CALL_POLICY_SET;
        return;
    }
    call->status = detail_set(&call->detail, STATUS_UNAVAILABLE,
                              "%d calls are waiting already: ask again", CALLS_WAITING_MAX);
    call_answer(control, call);
}

static void hello(struct control *control, const struct envelope *envelope, struct slice source)
{
    struct call *call = call_new(CALL_HELLO, envelope);
    if (call == NULL) {
        reply_refusal(control, envelope, CONTROL_CODE_UNAVAILABLE, "out of memory");
        return;
    }
    memcpy(call->hello.source, source.data, source.size);
    call->hello.source_size = (uint32_t)source.size;
    call_pass(control, call);
}

/* The policies that a text asks for, on the heap. CONFIG with line and reason, NO_MEMORY. */
static enum status policies_read(struct slice text, struct policy_set **ret_policies,
                                 struct detail *ret_detail)
{
    if (text.size >= POLICY_TEXT_BYTES_MAX || memchr(text.data, 0, text.size) != NULL)
        return detail_set(ret_detail, STATUS_CONFIG, "policy: a text of at most %d bytes, none 0",
                          POLICY_TEXT_BYTES_MAX - 1);
    char *copy = calloc(1, text.size + 1);
    struct policy_set *policies = calloc(1, sizeof *policies);
    enum status status = detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    if (copy != NULL && policies != NULL) {
        memcpy(copy, text.data, text.size);
        status = policy_set_parse(copy, "policy", policies, ret_detail);
    }
    free(copy);
    if (status == STATUS_OK)
        *ret_policies = policies;
    else
        free(policies);
    return status;
}

static void policy_set(struct control *control, const struct envelope *envelope, struct slice text)
{
    struct policy_set *policies = NULL;
    struct detail detail;
    enum status status = policies_read(text, &policies, &detail);
    if (status != STATUS_OK) {
        reply_error(control, envelope,
                    status == STATUS_CONFIG ? CONTROL_CODE_INVALID : CONTROL_CODE_UNAVAILABLE,
                    &detail);
        return;
    }
    struct call *call = NULL;
    if (control->change_out)
        reply_refusal(control, envelope, CONTROL_CODE_UNAVAILABLE,
                      "another change of the policies is under way: ask again");
    else if (strcmp(policies->text, control->policies->text) == 0)
        policy_tell(control, envelope);
    else if ((call = call_new(CALL_POLICY_SET, envelope)) == NULL)
        reply_refusal(control, envelope, CONTROL_CODE_UNAVAILABLE, "out of memory");
    if (call == NULL) {
        free(policies);
        return;
    }
    call->change.policies = policies;
    call_pass(control, call);
}

static void replay(struct control *control, const struct envelope *envelope,
                   const struct control_request *request)
{
    struct durable durable = log_durable(control->service->log);
    struct replay_reply reply = {.log_id = control->service->log_id};
    struct detail detail;
    buffer_clear(&control->body);
    enum status status = reader_replay(control->reader, &durable, request->stream, request->from,
                                       request->max, &control->body, &reply, &detail);
    if (status != STATUS_OK) {
        reply_failure(control, envelope, status, &detail);
        return;
    }
    buffer_clear(&control->reply);
    replay_reply_write(&control->reply, &reply);
    reply_send(control, envelope, true);
}

static void seek(struct control *control, const struct envelope *envelope,
                 const struct control_request *request)
{
    struct durable durable = log_durable(control->service->log);
    struct detail detail;
    uint64_t id;
    enum status status =
        reader_seek(control->reader, &durable, request->stream, request->time_ns, &id, &detail);
    if (status != STATUS_OK) {
        reply_failure(control, envelope, status, &detail);
        return;
    }
    buffer_clear(&control->reply);
    control_ok_write(&control->reply, 1);
    codec_uint(&control->reply, id);
    reply_send(control, envelope, false);
}

/* Where the log begins changes only when retention has dropped something. */
static void first_refresh(struct control *control)
{
    uint64_t drops = counter_get(&control->service->counters.drops);
    if (control->first_drops == drops)
        return;
    enum status status =
        retention_first_kept(control->service->store_directory, &control->first, NULL);
    if (status == STATUS_NOT_FOUND) {
        control->first.event_id = control->first.rejection_id = 1;
        snprintf(control->first.policy_text, sizeof control->first.policy_text, "%s",
                 control->service->genesis_policy);
    }
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        control->first_drops = drops;
}

static void status_tell(struct control *control, const struct envelope *envelope,
                        struct slice projector)
{
    if (projector.size > 0)
        presence_note(&control->presence, projector, clock_boot_ns());
    buffer_clear(&control->reply);
    control_ok_write(&control->reply, 1);
    first_refresh(control);
    const struct status_notes notes = {.policies = control->policies,
                                       .damage = control->damage.text,
                                       .presence = &control->presence,
                                       .first = &control->first};
    report_status(control->service, &notes, &control->reply);
    reply_send(control, envelope, false);
}

static void answer(struct control *control, const struct envelope *envelope, struct slice frame)
{
    struct control_request request;
    enum control_code code;
    struct detail detail;
    if (control_request_read(frame, &request, &code, &detail) != STATUS_OK) {
        reply_error(control, envelope, code, &detail);
        return;
    }
    switch (request.verb) {
    case CONTROL_HELLO:
        hello(control, envelope, request.source);
        break;
    case CONTROL_REPLAY:
        replay(control, envelope, &request);
        break;
    case CONTROL_SEEK:
        seek(control, envelope, &request);
        break;
    case CONTROL_STATUS:
        status_tell(control, envelope, request.projector);
        break;
    case CONTROL_POLICY_GET:
        policy_tell(control, envelope);
        break;
    case CONTROL_POLICY_SET:
        policy_set(control, envelope, request.text);
        break;
    case CONTROL_EXPLAIN:
        reply_refusal(control, envelope, CONTROL_CODE_UNSUPPORTED,
                      "this processor does not answer it yet");
        break;
    case CONTROL_VIEWS:
    case CONTROL_VIEW:
        reply_refusal(control, envelope, CONTROL_CODE_UNKNOWN_VERB,
                      "views are asked of a projector, at its query socket");
        break;
    }
}

/* ---- requests ---- */

/* Takes one request; false when none is waiting. */
static bool request_take(struct control *control)
{
    struct envelope envelope;
    enum status status = envelope_receive(control->socket, &envelope, &control->frame);
    if (status == STATUS_OK)
        answer(control, &envelope, frame_slice(&control->frame));
    else if (status == STATUS_TOO_LARGE)
        reply_refusal(control, &envelope, CONTROL_CODE_BAD_REQUEST, envelope_limits_text);
    return status == STATUS_OK || status == STATUS_TOO_LARGE;
}

static void calls_answer(struct control *control)
{
    void *item;
    while (queue_pop(control->service->to_control, &item, 1, 0) == 1) {
        struct call *call = item;
        control->calls_out--;
        if (call->kind == CALL_POLICY_SET) {
            control->change_out = false;
            pin_clear(&control->service->pin); /* if it was made, the log tells what it needs */
        }
        call_answer(control, call);
    }
}

void control_run(struct control *control, int stop_fd)
{
    struct socket_wait items[] = {{.fd = queue_descriptor(control->service->to_control)},
                                  {.fd = stop_fd},
                                  {.socket = control->socket}};
    for (;;) {
        enum status status = socket_wait(items, 3, -1);
        if (status != STATUS_OK && status != STATUS_INTERRUPTED)
            break;
        calls_answer(control);
        if (items[1].ready)
            break;
        for (int i = 0; i < REQUESTS_PER_TURN_MAX && request_take(control); i++)
            ;
    }
}
