/* control: the thread behind the `control` socket: hello and policy set (through the core), policy
 * get, replay, seek, status.
 *
 * It answers from the durable part of the log only, with a reader of its own. Any bytes get a reply
 * or are dropped; none abort. One request costs at most one megabyte of reading, so a busy reader
 * cannot starve the others for long.
 */
#ifndef WEIR_PROCESSOR_CONTROL_H
#define WEIR_PROCESSOR_CONTROL_H

#include "common/wire/socket.h"
#include "processor/service.h"
#include "processor/store/reader.h"

struct control;

/* The socket is the bound ROUTER socket; takes over the reader, copies the policies in force. NULL
 * when out of memory. */
struct control *control_new(struct service *service, struct socket *socket, struct reader *reader,
                            const struct policy_set *policies);
void control_destroy(struct control **control);

/* Runs until stop_fd is readable and every call that came back has been answered. */
void control_run(struct control *control, int stop_fd);

#endif
