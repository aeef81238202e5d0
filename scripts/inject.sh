#!/bin/bash
# Sends the pipeline that runs on this machine what the protocol forbids, kind by kind, and shows
# what comes back and whether it is what should. Exit 1 if it is not.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/inject.sh [--kind KIND] [--count N] [--list] [--json] [--run-dir DIR]

  --kind KIND     only this one (default: all)
  --count N       each kind so often (default 1)
  --list          print the kinds, and what each should get
  --json          one JSON object per injection
  --run-dir DIR   run folder of the pipeline (default: where a processor of yours runs now)
TEXT
}

arguments=() run_dir='' list=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --list)
        list=$1
        shift
        ;;
    --json)
        arguments+=("$1")
        shift
        ;;
    --kind | --count | --run-dir)
        [ $# -ge 2 ] || die "$1 needs a value"
        if [ "$1" = --run-dir ]; then
            run_dir=$2
        else
            arguments+=("$1" "$2")
        fi
        shift 2
        ;;
    *)
        usage >&2
        exit 64
        ;;
    esac
done

install_packages "${WEIR_BUILD_PACKAGES[@]}"
build release
inject=("$WEIR_ROOT/build/release/bin/weir-producer" inject)
if [ -n "$list" ]; then
    exec "${inject[@]}" --list
fi
[ -n "$run_dir" ] || run_dir=$(find_run_dir) ||
    die "no processor of yours runs: start scripts/run.sh first, or say --run-dir"
say "injecting into $run_dir"
exec "${inject[@]}" --run-dir "$run_dir" "${arguments[@]}"
