#!/bin/bash
# End-to-end latency of the whole pipeline at several rates, beside the floor of this machine: a
# table, and a plot of the percentiles. Open loop: an event counts from when it was due.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/latency.sh [--rates "PER_S ..."] [--seconds N] [--rounds N] [--out DIR]

  --rates "PER_S ..."  events per second, one measurement each (default "1000 10000 100000")
  --seconds N          how long each lasts (default 10)
  --rounds N           how often all are repeated; the table shows medians (default 3)
  --out DIR            where latency.png, and text and JSON of every round go (default build/latency)
TEXT
}

rates='1000 10000 100000' seconds=10 rounds=3 out=$WEIR_ROOT/build/latency
read_options "rates seconds rounds out" "$@"

# measure WHAT RATE ROUND COMMAND…: one measurement into $out/WHAT-RATE-ROUND.{json,hgrm}.
measure() {
    local base=$out/$1-$2-$3 rate=$2
    shift 3
    "$@" --rate "$rate" --count $((rate * seconds)) --json --hgrm "$base.hgrm" \
        >"$base.json" 2>"$scratch/measure.log" || {
        cat "$scratch/measure.log" >&2
        die "$1 failed"
    }
}

# value WHAT RATE STAGE MEMBER: the median of all rounds, in µs.
value() {
    local round
    for round in $(seq "$rounds"); do
        stage_value "$out/$1-$2-$round.json" "$3" "$4"
    done | median
}

PERCENTILES=(p50 p90 p99 p99.9 p99.99 max)

# row RATE LABEL WHAT STAGE
row() {
    local percentile
    printf '%8s  %-22s' "$1" "$2"
    for percentile in "${PERCENTILES[@]}"; do
        printf ' %10s' "$(value "$3" "$1" "$4" "$percentile")"
    done
    printf '\n'
}

ratios() {
    local percentile
    printf '%8s  %-22s' "$1" 'weir / floor'
    for percentile in "${PERCENTILES[@]}"; do
        printf ' %10s' "$(ratio "$(value weir "$1" end_to_end "$percentile")" \
            "$(value floor "$1" end_to_end "$percentile")")"
    done
    printf '\n'
}

table() {
    local rate
    printf '\nµs, median of %s rounds of %s s\n' "$rounds" "$seconds"
    printf '%8s  %-22s' 'events/s' 'from, to'
    printf ' %10s' "${PERCENTILES[@]}"
    printf '\n'
    for rate in $rates; do
        row "$rate" 'due to handed in' weir send
        row "$rate" 'handed in to decided' weir decide
        row "$rate" 'decided to durable' weir sync
        row "$rate" 'durable to seen' weir deliver
        row "$rate" 'due to seen, weir' weir end_to_end
        row "$rate" 'due to seen, floor' floor end_to_end
        ratios "$rate"
    done
}

# The percentiles of the last round, on axes that show the tail.
plot() {
    local rate colour=0 curves=''
    for rate in $rates; do
        colour=$((colour + 1))
        curves+="'$out/weir-$rate-$rounds.hgrm' using 4:1 skip 2 with lines lw 2 lc $colour title 'weir, $rate/s',"
        curves+="'$out/floor-$rate-$rounds.hgrm' using 4:1 skip 2 with lines lw 1 dt 2 lc $colour title 'floor, $rate/s',"
    done
    gnuplot <<TEXT
set terminal pngcairo size 1100,650 font ',11'
set output '$out/latency.png'
set title 'End-to-end latency, from when an event is due until a subscriber has it'
set logscale xy
set xrange [1:100000]
set xtics ('0%%' 1, '50%%' 2, '90%%' 10, '99%%' 100, '99.9%%' 1000, '99.99%%' 10000, '99.999%%' 100000)
set xlabel 'percentile'
set ylabel 'µs'
set grid
set key left top
plot ${curves%,}
TEXT
}

install_packages gnuplot-nox
measure_prepare
mkdir -p "$out"
measure_machine
for round in $(seq "$rounds"); do
    for rate in $rates; do
        say "round $round of $rounds, $rate events/s"
        floor_start --threads 1
        measure floor "$rate" "$round" "$bin/bench_floor" drive --run-dir "$scratch/floor-run"
        floor_stop
        pipeline_start --limit "$LIMIT"
        measure weir "$rate" "$round" "$bin/weir-producer" latency --run-dir "$scratch/run" \
            --subjects $SUBJECTS
        pipeline_stop
    done
done
table
plot
say "plot: $out/latency.png"
