/* commit: the thread that makes batches durable and only then tells anyone.
 *
 *     take all that wait → one write, one fdatasync → publish accepted and rejected → acknowledge →
 * answer hellos
 *
 * It also sends the heartbeat (every second, and 100 ms after the last batch) and the stats (every
 * second). When a write or fdatasync fails it publishes and acknowledges nothing more and ends the
 * process.
 */
#ifndef WEIR_PROCESSOR_COMMIT_H
#define WEIR_PROCESSOR_COMMIT_H

#include "common/wire/socket.h"
#include "processor/service.h"

struct commit;

/* The socket is the bound PUB socket. NULL when out of memory. */
struct commit *commit_new(struct service *service, struct socket *socket);
void commit_destroy(struct commit **commit);

/* The step before all else: appends what must be on disk of `count` (≤ BATCHES_IN_FLIGHT_MAX)
 * batches. True when all of it is durable; false: the service has failed. */
bool commit_make_durable(struct service *service, void *const *batches, uint32_t count);

/* Runs until the queue from the core is closed and empty. */
void commit_run(struct commit *commit);

#endif
