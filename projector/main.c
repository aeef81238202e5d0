/* weir-projector: builds views from the log and answers questions about them. */
#include "common/app/options.h"
#include "projector/fold_lines.h"
#include "projector/query.h"
#include "projector/run.h"

static const struct program_command commands[] = {
    {"run", "follow the processor, keep the views and answer queries", run_main},
    {"query", "ask a running projector for a view", query_main},
    {"fold", "views over JSON Lines on standard input, no sockets", fold_main},
};

int main(int argc, char **argv)
{
    return program_main("weir-projector",
                        "builds views from the log and answers questions about them", commands,
                        sizeof commands / sizeof commands[0], argc, argv);
}
