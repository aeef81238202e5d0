#!/bin/bash
# Bad submissions without end, and the processor's memory after them.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/soak.sh [--submissions N]

  --submissions N    how many (default 1000000)
TEXT
}

submissions=1000000
read_options "submissions" "$@"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
WEIR_BAD=$submissions integration_test hostile Memory
