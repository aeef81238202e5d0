# shellcheck shell=bash disable=SC2034
# Shared shell functions of the scripts. Sourced, not run: . "$(dirname "$0")/lib.sh"
# Works on a bare Debian 12; says only what it changes.

set -euo pipefail

WEIR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export WEIR_ROOT

WEIR_BUILD_PACKAGES=(
    cmake ninja-build gcc libc6-dev pkg-config
    libzmq3-dev libczmq-dev libmsgpack-dev libjansson-dev libinih-dev
    libxxhash-dev libisal-dev libsqlite3-dev libzstd-dev libmicrohttpd-dev
    libjs-chart.js
)
WEIR_TEST_PACKAGES=(chromium-driver libcmocka-dev sqlite3 python3 python3-zmq python3-msgpack python3-hypothesis)
WEIR_CHECK_PACKAGES=(clang clang-format clang-tidy clang-tools libclang-rt-14-dev cppcheck shellcheck)

say() {
    printf '%s\n' "== $*" >&2
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# read_options NAMES ARGUMENTS…: sets the variable NAME for each --NAME VALUE ("-" in a name is "_" in
# its variable); the script's own usage() is for --help, and for what is none of NAMES.
read_options() {
    local known_options=" $1 " known_option # no option has such a name
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --*)
            known_option=${1#--}
            [[ $known_options == *" $known_option "* ]] || break
            [ $# -ge 2 ] || die "$1 needs a value"
            printf -v "${known_option//-/_}" %s "$2"
            shift 2
            ;;
        *)
            break
            ;;
        esac
    done
    [ $# -eq 0 ] || {
        usage >&2
        exit 64
    }
}

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root to run: $* (become root or install sudo)"
    fi
}

# Prints the packages among its arguments that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            printf '%s\n' "$package"
        fi
    done
}

# Installs what is missing of its arguments; quiet, and silent when nothing is.
install_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "not a Debian system; install these yourself: ${missing[*]}"
    say "installing ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y --no-install-recommends install "${missing[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "apt-get could not install: ${missing[*]}"
    fi
    rm -f "$log"
}

# build PRESET: configures (again only when needed) and builds into build/PRESET, one script at a
# time.
build() {
    local preset=$1 log
    say "building build/$preset"
    log=$(mktemp)
    mkdir -p "$WEIR_ROOT/build"
    if ! (cd "$WEIR_ROOT" && flock 9 && cmake --preset "$preset" &&
        cmake --build --preset "$preset") >"$log" 2>&1 9>"$WEIR_ROOT/build/lock"; then
        cat "$log" >&2
        rm -f "$log"
        die "the build failed"
    fi
    rm -f "$log"
}

# start NAME COMMAND…: in a session of its own (Ctrl-C is for the script, which then stops things in
# order), ended with the script whatever happens; what it says goes to $scratch/NAME.out and
# $scratch/NAME.log, where `scratch` is the script's folder. Sets `started` to its process id.
start() {
    local name=$1
    shift
    # shellcheck disable=SC2154
    setsid setpriv --pdeathsig TERM "$@" >"$scratch/$name.out" 2>"$scratch/$name.log" &
    started=$!
}

# await_ready NAME PID: until its log says ready.
await_ready() {
    for _ in $(seq 100); do
        ! grep -qs 'msg="\?ready' "$scratch/$1.log" || return 0
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    cat "$scratch/$1.log" >&2
    die "the $1 did not become ready"
}

# is_served DIR: does a processor hold this run folder?
is_served() {
    [ -e "$1/processor.lock" ] && ! flock --nonblock "$1/processor.lock" true
}

# find_run_dir: prints the default run folder if a processor runs there, else that of the newest
# scripts/run.sh.
find_run_dir() {
    local dir newest=''
    if [[ ${XDG_RUNTIME_DIR:-} = /* ]]; then
        dir=$XDG_RUNTIME_DIR/weir
    else
        dir=/tmp/weir-$(id -u)
    fi
    if is_served "$dir"; then
        printf '%s\n' "$dir"
        return
    fi
    for dir in "${TMPDIR:-/tmp}"/weir-run.*/run; do
        if [ -O "$dir" ] && is_served "$dir" && [ ! "$newest" -nt "$dir" ]; then
            newest=$dir
        fi
    done
    [ -n "$newest" ] || return 1
    printf '%s\n' "$newest"
}

# run_tests PRESET [CTEST ARGUMENTS]: ctest with the output of what fails; its summary comes last.
run_tests() {
    local preset=$1
    shift
    (cd "$WEIR_ROOT" && ctest --preset "$preset" "$@")
}

# integration_test NAME [ARGUMENTS]: one file of tests/integration by itself, over build/dev.
integration_test() {
    local name=$1
    shift
    WEIR_BIN=$WEIR_ROOT/build/dev/bin WEIR_LIMIT_SECONDS=${WEIR_LIMIT_SECONDS:-600} \
        /usr/bin/python3 -B "$WEIR_ROOT/tests/integration/test_$name.py" "$@"
}
