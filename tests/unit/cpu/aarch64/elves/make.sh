#!/bin/sh
# Makes the ELF files of this folder. They are committed, so that tests need no cross compiler; this made them on
# Debian 12 with gcc-aarch64-linux-gnu 12.2.
set -eu
cd "$(dirname "$0")"
small="-nostdlib -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code -Wl,--hash-style=gnu"
# made NAME SOURCE FLAG… compiles a library, with the table of symbols that the linker gives it.
made() {
  name=$1 source=$2
  shift 2
  # shellcheck disable=SC2086 # several words
  aarch64-linux-gnu-gcc -O3 -ffreestanding -fPIC -ffile-prefix-map="$PWD"=. $small "$@" -o "$name.elf" "$source" -lgcc
}
made plain vectors.c -static
made neoverse-n1 vectors.c -static -mcpu=neoverse-n1
made neoverse-v1 vectors.c -static -mcpu=neoverse-v1
made neoverse-v1-stripped vectors.c -static -s -mcpu=neoverse-v1
made lse atomics.c -shared -march=armv8.1-a
made outline atomics.c -shared -moutline-atomics
made outline-and-sve atomics.c -shared -moutline-atomics -DWITH_SVE
made guarded guarded.c -shared
made guarded-stripped guarded.c -shared -s
made guarded-by-mrs guarded.c -shared -DWITH_MRS
made half-guarded guarded.c -shared -DHASTY
made contaminated contaminated.c -shared -mcpu=neoverse-v1
made debug contaminated.c -shared -g -fvisibility=hidden -mcpu=neoverse-v1
made debug-n1 guarded.c -shared -DHASTY -g -mcpu=neoverse-n1
made ifunc ifunc.c -shared
made tables tables.s -shared
made tables-stripped tables.s -shared -s
