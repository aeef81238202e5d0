#!/bin/bash
# How fast a recorded file is decided offline (batch), and the log that this leaves is proved and
# decided again (verify): under no policy, under one with few keys, and under one with 100,000.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/bench-batch.sh [--lines N]

  --lines N    lines of the recorded file (default 2000000)
TEXT
}

lines=2000000
read_options "lines" "$@"

measure_prepare
measure_machine

# Ten events share a time of day in 1 ms, as they do in batches online.
awk -v lines="$lines" 'BEGIN {
    srand(1)
    for (i = 0; i < lines; i++) {
        s = int(i / 10000)
        printf "{\"specversion\": \"1.0\", \"source\": \"shop-%d\", \"type\": \"order.created\", ", i % 4
        printf "\"subject\": \"order-%d\", ", int(rand() * 100000)
        printf "\"time\": \"2026-01-01T%02d:%02d:%02d.%03dZ\", ", s / 3600, s / 60 % 60, s % 60, i % 10000 / 10
        printf "\"data\": {\"status\": \"pending\", \"amount_minor\": %d, \"currency\": \"EUR\"}}\n", rand() * 10000
    }
}' >"$scratch/lines.jsonl"

measure() {
    local name=$1
    shift
    say "$name"
    "$bin/weir-processor" batch "$scratch/lines.jsonl" --store "$scratch/$name" "$@" --log-level error || [ $? = 2 ]
    "$bin/weir-processor" verify --store "$scratch/$name" --log-level error
}

say "$lines lines, $(stat -c %s "$scratch/lines.jsonl") bytes"
measure no-policy
measure four-keys --limit '"per-source";q=1000000000;w=60;pk=source'
measure many-keys --limit '"per-subject";q=1000000;w=1;pk=subject'
measure many-refused --limit '"per-subject";q=3;w=60;pk=subject'
measure_end
