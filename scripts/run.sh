#!/bin/bash
# The whole pipeline with live traffic: a processor, a projector and a generator, and a summary of
# views and rates every two seconds. Ctrl-C stops all of it and leaves nothing behind.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/run.sh [--rate PER_S] [--subjects N] [--limit SPEC] [--seconds N] [--store DIR] [--run-dir DIR]

  --rate PER_S    events per second to generate (default 1000)
  --subjects N    different subjects among them (default 200)
  --limit SPEC    the rate limit (default '"per-subject";q=20;w=10;pk=subject')
  --seconds N     stop after N seconds (default: at Ctrl-C)
  --store DIR     keep the log in DIR (default: a temporary folder, removed at the end)
  --run-dir DIR   folder of the sockets, for other programs to join (default: temporary)
TEXT
}

rate=1000 subjects=200 limit='"per-subject";q=20;w=10;pk=subject' seconds=0 store='' run_dir=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --rate | --subjects | --limit | --seconds | --store | --run-dir)
        [ $# -ge 2 ] || die "$1 needs a value"
        name=${1#--}
        printf -v "${name//-/_}" %s "$2"
        shift 2
        ;;
    *)
        usage >&2
        exit 64
        ;;
    esac
done

scratch='' processor='' projector='' generator='' stopping=''

# Stops the programs in the direction of the flow, so that each can finish what it holds.
stop_all() {
    local pid
    for pid in $generator $processor $projector; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    generator='' processor='' projector=''
    [ -z "$scratch" ] || rm -rf "$scratch"
    scratch=''
}
trap stop_all EXIT
trap 'stopping=1' INT TERM HUP

# start NAME COMMAND…: in a session of its own (Ctrl-C is for this script, which then stops things
# in order), ended with this script whatever happens, its log in a file. Sets `started`.
start() {
    local name=$1
    shift
    setsid setpriv --pdeathsig TERM "$@" >"$scratch/$name.out" 2>"$scratch/$name.log" &
    started=$!
}

# await_ready NAME PID: until its log says ready.
await_ready() {
    for _ in $(seq 100); do
        ! grep -q 'msg="\?ready' "$scratch/$1.log" || return 0
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    cat "$scratch/$1.log" >&2
    die "the $1 did not become ready"
}

query() {
    "$bin/weir-projector" query "$1" --run-dir "$run_dir" 2>/dev/null || true
}

draw() {
    if [ -t 1 ]; then
        printf '\033[H\033[2J'
    fi
    printf 'weir: %s events/s offered, limit %s\n' "$rate" "$limit"
    grep 'msg="\?summary' "$scratch/processor.log" | tail -n 1 | sed 's/.*msg="\?summary"\? */processor: /' || true
    printf '\n-- order_counts\n'
    query order_counts
    printf '\n-- limits (the first 10 keys)\n'
    query limits | head -n 11
    printf '\n'
    if [ -t 1 ]; then
        printf 'Ctrl-C stops. Join in: build/release/bin/weir-projector run --run-dir %s\n' "$run_dir"
    fi
}

install_packages "${WEIR_BUILD_PACKAGES[@]}"
build release
bin=$WEIR_ROOT/build/release/bin
scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-run.XXXXXX")
[ -n "$run_dir" ] || run_dir=$scratch/run
[ -n "$store" ] || store=$scratch/store

# ZeroMQ collects a message of endless frames without limit: a limit on memory keeps that away from
# the rest of the machine.
ulimit -v $((8 * 1024 * 1024))
start processor "$bin/weir-processor" run --store "$store" --run-dir "$run_dir" --limit "$limit"
processor=$started
await_ready processor "$processor"
start projector "$bin/weir-projector" run --run-dir "$run_dir"
projector=$started
await_ready projector "$projector"
start generator "$bin/weir-producer" generate --rate "$rate" --sources 4 --subjects "$subjects" \
    --run-dir "$run_dir"
generator=$started

since=$SECONDS
while [ -z "$stopping" ] && { [ "$seconds" -eq 0 ] || [ $((SECONDS - since)) -lt "$seconds" ]; }; do
    sleep 2 &
    wait $! || true # a signal ends the wait, not the order of things
    for pid in $processor $projector $generator; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 5 "$scratch"/*.log >&2
            die "a program of the pipeline ended by itself"
        fi
    done
    draw
done
say "stopping"
tail -n 3 "$scratch/generator.log" >&2 || true
