#!/bin/bash
# The oracle, which decides the same events by a naive algorithm, over many seeds.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/exactness.sh [--seeds N] [--first SEED]

  --seeds N       how many (default 500)
  --first SEED    the first of them (default 1)
TEXT
}

seeds=500 first=1
read_options "seeds first" "$@"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
WEIR_SEEDS=$seeds WEIR_SEED=$first integration_test exactness
