#include "common/app/options.h"
#include "producer/commands.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {
        {"send", "submit the events of a file or of standard input", send_main},
        {"generate", "submit made-up events of a small shop", generate_main},
        {"latency", "measure how long events take, stage by stage", latency_main},
        {"inject", "submit what the protocol forbids and check what comes back", inject_main},
    };
    return program_main(PRODUCER_PROGRAM, "hands events to a Weir processor", commands,
                        sizeof commands / sizeof *commands, argc, argv);
}
