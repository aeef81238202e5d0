#include "projector/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/app/moment.h"
#include "common/app/options.h"
#include "common/event/event.h"
#include "common/wire/request.h"
#include "projector/core/answer.h"
#include "projector/query_print.h"

#define PROGRAM "weir-projector"

enum {
    IO_THREADS = 1,
    TEXT_BYTES_MAX = 2 * ANSWER_BYTES_MAX, /* of what is printed */
};

struct query_options {
    struct endpoint_options endpoints;
    const char *name, *at;
    bool json;
};

static enum status take_options(int argc, char **argv, struct query_options *options,
                                struct command *command, char ***ret_operands)
{
    struct option_spec specs[] = {
        {"at", "X",
         "as of an event ('#1234'), a time (RFC 3339) or a length before the last one (-5m); "
         "default "
         "now",
         OPTION_TEXT, &options->at, 0},
        {"name", "NAME", "which projector to ask (default main)", OPTION_TEXT, &options->name, 0},
        {"json", NULL, "print one JSON object", OPTION_FLAG, &options->json, 0},
        {"query", "ENDPOINT", "override where queries are answered", OPTION_TEXT,
         &options->endpoints.query, 0},
        {"run-dir", "DIR", "folder of the sockets (default $XDG_RUNTIME_DIR/weir or /tmp/weir-UID)",
         OPTION_TEXT, &options->endpoints.run_dir, 0},
    };
    command->options = specs;
    command->option_count = sizeof specs / sizeof specs[0];
    enum status status = options_parse(PROGRAM, command, argc, argv, ret_operands, NULL);
    command->options = NULL;
    command->option_count = 0;
    return status;
}

/* Is *ret_moment one, or is none asked for? */
static enum status parse_at(const struct command *command, const char *at, bool *ret_has_moment,
                            struct moment *ret_moment)
{
    struct detail detail = {.text = ""};
    *ret_has_moment = at != NULL;
    if (at == NULL || moment_parse(at, ret_moment, &detail) == STATUS_OK)
        return STATUS_OK;
    return options_usage(PROGRAM, command, "--at %s", detail.text);
}

/* The one item of a good reply; it borrows the frame. */
static enum status read_view(const struct frame *reply, struct slice *ret_map,
                             struct detail *ret_detail)
{
    enum status status = control_reply_map_read(frame_slice(reply), ret_map, ret_detail);
    /* What was asked for is not to be had; no fault of the input. */
    return status == STATUS_INVALID ? STATUS_NOT_FOUND : status;
}

/* The last log time that the projector knows of. */
static enum status ask_last_time(struct socket *socket, struct slice view, uint64_t *ret_time_ns,
                                 struct detail *ret_detail)
{
    struct control_request request = {.verb = CONTROL_VIEW, .view = view, .limit = 1};
    struct frame reply;
    struct slice map;
    struct mp_reader time;
    frame_init(&reply);
    enum status status = request_exchange(socket, &request, lifecycle_fd(), &reply, ret_detail);
    if (status == STATUS_OK)
        status = read_view(&reply, &map, ret_detail);
    if (status == STATUS_OK && (event_field(map, slice_of_text("time"), &time) != STATUS_OK ||
                                mp_read_uint(&time, ret_time_ns) != STATUS_OK))
        status = detail_set(ret_detail, STATUS_DAMAGED, "a reply that has no time");
    frame_fini(&reply);
    return status;
}

/* Makes it a request as of the moment. */
static enum status set_moment(struct socket *socket, struct moment moment,
                              struct control_request *request, struct detail *ret_detail)
{
    uint64_t last_time_ns = 0;
    enum status status = STATUS_OK;
    if (moment.kind == MOMENT_BACK)
        status = ask_last_time(socket, request->view, &last_time_ns, ret_detail);
    moment = moment_resolve(moment, last_time_ns);
    request->at = moment.kind == MOMENT_ID ? AT_EVENT_ID : AT_TIME;
    if (moment.kind == MOMENT_ID)
        request->at_event_id = moment.value;
    else
        request->time_ns = moment.value;
    return status;
}

/* Exchanges the request, as of `moment` where that is not NULL, for the reply of the projector. */
static enum status exchange(const struct query_options *options, const struct moment *moment,
                            struct control_request *request, struct frame *ret_reply,
                            struct detail *ret_detail)
{
    const char *name = options->name;
    struct endpoints endpoints;
    char endpoint[ENDPOINT_BYTES_MAX];
    struct socket *socket = NULL;
    enum status status = endpoints_resolve(&options->endpoints, &endpoints, ret_detail);
    if (status == STATUS_OK)
        status = endpoint_query(&options->endpoints, &endpoints, name, endpoint, ret_detail);
    if (status == STATUS_OK)
        status = socket_setup(IO_THREADS, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct socket_options to = {.kind = SOCKET_DEALER,
                                .endpoint = endpoint,
                                .high_water_mark = 1,
                                .message_bytes_max = ANSWER_BYTES_MAX};
    status = socket_open(&to, &socket, ret_detail);
    if (status == STATUS_OK && moment != NULL)
        status = set_moment(socket, *moment, request, ret_detail);
    if (status == STATUS_OK)
        status = request_exchange(socket, request, lifecycle_fd(), ret_reply, ret_detail);
    if (status == STATUS_UNAVAILABLE)
        status =
            detail_set(ret_detail, status,
                       "no projector answers at %s: start one with '" PROGRAM " run --name %s'",
                       endpoint, name);
    socket_close(&socket);
    return status;
}

static enum status write_out(const struct buffer *text, FILE *file, struct detail *ret_detail)
{
    if (text->size > 0 && fwrite(text->data, 1, text->size, file) != text->size)
        return detail_set(ret_detail, STATUS_IO, "cannot write the view");
    return fflush(file) == 0 ? STATUS_OK
                             : detail_set(ret_detail, STATUS_IO, "cannot write the view");
}

static enum status print(struct slice map, bool json, struct detail *ret_detail)
{
    struct buffer text;
    buffer_init(&text, TEXT_BYTES_MAX);
    enum status status = json ? query_print_json(map, &text) : query_print_table(map, &text);
    if (status == STATUS_OK)
        status = write_out(&text, stdout, ret_detail);
    buffer_clear(&text);
    if (status == STATUS_OK && !json) {
        status = query_print_position(map, &text);
        if (status == STATUS_OK)
            status = write_out(&text, stderr, ret_detail);
    }
    buffer_fini(&text);
    if (status == STATUS_INVALID || status == STATUS_MALFORMED || status == STATUS_NOT_FOUND)
        return detail_set(ret_detail, STATUS_DAMAGED, "a reply that this version cannot read");
    return status;
}

int query_main(int argc, char **argv)
{
    struct command command = {.name = "query",
                              .operands = "VIEW",
                              .help = "ask a running projector for a view",
                              .operands_min = 1,
                              .operands_max = 1};
    struct query_options options = {.name = "main"};
    struct control_request request = {.verb = CONTROL_VIEW};
    struct detail detail = {.text = ""};
    struct frame reply;
    struct slice map = {NULL, 0};
    char **operands = NULL;
    struct moment moment;
    bool has_moment = false;
    enum status status = take_options(argc, argv, &options, &command, &operands);
    if (status == STATUS_OK)
        status = parse_at(&command, options.at, &has_moment, &moment);
    if (status != STATUS_OK)
        return (int)status_exit_code(status);

    frame_init(&reply);
    request.view = slice_of_text(operands[0]);
    status = lifecycle_start(&detail);
    if (status == STATUS_OK)
        status = exchange(&options, has_moment ? &moment : NULL, &request, &reply, &detail);
    if (status == STATUS_OK)
        status = read_view(&reply, &map, &detail);
    if (status == STATUS_OK)
        status = print(map, options.json, &detail);
    frame_fini(&reply);
    socket_teardown();
    return status == STATUS_OK ? EXIT_CODE_DONE : lifecycle_fail(PROGRAM, status, &detail);
}
