#!/bin/bash
# How fast a late projector catches up: events/s from its start until it follows live, all views and
# their checkpoints included, on one core beside a processor that has nothing else to do.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench-catchup.sh [--events N] [--rounds N]

  --events N   events in the log (default 8000000)
  --rounds N   projectors, one after another, each with an empty database (default 5)
TEXT
}

events=8000000 rounds=5
read_options "events rounds" "$@"

# The processor leaves the projector's core to it.
processor_aside() {
    [ "$(nproc)" -lt 2 ] || taskset --all-tasks --cpu-list --pid "1-$(($(nproc) - 1))" "$processor" >/dev/null
}

# catch_up: sets `result` to the events per second of one late projector, held to one core.
catch_up() {
    late_projector taskset -c 0 "$bin/weir-projector" run --run-dir "$scratch/run" \
        --db "$scratch/late-$round.db"
    stop_one "$projector"
    projector=''
    rm -f "$scratch/late-$round".db*
    result=$((events * 1000000 / result))
}

measure_prepare
measure_machine
say "filling a log with $events events"
processor_start --limit "$LIMIT"
await_ready processor "$processor"
generate "$events"
processor_settle
processor_aside
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    catch_up
    printf '%s events/s\n' "$result"
    echo "$result" >>"$scratch/rates"
done
printf '\ncatching up with %s events: %s events/s (median)\n' "$events" "$(median <"$scratch/rates")"
printf 'load %s when it ended\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
