#!/bin/bash
# kill -9 of the processor and of send, KILLS times each, during one upload:
# scripts/crash.sh [KILLS] [LINES] [SEED]
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
WEIR_KILLS=${1:-50} WEIR_LINES=${2:-200000} WEIR_SEED=${3:-1} integration_test crash
