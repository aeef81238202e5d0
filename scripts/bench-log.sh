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
measure_options "events rounds" "$@"

LIMIT='"per-subject";q=1000000;wms=500;pk=subject' # live windows over 100,000 subjects, none ever full
SUBJECTS=100000

trap 'stop_one "$processor"; measure_clean' EXIT
trap 'exit 130' INT TERM HUP

processor_start() {
    start processor "$bin/weir-processor" run --store "$scratch/store" --run-dir "$scratch/run" "$@"
    processor=$started
}

processor_stop() {
    stop_one "$processor"
    processor=''
}

# generate COUNT: sets `result` to the events per second.
generate() {
    "$bin/weir-producer" generate --rate 0 --count "$1" --sources 4 --subjects $SUBJECTS \
        --run-dir "$scratch/run" >"$scratch/generate.out" 2>"$scratch/generate.log" || {
        cat "$scratch/generate.out" "$scratch/generate.log" >&2
        die "events were refused or lost"
    }
    result=$(sed -n 's|.*, \([0-9]*\)/s$|\1|p' "$scratch/generate.out")
}

# rate EVENTS OPTION…: sets `result` to the events per second into an empty store.
rate() {
    local count=$1
    shift
    rm -rf "$scratch/store"
    processor_start --limit "$LIMIT" "$@"
    await_ready processor "$processor"
    generate "$count"
}

# Waits until the thread that writes snapshots has got to what it could not while all was busy; sets
# `result` to the seconds.
catch_up() {
    local newest=- latest='' began=$SECONDS
    while [ "$newest" != "$latest" ]; do
        newest=$latest
        sleep 2
        latest=$(find "$scratch/store/snapshots" -name '*.snap' 2>/dev/null | sort | tail -n 1)
    done
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

has() {
    "$bin/weir-processor" --help | grep -q "^  $1 "
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
    processor_stop
    without="$without$result
"
    off=$result
    rate $((events < 20000000 ? events : 20000000))
    processor_stop
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
processor_stop
echo "log: $events events, $((log_bytes / 1000000)) MB; $(find "$scratch/store/snapshots" -name '*.snap' | wc -l) snapshots," \
    "$(($(du -sb "$scratch/store/snapshots" | cut -f 1) / 1000000)) MB"

timed first_verdict
echo "restart to the first verdict: $result ms"
middle=$((events / 2 + 12345))
if has state; then
    timed "$bin/weir-processor" state --store "$scratch/store" --at "#$middle" --key user-1
    echo "state --at #$middle: $result ms"
fi
if has history; then
    timed "$bin/weir-processor" history --store "$scratch/store" --from "#$middle" --to "#$((middle + 20))"
    from=$(sed -n '1s/.*"acceptedat": *"\([^"]*\)".*/\1/p' "$scratch/timed.out")
    echo "history of 20 ids: $result ms"
    if [ -n "$from" ]; then
        timed "$bin/weir-processor" history --store "$scratch/store" --from "$from" --to "$from"
        echo "history --from $from --to the same, $(wc -l <"$scratch/timed.out") events: $result ms"
    fi
fi
if has verify; then
    rounds=1
    timed "$bin/weir-processor" verify --store "$scratch/store"
    echo "verify: $result ms, $((events * 1000 / (result + 1))) events/s"
fi
