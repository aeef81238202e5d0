/* sql_runner: runs the views in SQL beside the fold: looks through their folder, feeds them what
 * the fold hears, replays what those that stand behind have missed, and has the keeper commit.
 *
 * Belongs to the thread of the fold and the store.
 */
#ifndef WEIR_PROJECTOR_SQL_RUNNER_H
#define WEIR_PROJECTOR_SQL_RUNNER_H

#include "common/wire/endpoint.h"
#include "common/wire/socket.h"
#include "projector/keeper.h"
#include "projector/sql_views.h"

struct sql_runner;

struct sql_runner_options {
    const char *folder; /* outlives it */
    const struct endpoints *endpoints;
    const struct follower_log *log;
    struct store *store; /* these three outlive it */
    struct fold *fold;
    struct keeper *keeper;
};

/* Loads what the database has, looks through the folder, and listens to the fold. CONFIG: no such
 * folder. FENCED, DAMAGED: the database does not belong to the log. IO, NO_MEMORY. */
MUST_USE enum status sql_runner_open(const struct sql_runner_options *options,
                                     struct sql_runner **ret_runner, struct detail *ret_detail);
void sql_runner_close(struct sql_runner **runner);

struct sql_views *sql_runner_views(struct sql_runner *runner);
/* To wait on. */
struct socket *sql_runner_socket(struct sql_runner *runner);
/* When a turn is due whatever comes; CLOCK_BOOTTIME. */
uint64_t sql_runner_due_ns(const struct sql_runner *runner);
/* A bounded piece of what is to be done. */
void sql_runner_turn(struct sql_runner *runner, uint64_t now_ns);

#endif
