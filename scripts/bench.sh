#!/bin/bash
# What the pipeline does from end to end, beside the floor of this machine and, where installed,
# Redis (a sliding-window log in Lua and a stream, every write on disk before the answer). All in
# one run, so that ratios mean something; medians of several rounds.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench.sh [--events N] [--rounds N] [--seconds N]

  --events N    events of each measurement of throughput (default 8000000; an eighth of it where
                each submission is one event, a twentieth for Redis)
  --rounds N    how often everything is repeated; the tables show medians (default 3)
  --seconds N   how long each measurement of latency lasts (default 10)
TEXT
}

events=8000000 rounds=3 seconds=10
read_options "events rounds seconds" "$@"

SUBMISSIONS='1 64 1024'
RATES='1000 10000'
EVENT_BYTES=110 # what one of generate's is, for Redis

# ---- throughput ----

count_for() {
    if [ "$1" -eq 1 ]; then echo $((events / 8)); else echo "$events"; fi
}

# The projector's position.
position() {
    "$bin/weir-projector" query order_counts --json --run-dir "$scratch/run" 2>/dev/null |
        sed -n 's/.*"event_id": *"\{0,1\}\([0-9]*\).*/\1/p'
}

# The three set `result`, so that a failure ends the script.

# weir_throughput BATCH: events/s from the generator's start until the projector has them all.
weir_throughput() {
    local count began ended at
    count=$(count_for "$1")
    pipeline_start --limit "$LIMIT"
    began=$(date +%s%N)
    generate "$count" --batch "$1"
    until at=$(position) && [ "${at:-0}" -ge "$count" ]; do sleep 0.02; done
    ended=$(date +%s%N)
    pipeline_stop
    result=$((count * 1000000 / ((ended - began) / 1000)))
}

floor_throughput() {
    local out
    floor_start --threads 2
    out=$("$bin/bench_floor" drive --run-dir "$scratch/floor-run" --count "$(count_for "$1")" \
        --batch "$1" 2>/dev/null)
    floor_stop
    result=$(sed -n 's/.* \([0-9]*\)\/s$/\1/p' <<<"$out")
}

# ---- Redis ----

redis=''
have_redis() {
    command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null
}

redis_start() {
    redis-server --port 0 --unixsocket "$scratch/redis.sock" --dir "$scratch" --save '' \
        --appendonly yes --appendfsync always --daemonize no >"$scratch/redis.log" 2>&1 &
    redis=$!
    for _ in $(seq 100); do
        ! redis-cli -s "$scratch/redis.sock" ping >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    die "redis-server did not start"
}

redis_stop() {
    stop_one "$redis"
    redis=''
    [ -z "$scratch" ] || rm -rf "$scratch/appendonlydir"
}

# KEYS[1]: the window; ARGV: quota, window in µs, event. The same rule: at most quota in a window.
REDIS_SCRIPT='
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now - ARGV[2])
if redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
local id = redis.call("XADD", "log", "*", "event", ARGV[3])
redis.call("ZADD", KEYS[1], now, id)
return 1'

# redis_throughput PIPELINE: decisions/s; 50 clients where nothing is pipelined, else 4.
redis_throughput() {
    local sha clients=4
    [ "$1" -gt 1 ] || clients=50
    redis_start
    sha=$(redis-cli -s "$scratch/redis.sock" script load "$REDIS_SCRIPT")
    result=$(redis-benchmark -s "$scratch/redis.sock" -n $((events / 20)) -c $clients -P "$1" -r $SUBJECTS \
        --csv evalsha "$sha" 1 subject-__rand_int__ 1000000 60000000 \
        "$(head -c $EVENT_BYTES /dev/zero | tr '\0' x)" 2>/dev/null |
        tail -n 1 | cut -d '"' -f 4 | cut -d . -f 1)
    redis_stop
}

# ---- the run ----

middle() {
    median <"$scratch/$1-$2"
}

measure_throughput() {
    local batch what
    for batch in $SUBMISSIONS; do
        say "round $round of $rounds, submissions of $batch"
        for what in floor weir redis; do
            [ $what != redis ] || have_redis || continue
            ${what}_throughput "$batch"
            echo "$result" >>"$scratch/$what-$batch"
        done
    done
}

# note_latency WHAT RATE COMMAND…
note_latency() {
    local what=$1 rate=$2 name
    shift 2
    "$@" --rate "$rate" --count $((rate * seconds)) --json \
        >"$scratch/latency.json" 2>"$scratch/latency.log" || {
        cat "$scratch/latency.log" >&2
        die "$what failed"
    }
    for name in p50 p99; do
        stage_value "$scratch/latency.json" end_to_end $name >>"$scratch/$what-$name-$rate"
    done
}

measure_latency() {
    local rate
    for rate in $RATES; do
        say "round $round of $rounds, latency at $rate events/s"
        floor_start --threads 1
        note_latency floor "$rate" "$bin/bench_floor" drive --run-dir "$scratch/floor-run"
        floor_stop
        pipeline_start --limit "$LIMIT"
        note_latency weir "$rate" "$bin/weir-producer" latency --run-dir "$scratch/run" \
            --subjects $SUBJECTS
        pipeline_stop
    done
}

tables() {
    local batch rate name
    printf '\nevents/s, end to end: fsync, a limit by subject over %s subjects, one projector\n' $SUBJECTS
    printf '%12s %10s %10s %12s' 'submissions' weir floor 'weir/floor'
    ! have_redis || printf ' %10s %12s' redis 'weir/redis'
    printf '\n'
    for batch in $SUBMISSIONS; do
        printf '%12s %10s %10s %12s' "$batch" "$(middle weir "$batch")" "$(middle floor "$batch")" \
            "$(ratio "$(middle weir "$batch")" "$(middle floor "$batch")")"
        ! have_redis || printf ' %10s %12s' "$(middle redis "$batch")" \
            "$(ratio "$(middle weir "$batch")" "$(middle redis "$batch")")"
        printf '\n'
    done
    printf '\nlatency from when an event is due until a subscriber has it, µs\n'
    printf '%12s %10s %10s %12s\n' 'events/s' weir floor 'weir/floor'
    for rate in $RATES; do
        for name in p50 p99; do
            printf '%8s %s %10s %10s %12s\n' "$rate" $name "$(middle weir "$name-$rate")" \
                "$(middle floor "$name-$rate")" \
                "$(ratio "$(middle weir "$name-$rate")" "$(middle floor "$name-$rate")")"
        done
    done
}

measure_prepare
trap 'redis_stop; measure_clean' EXIT
measure_machine
have_redis || say "redis-server is not installed: measuring without it"
for round in $(seq "$rounds"); do
    measure_throughput
    measure_latency
done
tables
measure_end
