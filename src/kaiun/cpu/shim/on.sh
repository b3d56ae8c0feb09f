# shellcheck shell=sh
# Read by the shell of a RUN before its own command: the compilers it calls, by whatever way, find the baseline in place
# of `native`. Whatever options the shell runs under (-eu, pipefail), nothing here fails, and no variable is left behind.
PATH=$(/bin/sh /dev/kaiun/links) || :
# GCC reads a file named `specs` from here, by whatever path it is called; links made it.
LIBRARY_PATH=${LIBRARY_PATH:+$LIBRARY_PATH:}/dev/shm/kaiun/specs
CCC_OVERRIDE_OPTIONS="# $(/bin/sh /dev/kaiun/clang)${CCC_OVERRIDE_OPTIONS:+ ${CCC_OVERRIDE_OPTIONS#\#}}"
RUSTC_WRAPPER=${RUSTC_WRAPPER:-/dev/kaiun/compiler}
export PATH LIBRARY_PATH CCC_OVERRIDE_OPTIONS RUSTC_WRAPPER
