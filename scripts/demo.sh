#!/bin/bash
# What Weir does, in about a minute, over the real programs: the events of a small shop and their
# views, a burst against a limit, malformed messages, a projector killed and healed, a promise kept,
# and a question about the past. What is shown is checked: exit 0 only if it is what it says. Leaves nothing behind.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/demo.sh [--fast]

  --fast   without pauses, and without waiting for the window of a minute at the end

WEIR_BIN=DIR takes programs that are built already.
TEXT
}

fast=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --fast)
        fast=1
        shift
        ;;
    *)
        usage >&2
        exit 64
        ;;
    esac
done

VIEWS='inventory_levels limits order_counts revenue user_activity'
LIMIT='"per-source";q=10;w=60;pk=source'
PAUSE=5          # seconds, to read
LIMIT_SECONDS=30 # for anything to come true
TRAFFIC_EVENTS=10000
scratch='' processor='' main='' second='' generator=''

# Stops the programs in the direction of the flow; each must say it stopped cleanly.
stop_all() {
    local pid
    for pid in $generator $processor $main $second; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in $generator $processor $main $second; do
        wait "$pid" || return 1
    done
}

clean_up() {
    trap - EXIT
    stop_all 2>/dev/null || true
    [ -z "$scratch" ] || rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# ---- showing and checking ----

chapter() {
    [ -n "$fast" ] || sleep $PAUSE
    printf '\n-- %s\n\n' "$*"
}

# show COMMAND: prints it, runs it, prints its output and keeps that in `said`. Further lines of a
# command begin with "> ".
show() {
    printf '$ %s\n' "$1"
    said=$(eval "${1//$'\n> '/$'\n'}" 2>>"$scratch/stderr.log") || true # exit 2: some were refused
    printf '%s\n' "$said"
}

# expect TEXT: what was said holds this line, whole or up to the rate that ends it.
expect() {
    grep -qx -- "$1\(, [0-9]*/s\)\?" <<<"$said" || die "this should be there: $1"
}

# eventually COMMAND: until it succeeds.
eventually() {
    local deadline=$((SECONDS + LIMIT_SECONDS))
    until eval "$1"; do
        [ $SECONDS -lt $deadline ] || die "waited in vain for: $1"
        sleep 0.02
    done
}

# value NAME VIEW MEMBER: out of what the projector NAME answers.
value() {
    weir-projector query "$2" --name "$1" --json 2>>"$scratch/stderr.log" |
        sed -n 's/.*"'"$3"'": *"\{0,1\}\([0-9a-f]*\).*/\1/p'
}

# has NAME EVENT_ID: the projector is that far.
has() {
    local event_id
    event_id=$(value "$1" order_counts event_id)
    [ "${event_id:-0}" -ge "$2" ]
}

# begin NAME COMMAND: in the background; its process id is then in the variable NAME.
begin() {
    printf '$ %s & %s=$!\n' "$2" "$1"
    eval "start $1 $2"
    printf -v "$1" %s "$started"
    await_ready "$1" "$started"
}

# ---- the story ----

laboratory() {
    chapter "1. Eight events of a shop, and what can be read from them"
    show "weir-processor batch docs/examples/laboratory.jsonl --store store --limit '$LIMIT'"
    expect '8 accepted, 0 refused'
    printf '\nDecided by their own times, from 00:00:01 to 00:00:08. What the limiter knew at 00:00:05:\n'
    show 'weir-processor state --store store --at 1970-01-01T00:00:05Z'
    grep -q 'laboratory: 5 of 10 units' <<<"$said" || die "laboratory should have 5 of 10 units"
    printf '\nThe log goes on live:\n'
    begin processor "weir-processor run --store store"
    begin main "weir-projector run --name main"
    eventually 'has main 8'
    show 'weir-projector query order_counts'
    expect 'confirmed      1'
    expect 'pending        2'
    show 'weir-projector query user_activity'
    expect 'user-001            2  logged_in'
    show 'weir-projector query inventory_levels'
    expect 'widget-A        97'
}

burst() {
    chapter "2. A burst of 15 against a limit of 10 per source and 60 s"
    # shellcheck disable=SC2016
    show 'for n in $(seq 15); do sleep 0.1
>   echo "{\"source\": \"till-7\", \"type\": \"payment.requested\", \"subject\": \"sale-$n\"}"
> done | weir-producer send -'
    expect '10 accepted, 5 refused (rate_limited 5)'
    show 'docs/examples/rejections.py weir'
    [ "$(grep -c 'rate_limited *till-7 *1[1-5]  policy per-source, key till-7: come back in' <<<"$said")" -eq 5 ] ||
        die "five refusals with policy, key and time should be there"
    refusal=$(sed -n 2p <<<"$said")
    eventually 'has main 18'
    show 'weir-projector query limits'
    grep -q '^per-source  laboratory *8 *0  -$' <<<"$said" || die "laboratory should have 8 accepted"
    grep -q '^per-source  till-7 *10 *5  20' <<<"$said" || die "till-7 should have 10 accepted, 5 refused"
}

malformed() {
    local reason
    chapter "3. Malformed messages: each is refused with its reason"
    show 'weir-producer inject --kind duplicate-keys'
    expect '1 injected: 1 as stated, 0 not; 0 [a-z ]*skipped'
    show 'weir-producer inject | tail -n 1'
    expect '\([0-9]*\) injected: \1 as stated, 0 not; 0 [a-z ]*skipped'
    printf '\nWhat the log holds of them, by reason:\n'
    show "docs/examples/rejections.py weir 6 | awk 'NR > 1 { print \$3 }' | sort | uniq -c"
    for reason in malformed invalid too_large; do
        expect " *[0-9]* $reason"
    done
}

# What the projectors say of one view: `main_says` and `second_says`, each event id and digest.
ask_both() {
    main_says="$(value main "$1" event_id) $(value main "$1" digest)"
    second_says="$(value second "$1" event_id) $(value second "$1" digest)"
}

agree() {
    ask_both "$1"
    [ "$main_says" = "$second_says" ] && [ "${main_says% *}" -eq "$2" ]
}

healing() {
    local before killed_at view
    chapter "4. A projector is killed while events flow, and heals; a second one agrees with it"
    begin second "weir-projector run --name second"
    eventually "grep -q 'caught up' second.log"
    before=$(sed -n 's/.*caught up.* event_id=\([0-9]*\).*/\1/p' second.log)
    printf '$ weir-producer generate --rate 2000 --count %s --sources 1000 --batch 1 &\n' $TRAFFIC_EVENTS
    start generator weir-producer generate --rate 2000 --count $TRAFFIC_EVENTS --sources 1000 --batch 1
    generator=$started
    eventually "has main $((before + TRAFFIC_EVENTS / 4))"
    killed_at=$(value main order_counts event_id)
    [ "$killed_at" -lt $((before + TRAFFIC_EVENTS)) ] || die "too slow: all events came before the kill"
    kill -KILL "$main"
    wait "$main" 2>/dev/null || true
    printf "%s        # at event %s\n" "\$ kill -9 \$main" "$killed_at"
    begin main "weir-projector run --name main"
    wait "$generator" || die "some traffic was refused"
    generator=''
    said=$(cat generator.out)
    printf '%s\n' "$said"
    expect "$TRAFFIC_EVENTS accepted, 0 refused"
    printf '\n%-16s  %8s  %-32s  %s\n' view event 'digest in main' 'digest in second'
    for view in $VIEWS; do
        eventually "agree $view $((before + TRAFFIC_EVENTS))"
        printf '%-16s  %8s  %-32s  %s\n' "$view" "${main_says% *}" "${main_says#* }" "${second_says#* }"
    done
}

# Sets `left` to the milliseconds until the first refusal's time to come back; 0 once it is over.
window_opens_in() {
    local day=$((24 * 3600 * 1000)) at wait
    at=$(awk '{ print $2 }' <<<"$refusal")
    wait=${refusal##*come back in }
    wait=${wait% s}
    left=$((($(date -u -d "$at" +%s%3N) + 10#${wait/./} + 2 - $(date +%s%3N) + day) % day))
    [ $left -le 60000 ] || left=0
}

# wait_for_window SECONDS: until so long before it opens.
wait_for_window() {
    window_opens_in
    [ $left -gt $(($1 * 1000)) ] || [ "$1" -eq 0 ] || die "too slow to come $1 s before the window opens"
    sleep "$(((left - $1 * 1000) / 1000)).$(printf %03d $(((left - $1 * 1000) % 1000)))"
}

promise() {
    local sale='echo "{\"source\": \"till-7\", \"type\": \"payment.requested\"}"'
    chapter "5. The first refusal said when to come back: 2 s before that, and then"
    window_opens_in
    printf '(in %s s)\n' $((left / 1000))
    wait_for_window 2
    show "$sale | weir-producer send -"
    expect '0 accepted, 1 refused (rate_limited 1)'
    wait_for_window 0
    show "$sale | weir-producer send -"
    expect '1 accepted, 0 refused'
}

memory() {
    chapter "$1. And what was true at 00:00:05 of the first chapter, before three were sold?"
    show 'weir-projector query inventory_levels --at 1970-01-01T00:00:05Z'
    expect 'widget-A       100'
    show 'weir-projector query inventory_levels | grep widget-A'
    expect 'widget-A  *97'
}

packages=(python3 python3-zmq python3-msgpack) # for the examples
if [ -n "${WEIR_BIN:-}" ]; then
    install_packages "${packages[@]}"
    bin=$(cd "$WEIR_BIN" && pwd)
else
    install_packages "${WEIR_BUILD_PACKAGES[@]}" "${packages[@]}"
    build release
    bin=$WEIR_ROOT/build/release/bin
    ulimit -v $((8 * 1024 * 1024))
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-demo.XXXXXX")
ln -s "$WEIR_ROOT/docs" "$scratch/docs"
cd "$scratch"
# Run folder and records of uploads are here, so that no command needs to name them.
export PATH=$bin:$PATH XDG_RUNTIME_DIR=$scratch XDG_STATE_HOME=$scratch/state

laboratory
burst
malformed
healing
if [ -n "$fast" ]; then
    memory 5
else
    promise
    memory 6
fi
stop_all || die "a program did not stop cleanly"
processor='' main='' second=''
printf '\nAll of this was checked while it was shown.\n'
