#!/bin/bash
# Builds with warnings as errors and runs all tests. On a bare Debian 12 it first installs what is
# missing. Arguments go to ctest (scripts/test.sh -L unit). The last lines are ctest's summary.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

install_packages "${WEIR_BUILD_PACKAGES[@]}" "${WEIR_TEST_PACKAGES[@]}"
build dev
run_tests dev "$@"
