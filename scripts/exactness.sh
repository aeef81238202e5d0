#!/bin/bash
# The oracle over many seeds: scripts/exactness.sh [SEEDS] [FIRST_SEED]
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
WEIR_SEEDS=${1:-500} WEIR_SEED=${2:-1} integration_test exactness
