#!/bin/bash
# The log as a memory, at the size of real logs: makes a log of many events as fast as it goes, with
# and without the thread that writes snapshots, then measures a restart up to the first verdict, the
# limiter's state and a small range in the middle of the log, and the proof over all of it.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench-log.sh [--events N] [--rounds N]

  --events N    events in the log (default 2000000; 100000000 take 10 GB of disk)
  --rounds N    measurements of each kind (default 3)
TEXT
}

events=2000000 rounds=3
read_options "events rounds" "$@"

LIMIT='"per-subject";q=1000000;wms=500;pk=subject' # live windows over 100,000 subjects, none ever full

# rate EVENTS OPTION…: sets `result` to the events per second into an empty store.
rate() {
    local count=$1
    shift
    rm -rf "$scratch/store"
    processor_start --limit "$LIMIT" "$@"
    await_ready processor "$processor"
    generate "$count"
}

# Bytes and name of each snapshot, the newest last; none while the log is small.
snapshots() {
    find "$scratch/store" -name '*.snap' -printf '%s %p\n' | sort -k 2
}

# Waits until the thread that writes snapshots has got to what it could not while all was busy; sets
# `result` to the seconds.
catch_up() {
    local began=$SECONDS
    processor_settle
    result=$((SECONDS - began))
}

milliseconds() {
    echo $(($(date +%s%N) / 1000000))
}

# timed COMMAND…: sets `result` to the milliseconds of the fastest of all rounds.
timed() {
    local began took
    result=''
    for _ in $(seq "$rounds"); do
        began=$(milliseconds)
        "$@" >"$scratch/timed.out" 2>"$scratch/timed.log" || {
            tail -n 5 "$scratch/timed.log" >&2
            die "failed: $*"
        }
        took=$(($(milliseconds) - began))
        [ -n "$result" ] && [ "$result" -le "$took" ] || result=$took
    done
}

# one_record ID MEMBER: of the event.
one_record() {
    "$bin/weir-processor" history --store "$scratch/store" --from "#$1" --to "#$1" |
        sed -n 's/.*"'"$2"'": *"\([^"]*\)".*/\1/p'
}

# state_times KIND: prints how long the state as of random ids or times (KIND) took, of a key that
# was there.
state_times() {
    local id at key times='' asked=20
    for _ in $(seq $asked); do
        id=$((1 + (RANDOM * 32768 + RANDOM) % events))
        key=$(one_record "$id" subject)
        at="#$id"
        [ "$1" = id ] || at=$(one_record "$id" acceptedat)
        rounds=1 timed "$bin/weir-processor" state --store "$scratch/store" --at "$at" --key "$key"
        times="$times$result
"
    done
    echo "state --at a random $1 --key K, $asked of them: median $(printf %s "$times" | median) ms," \
        "at most $(printf %s "$times" | sort -n | tail -n 1) ms"
}

# A processor that starts, and one event that waits for its verdict.
first_verdict() {
    processor_start
    echo '{"source": "restart", "type": "order.created"}' |
        "$bin/weir-producer" send - --source "restart-$RANDOM$RANDOM" --run-dir "$scratch/run"
    kill -9 "$processor"
    wait "$processor" 2>/dev/null || true
    processor=''
}

measure_prepare
measure_machine

with='' without=''
for round in $(seq "$rounds"); do
    rate $((events < 20000000 ? events : 20000000)) --snapshot-bytes 0
    pipeline_stop
    without="$without$result
"
    off=$result
    rate $((events < 20000000 ? events : 20000000))
    pipeline_stop
    with="$with$result
"
    echo "round $round: $off events/s without snapshots, $result with"
done
a=$(printf %s "$with" | median) b=$(printf %s "$without" | median)
echo "live path: $a events/s with snapshots, $b without: $(ratio "$a" "$b")"

rate "$events"
log_bytes=$(du -sb "$scratch/store/log" | cut -f 1)
catch_up
echo "snapshots had caught up $result s after the last event"
pipeline_stop
echo "log: $events events, $((log_bytes / 1000000)) MB; $(snapshots |
    awk '{ bytes += $1 } END { printf "%d snapshots, %d MB", NR, bytes / 1000000 }')"

timed first_verdict
echo "restart to the first verdict: $result ms"
middle=$((events / 2 + 12345))
state_times id
state_times time
timed "$bin/weir-processor" history --store "$scratch/store" --from "#$middle" --to "#$((middle + 20))"
from=$(sed -n '1s/.*"acceptedat": *"\([^"]*\)".*/\1/p' "$scratch/timed.out")
echo "history of 20 ids: $result ms"
timed "$bin/weir-processor" history --store "$scratch/store" --from "$from" --to "$from"
echo "history --from $from --to the same, $(wc -l <"$scratch/timed.out") events: $result ms"
rounds=1
timed "$bin/weir-processor" verify --store "$scratch/store"
echo "verify: $result ms, $((events * 1000 / (result + 1))) events/s"
measure_end
