#include "common/app/options.h"
#include "processor/run.h"
#include "processor/tools/batch.h"
#include "processor/tools/history.h"
#include "processor/tools/state.h"
#include "processor/tools/verify.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {
        {"run", "take events in, limit, log and publish them", run_main},
        {"batch", "decide the events of a file by their own times, offline", batch_main},
        {"verify", "check a log: every byte, every window, every verdict again", verify_main},
        {"history", "print what was accepted or refused, as JSON Lines", history_main},
        {"state", "show the limiter's own state as of any event or time", state_main},
    };
    return program_main("weir-processor", "the durable admission gate: it alone owns the state",
                        commands, sizeof commands / sizeof commands[0], argc, argv);
}
