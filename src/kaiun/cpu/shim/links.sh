#!/bin/sh
# Makes a link to the shim for each compiler in PATH, and prints the PATH on which the links come first. Names that are
# not there get none: a configure script would believe in them. Package managers get one too, to look again after them.
# shellcheck source=/dev/null
. /dev/kaiun/level # cc1_cpu
bin=/dev/shm/kaiun/bin

# Writes the specs of a GCC, with the baseline in place of what it detects, to where LIBRARY_PATH has it look: all of
# them, for with a file of that name GCC takes nothing of its own. Source: GCC, gcc/gcc.cc, driver::set_up_specs.
write_specs() {
  libgcc=$(LIBRARY_PATH='' "$1" -print-libgcc-file-name) || return # …/x86_64-linux-gnu/12/libgcc.a
  version=${libgcc%/*}
  machine=${version%/*}
  specs=/dev/shm/kaiun/specs/${machine##*/}/${version##*/}
  if [ -e "$specs/specs" ]; then return; fi
  mkdir -p "$specs"
  before=''
  LIBRARY_PATH='' "$1" -dumpspecs | while IFS= read -r line; do
    # shellcheck disable=SC2154 # cc1_cpu comes from the level
    if [ "$before" = "*cc1_cpu:" ]; then line=$cc1_cpu; fi
    before=$line
    printf '%s\n' "$line"
  done >"$specs/specs"
}

own=
IFS=:
for folder in $PATH; do
  if [ "$folder" = "$bin" ]; then continue; fi
  own=$own${own:+:}$folder
  for file in \
    "$folder"/cc "$folder"/c++ "$folder"/gcc "$folder"/g++ "$folder"/cpp "$folder"/gfortran "$folder"/clang \
    "$folder"/clang++ "$folder"/rustc \
    "$folder"/gcc-[0-9]* "$folder"/g++-[0-9]* "$folder"/cpp-[0-9]* "$folder"/gfortran-[0-9]* \
    "$folder"/clang-[0-9]* "$folder"/clang++-[0-9]* "$folder"/clang-cpp-[0-9]* \
    "$folder"/*-cc "$folder"/*-c++ "$folder"/*-gcc "$folder"/*-g++ "$folder"/*-cpp "$folder"/*-gfortran \
    "$folder"/*-clang "$folder"/*-clang++ "$folder"/*-gcc-[0-9]* "$folder"/*-g++-[0-9]* "$folder"/*-cpp-[0-9]* \
    "$folder"/*-gfortran-[0-9]* \
    "$folder"/apt "$folder"/apt-get "$folder"/apk "$folder"/dnf "$folder"/microdnf "$folder"/yum; do
    if [ -x "$file" ] && ! [ -d "$file" ] && ! [ -e "$bin/${file##*/}" ]; then
      [ -d "$bin" ] || mkdir -p "$bin"
      ln -s /dev/kaiun/compiler "$bin/${file##*/}"
      case ${file##*/} in gcc | gcc-[0-9]*) write_specs "$file" ;; esac
    fi
  done
done 2>/dev/null
# Without `ln`, or where another user made the links, there is what the environment alone can do.
if [ -d "$bin" ]; then echo "$bin${own:+:}$own"; else echo "$own"; fi
