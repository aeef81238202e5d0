#!/bin/bash
# How fast a late projector catches up: events/s from its start until it follows live, all views and
# their checkpoints included, on one core beside a processor that has nothing else to do.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench-catchup.sh [--events N] [--rounds N] [--sql FILE]

  --events N   events in the log (default 8000000, or 2000000 with --sql)
  --rounds N   projectors, one after another, each with an empty database (default 5)
  --sql FILE   a view in SQL and order_counts instead of all built-in views, and a log of deposits and
               withdrawals; every second round with a query of the view every 100 ms
TEXT
}

events='' rounds=5 sql=''
read_options "events rounds sql" "$@"
[ -n "$events" ] || events=$([ -n "$sql" ] && echo 2000000 || echo 8000000)
view=$(basename "$sql" .sql)
views=() # options of the projector
querier=''

# The processor leaves the projector's core to it.
processor_aside() {
    [ "$(nproc)" -lt 2 ] || taskset --all-tasks --cpu-list --pid "1-$(($(nproc) - 1))" "$processor" >/dev/null
}

# Deposits into and withdrawals from so many accounts as a log usually has subjects, ten a ms.
bank_events() {
    awk -v events="$events" -v accounts="$SUBJECTS" 'BEGIN {
        srand(1)
        for (i = 0; i < events; i++) {
            s = int(i / 10000)
            printf "{\"specversion\": \"1.0\", \"source\": \"bank\", "
            printf "\"type\": \"account.%s\", ", rand() < 0.5 ? "deposited" : "withdrew"
            printf "\"subject\": \"account-%d\", ", rand() * accounts
            printf "\"time\": \"2026-01-01T%02d:%02d:%02d.%03dZ\", ", s / 3600, s / 60 % 60, s % 60, i % 10000 / 10
            printf "\"data\": {\"amount\": %d}}\n", rand() * 100000
        }
    }'
}

fill_log() {
    say "filling a log with $events events"
    if [ -n "$sql" ]; then
        bank_events | "$bin/weir-processor" batch - --store "$scratch/store" --log-level error
        mkdir "$scratch/views"
        cp "$sql" "$scratch/views"
        views=(--views order_counts --views-dir "$scratch/views")
        processor_start
        await_ready processor "$processor"
    else
        processor_start --limit "$LIMIT"
        await_ready processor "$processor"
        generate "$events"
    fi
}

# ask_steadily: the view every 100 ms, from another core, until `querier` is stopped.
ask_steadily() {
    start querier taskset -c "$(($(nproc) - 1))" sh -c 'while sleep 0.1; do "$@" >/dev/null 2>&1 & done' sh \
        "$bin/weir-projector" query "$view" --run-dir "$scratch/run"
    querier=$started
}

# catch_up: sets `result` to the events per second of one late projector, held to one core.
catch_up() {
    late_projector taskset -c 0 "$bin/weir-projector" run --run-dir "$scratch/run" \
        --db "$scratch/late-$round.db" "${views[@]}"
    stop_one "$projector"
    projector=''
    rm -f "$scratch/late-$round".db*
    result=$((events * 1000000 / result))
}

measure_prepare
measure_machine
fill_log
processor_settle
processor_aside
for round in $(seq "$rounds"); do
    kind=plain
    say "round $round of $rounds"
    if [ -n "$sql" ] && [ $((round % 2)) = 0 ]; then
        kind=asked
        ask_steadily
    fi
    catch_up
    stop_one "$querier"
    querier=''
    printf '%s events/s%s\n' "$result" "$([ $kind = plain ] || echo ', asked every 100 ms')"
    echo "$result" >>"$scratch/$kind"
done
printf '\ncatching up with %s events: %s events/s (median)\n' "$events" "$(median <"$scratch/plain")"
[ ! -e "$scratch/asked" ] ||
    printf 'asked for the view every 100 ms: %s events/s (median)\n' "$(median <"$scratch/asked")"
printf 'load %s when it ended\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
