#!/bin/bash
# Views as of earlier, at the size of real logs: makes a log of many events as fast as it goes, lets a
# late projector catch up with it, then asks for each built-in view as of random events and random
# times. Measured is `weir-projector query VIEW --at X --json`, from its start to its end.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench-asof.sh [--events N] [--subjects N] [--questions N] [--seed N]

  --events N      events submitted (default 100000000, which take 11 GB of disk)
  --subjects N    orders, users, products and payments in all (default 100000)
  --questions N   random moments of each view, half of them events, half times (default 100)
  --seed N        of the moments (default 1)
TEXT
}

events=100000000 subjects=100000 questions=100 seed=1
read_options "events subjects questions seed" "$@"

LIMIT='"per-subject";q=150;w=1;pk=subject' # only the generator's bursts are refused
VIEWS=(inventory_levels limits order_counts revenue user_activity)

fill_log() {
    processor_start --limit "$LIMIT"
    await_ready processor "$processor"
    "$bin/weir-producer" generate --rate 0 --count "$events" --sources 4 --subjects "$subjects" --bursts \
        --run-dir "$scratch/run" >"$scratch/generate.out" 2>"$scratch/generate.log" || [ $? -eq 2 ] || {
        cat "$scratch/generate.out" "$scratch/generate.log" >&2
        die "events were lost"
    }
    cat "$scratch/generate.out"
}

# A projector that begins now; sets `result` to its events per second until it is level.
catch_up() {
    late_projector "$bin/weir-projector" run --run-dir "$scratch/run"
    last_id=$(logged event_id)
    result=$((last_id * 1000000 / result))
    until [ "$(of_database "SELECT min (event_id) FROM weir_checkpoints")" = "$last_id" ]; do
        sleep 0.1
    done
}

# logged MEMBER: of the projector's line "caught up".
logged() {
    sed -n 's/.*msg="caught up".* '"$1"'=\([0-9]*\).*/\1/p' "$scratch/projector.log"
}

ask() {
    "$bin/weir-projector" query --run-dir "$scratch/run" --json "$@"
}

# member NAME: of the JSON object on stdin, a number or a text.
member() {
    grep -m 1 -o "\"$1\": *\"\?[^\",]*" | sed 's/.*[: "]\([^"]*\)$/\1/'
}

# random_below N: sets `random`. A subshell has random numbers of its own, whatever the seed.
random_below() {
    random=$(((RANDOM << 45 | RANDOM << 30 | RANDOM << 15 | RANDOM) % $1))
}

# moment NUMBER: sets `at` to a random moment of the log: an event in every even question, else a time.
moment() {
    if [ $(($1 % 2)) -eq 0 ]; then
        random_below "$last_id"
        at="#$((random + 1))"
    else
        random_below $((last_ns - first_ns))
        local ns=$((first_ns + random))
        at=$(date -u -d "@$((ns / 1000000000)).$(printf %09d $((ns % 1000000000)))" +%Y-%m-%dT%H:%M:%S.%NZ)
    fi
}

# measure VIEW: the milliseconds of all questions, in $scratch/took.
measure() {
    local number at began random
    : >"$scratch/took"
    for number in $(seq "$questions"); do
        moment "$number"
        began=$EPOCHREALTIME
        ask "$1" --at "$at" >"$scratch/answer" || die "no answer for $1 as of $at"
        echo $((${EPOCHREALTIME/./} - ${began/./})) >>"$scratch/took"
    done
}

# percentile P: of the microseconds on stdin, in milliseconds.
percentile() {
    sort -n | awk -v p="$1" '{ value[NR] = $1 }
        END { at = int (NR * p / 100 + 0.9999); printf "%.1f", value[at < 1 ? 1 : at] / 1000 }'
}

# of_database SQL: the columns of the one row.
of_database() {
    sqlite3 -readonly -separator ' ' "$scratch/run/main.db" "$1"
}

# snapshots VIEW: how many, their bytes, and the most events between two of them.
snapshots() {
    of_database "SELECT count (*), coalesce (sum (length (rows)), 0), max (gap, $last_id - coalesce (max (event_id), 0))
        FROM (SELECT rows, event_id, event_id - lag (event_id, 1, 0) OVER (ORDER BY event_id) AS gap
              FROM weir_snapshots WHERE view = '$1' ORDER BY gap DESC)"
}

row() {
    local view=$1 count bytes gap
    read -r count bytes gap < <(snapshots "$view")
    measure "$view"
    printf '%-18s %9s %10s %9s %15s %10s %9s %9s\n' "$view" "$(of_database "SELECT count (*) FROM weir_rows_$view")" \
        "$count" "$((bytes / 1000000))" "$gap" "$(percentile 50 <"$scratch/took")" \
        "$(percentile 95 <"$scratch/took")" "$(percentile 100 <"$scratch/took")"
}

install_packages sqlite3
measure_prepare
measure_machine
say "filling a log with $events events"
fill_log
say "a projector catches up"
catch_up
printf 'caught up at event %s and rejection %s, %s events/s\n' "$last_id" "$(logged rejection_id)" "$result"
first_ns=$(ask order_counts --at '#1' | member time)
last_ns=$(ask order_counts | member time)
RANDOM=$seed
printf '\n%-18s %9s %10s %9s %15s %10s %9s %9s\n' view rows snapshots MB "apart, at most" "median ms" "p95 ms" "max ms"
for view in "${VIEWS[@]}"; do
    row "$view"
done
measure_end
