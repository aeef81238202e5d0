#!/bin/bash
# kill -9 of the processor and of send during one upload: each line is there once, in order.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/crash.sh [--kills N] [--lines N] [--seed N]

  --kills N    of each program (default 50)
  --lines N    of the upload (default 200000)
  --seed N     when they come (default 1)
TEXT
}

kills=50 lines=200000 seed=1
read_options "kills lines seed" "$@"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
WEIR_KILLS=$kills WEIR_LINES=$lines WEIR_SEED=$seed integration_test crash
