#!/bin/bash
# One more projector on the pipeline that runs on this machine, as often as you like: it sees all
# history and then follows. Ctrl-C takes it away again.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/add-projector.sh [--name NAME] [--views A,B] [--run-dir DIR]

  --name NAME     its name (default: main or, where that is taken, main-2, main-3, ...)
  --views A,B     only these views (default: all)
  --run-dir DIR   run folder of the pipeline (default: where a processor of yours runs now)
TEXT
}

name='' views='' run_dir=''
read_options "name views run-dir" "$@"

scratch='' projector='' stopping=''

stop_it() {
    if [ -n "$projector" ]; then
        kill -TERM "$projector" 2>/dev/null || true
        wait "$projector" 2>/dev/null || true
    fi
    [ -z "$scratch" ] || rm -rf "$scratch"
}
trap stop_it EXIT
trap 'stopping=1' INT TERM HUP

install_packages "${WEIR_BUILD_PACKAGES[@]}"
build release
bin=$WEIR_ROOT/build/release/bin
[ -n "$run_dir" ] || run_dir=$(find_run_dir) ||
    die "no processor of yours runs: start scripts/run.sh first, or say --run-dir"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-projector.XXXXXX")
# Views may lag, the gate may not: what one adds to a busy machine takes what is left of it.
start projector "$bin/weir-projector" run --yield --run-dir "$run_dir" \
    ${name:+--name "$name"} ${views:+--views "$views"}
projector=$started
await_ready projector "$projector"
name=$(sed -n 's/.*msg="\?ready"\?.* name=\([^ ]*\).*/\1/p' "$scratch/projector.log")
view=${views%%,*}

cat <<TEXT
projector $name follows $run_dir
ask it:    $bin/weir-projector query ${view:-order_counts} --name $name --run-dir $run_dir
one more:  scripts/add-projector.sh; Ctrl-C takes this one away
TEXT
while [ -z "$stopping" ] && kill -0 "$projector" 2>/dev/null; do
    if [ ! -d "$run_dir" ]; then
        say "the pipeline has gone, and its run folder with it"
        break
    fi
    sleep 1 &
    wait $! || true # a signal ends the wait
done
if [ -z "$stopping" ] && ! kill -0 "$projector" 2>/dev/null; then
    tail -n 3 "$scratch/projector.log" >&2
    die "the projector ended by itself"
fi
