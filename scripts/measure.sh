# shellcheck shell=bash disable=SC2034,SC2154
# What the scripts that measure share: the pipeline, and the floor beside it (tests/bench: the same
# sockets and the same disk with no logic between them). Sourced after lib.sh, not run.

scratch='' processor='' projector='' floor='' sink=''
SUBJECTS=100000
LIMIT='"per-subject";q=1000000;w=60;pk=subject' # a window of a minute each, none ever full

# Builds the programs and the floor; sets `bin` and makes `scratch`, which goes with the script.
measure_prepare() {
    trap measure_clean EXIT
    trap 'exit 130' INT TERM HUP
    install_packages "${WEIR_BUILD_PACKAGES[@]}"
    build release
    (cd "$WEIR_ROOT" && cmake --build --preset release --target bench_floor >/dev/null) ||
        die "the floor could not be built"
    bin=$WEIR_ROOT/build/release/bin
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-measure.XXXXXX")
    ulimit -v $((8 * 1024 * 1024))
}

measure_clean() {
    pipeline_stop
    floor_stop
    [ -z "$scratch" ] || rm -rf "$scratch"
    scratch=''
}

# What the numbers depend on.
measure_machine() {
    local model commit
    model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
    commit=$(git -C "$WEIR_ROOT" describe --always --dirty 2>/dev/null || echo unknown)
    printf 'machine  %s, %s cores, Linux %s\n' "${model:-$(uname -m)}" "$(nproc)" "$(uname -r)"
    printf 'disk     %s\n' "$(df --output=source,fstype "${TMPDIR:-/tmp}" | tail -n 1 | tr -s ' ')"
    printf 'commit   %s\n' "$commit"
    printf 'load     %s when it began (1, 5, 15 minutes)\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

# After the last of them.
measure_end() {
    printf '\nload %s when it ended\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

# stop_one PID: in its own time.
stop_one() {
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# A processor on $scratch/store; arguments go to it. It need not be ready yet.
processor_start() {
    start processor "$bin/weir-processor" run --store "$scratch/store" --run-dir "$scratch/run" "$@"
    processor=$started
}

# A processor with an empty store and one projector; arguments go to the processor.
pipeline_start() {
    rm -rf "$scratch/store" "$scratch/run" "$scratch/views"
    processor_start "$@"
    await_ready processor "$processor"
    start projector "$bin/weir-projector" run --run-dir "$scratch/run"
    projector=$started
    await_ready projector "$projector"
}

# Waits until the processor has nothing left to do, snapshots of its log included: until it used next
# to no processor time for 3 s.
processor_settle() {
    local used before=-1000
    while used=$(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$processor/stat") &&
        [ $((used - before)) -gt 3 ]; do
        before=$used
        sleep 3
    done
}

pipeline_stop() {
    stop_one "$processor"
    stop_one "$projector"
    processor='' projector=''
}

# generate COUNT [OPTIONS]: so many events into the processor, as fast as it goes; sets `result` to
# the events per second.
generate() {
    local count=$1
    shift
    "$bin/weir-producer" generate --rate 0 --count "$count" --sources 4 --subjects $SUBJECTS \
        --run-dir "$scratch/run" "$@" >"$scratch/generate.out" 2>"$scratch/generate.log" || {
        cat "$scratch/generate.out" "$scratch/generate.log" >&2
        die "events were refused or lost"
    }
    result=$(sed -n 's|.*, \([0-9]*\)/s$|\1|p' "$scratch/generate.out")
}

# late_projector COMMAND…: starts a projector and waits until it has caught up with the log; sets
# `projector`, and `result` to the µs that it took. It waits asleep: looking again and again took
# processor time from the programs that are measured.
late_projector() {
    local began
    : >"$scratch/projector.log"
    began=${EPOCHREALTIME/./}
    start projector "$@"
    projector=$started
    grep -qm1 'msg="caught up"' \
        < <(exec tail -n +1 -f --pid="$projector" "$scratch/projector.log" 2>/dev/null) || {
        cat "$scratch/projector.log" >&2
        die "the projector ended by itself"
    }
    result=$((${EPOCHREALTIME/./} - began))
}

# The floor in the processor's place, and in the projector's a program that only receives;
# arguments go to the floor.
floor_start() {
    start floor "$bin/bench_floor" serve --run-dir "$scratch/floor-run" --store "$scratch" "$@"
    floor=$started
    await_ready floor "$floor"
    start sink "$bin/bench_floor" sink --run-dir "$scratch/floor-run" --count $((1 << 62))
    sink=$started
    await_ready sink "$sink"
}

floor_stop() {
    stop_one "$sink"
    stop_one "$floor"
    floor='' sink=''
}

# The number that stands in the middle of those on stdin.
median() {
    sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

# ratio A B: A / B with two digits.
ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'
}

# stage_value FILE STAGE MEMBER: out of the JSON of `weir-producer latency`, in µs.
stage_value() {
    sed -n 's/^ *"'"$2"'": {.*"'"$3"'": \([0-9]*\).*/\1/p' "$1" | awk '{ printf "%.1f\n", $1 / 1000 }'
}
