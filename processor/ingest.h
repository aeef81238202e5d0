/* ingest: the core thread. It alone owns the state.
 *
 *     receive → check → decode → decide → apply → append      (intake.h: one submission)
 *
 * Takes submissions from the PULL socket and calls from control into the draft (draft.h), and
 * hands that to the commit thread when nothing more is waiting, or when it is full: sync → publish
 * → acknowledge. One reading of the clock per batch. With no reserved room in the log it takes
 * nothing in: producers are held by ZeroMQ's high-water mark.
 */
#ifndef WEIR_PROCESSOR_INGEST_H
#define WEIR_PROCESSOR_INGEST_H

#include "common/wire/socket.h"
#include "processor/service.h"

struct ingest;

/* Takes over `state`. NULL when out of memory. The socket is the bound PULL socket; run and destroy
 * belong to the same thread. */
struct ingest *ingest_new(struct service *service, struct state *state, struct socket *socket);
void ingest_destroy(struct ingest **ingest);

/* Runs until `stop_fd` is readable; then seals what it holds and closes the queue to commit. */
void ingest_run(struct ingest *ingest, int stop_fd);

#endif
