#!/bin/bash
# Bad submissions without end, and the processor's memory after them: scripts/soak.sh [SUBMISSIONS]
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
WEIR_BAD=${1:-1000000} integration_test hostile Memory
