#!/bin/bash
# The whole pipeline with live traffic: a processor, a projector and a generator, and a summary of
# views and rates every two seconds. Ctrl-C stops all of it and leaves nothing behind.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/run.sh [--rate PER_S] [--subjects N] [--limit SPEC] [--seconds N] [--store DIR] [--run-dir DIR] [--http ADDR:PORT]

  --rate PER_S    events per second to generate (default 1000)
  --subjects N    different subjects among them (default 200)
  --limit SPEC    the rate limit (default '"per-subject";q=5;w=1;pk=subject')
  --seconds N     stop after N seconds (default: at Ctrl-C)
  --store DIR     keep the log in DIR (default: a temporary folder, removed at the end)
  --run-dir DIR   folder of the sockets, for other programs to join (default: temporary)
  --http ADDR:PORT  where the dashboard is (default 127.0.0.1 and any free port)
TEXT
}

rate=1000 subjects=200 limit='"per-subject";q=5;w=1;pk=subject' seconds=0 store='' run_dir='' http=127.0.0.1:0 page=''
read_options "rate subjects limit seconds store run-dir http" "$@"

DRAW_EVERY=2 # seconds
KEYS_SHOWN=8
scratch='' drawn_events=0 drawn_rejections=0 processor='' projector='' generator='' stopping=''

# Stops the programs in the direction of the flow, so that each can finish what it holds.
stop_all() {
    local pid
    for pid in $generator $processor $projector; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ -z "$generator" ] || cat "$scratch/generator.out"
    generator='' processor='' projector=''
    [ -z "$scratch" ] || rm -rf "$scratch"
    scratch=''
}
trap stop_all EXIT
trap 'stopping=1' INT TERM HUP

query() {
    "$bin/weir-projector" query "$@" --run-dir "$run_dir" 2>/dev/null || true
}

# member NAME TEXT: a number out of one line of JSON.
member() {
    sed -n 's/.*"'"$1"'": *"\{0,1\}\([0-9]*\).*/\1/p' <<<"$2"
}

# Views and rates as they are now; over the last picture on a terminal, below it elsewhere.
draw() {
    local position events rejections
    position=$(query order_counts --json | tr -d '\n')
    events=$(member event_id "$position") rejections=$(member rejection_id "$position")
    [ ! -t 1 ] || printf '\033[H\033[2J'
    printf 'weir: %s events/s offered, limit %s\n' "$rate" "$limit"
    printf 'accepted %s (%s/s)  refused %s (%s/s)\n' "${events:=0}" \
        $(((events - drawn_events) / DRAW_EVERY)) "${rejections:=0}" \
        $(((rejections - drawn_rejections) / DRAW_EVERY))
    drawn_events=$events drawn_rejections=$rejections
    printf '\n-- order_counts\n'
    query order_counts
    printf '\n-- limits, the first %s keys\n' "$KEYS_SHOWN"
    query limits | head -n $((KEYS_SHOWN + 1))
    printf '\n'
    [ ! -t 1 ] || printf 'Ctrl-C stops it. Dashboard: %s  Join in with --run-dir %s\n' "$page" "$run_dir"
}

install_packages "${WEIR_BUILD_PACKAGES[@]}"
build release
bin=$WEIR_ROOT/build/release/bin
scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-run.XXXXXX")
[ -n "$run_dir" ] || run_dir=$scratch/run
db=() # with a store of its own the views go with it; else they are kept by the projector's name
[ -n "$store" ] || {
    store=$scratch/store
    db=(--db "$scratch/views.db")
}

# ZeroMQ collects a message of endless frames without limit: a limit on memory keeps that away from
# the rest of the machine.
ulimit -v $((8 * 1024 * 1024))
start processor "$bin/weir-processor" run --store "$store" --run-dir "$run_dir" --limit "$limit"
processor=$started
await_ready processor "$processor"
start projector "$bin/weir-projector" run --run-dir "$run_dir" --http "$http" "${db[@]}"
projector=$started
await_ready projector "$projector"
page=http://$(sed -n 's/.* http=\([^ ]*\).*/\1/p' "$scratch/projector.log" | head -n 1)/
say "dashboard: $page"
start generator "$bin/weir-producer" generate --rate "$rate" --sources 4 --subjects "$subjects" \
    --run-dir "$run_dir"
generator=$started

since=$SECONDS
while [ -z "$stopping" ] && { [ "$seconds" -eq 0 ] || [ $((SECONDS - since)) -lt "$seconds" ]; }; do
    sleep $DRAW_EVERY &
    wait $! || true # a signal ends the wait, not the order of things
    for pid in $processor $projector $generator; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 5 "$scratch"/*.log >&2
            die "a program of the pipeline ended by itself"
        fi
    done
    draw || true # Ctrl-C also ends the query that is under way
done
say "stopping"
