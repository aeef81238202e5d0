#!/bin/bash
# What projectors cost the processor, as fast as it goes: events decided per second with one
# projector, with more as scripts/add-projector.sh starts them (they yield when processors are
# short), and with as many that do not yield. In turns; the ratios are medians over the rounds, each
# to the same round's measurement with one.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench-projectors.sh [--events N] [--rounds N] [--projectors N]

  --events N       events of each measurement (default 8000000)
  --rounds N       measurements of each kind (default 5)
  --projectors N   how many to compare with one (default 5)
TEXT
}

events=8000000 rounds=5 projectors=5
read_options "events rounds projectors" "$@"

more=() # the projectors beside the pipeline's own

stop_all() {
    pipeline_stop
    local pid
    for pid in "${more[@]}"; do
        stop_one "$pid"
    done
    more=()
}

# measure COUNT [OPTIONS…]: sets `result` to the events per second with COUNT projectors, all but the
# first started with OPTIONS.
measure() {
    local count=$1 number
    shift
    pipeline_start --limit "$LIMIT"
    for number in $(seq 2 "$count"); do
        start "projector-$number" "$bin/weir-projector" run --run-dir "$scratch/run" "$@"
        more+=("$started")
        await_ready "projector-$number" "$started"
    done
    generate "$events"
    stop_all
}

# note WHAT COUNT [OPTIONS…]: measures, and keeps the result and its ratio to this round's `one`.
note() {
    local what=$1
    shift
    measure "$@"
    [ "$what" != one ] || one=$result
    echo "$result" >>"$scratch/$what"
    ratio "$result" "$one" >>"$scratch/$what-ratio"
    echo >>"$scratch/$what-ratio"
}

# row WHAT TEXT
row() {
    printf '%-28s %10s %8s\n' "$2" "$(median <"$scratch/$1")" "$(median <"$scratch/$1-ratio")"
}

measure_prepare
trap 'stop_all; measure_clean' EXIT
measure_machine
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    note one 1
    note yielding "$projectors" --yield
    note equal "$projectors"
done
printf '\n%-28s %10s %8s\n' "projectors" "events/s" "ratio"
row one "1"
row yielding "$projectors, the added ones yield"
row equal "$projectors, none yields"
measure_end
