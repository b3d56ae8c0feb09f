#!/bin/sh
# Prints what clang is to do with its arguments: its driver reads CCC_OVERRIDE_OPTIONS, wherever it is called from.
# Source: clang, tools/driver/driver.cpp, ApplyOneQAOverride.
# shellcheck source=/dev/null
. /dev/kaiun/level # march, march_one, mtune, mcpu, rust
# shellcheck disable=SC2154
echo "s/^-march=native\$/$march_one/ s/^-mtune=native\$/$mtune/ s/^-mcpu=native\$/$mcpu/"
