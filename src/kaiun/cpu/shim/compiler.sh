#!/bin/sh
# shellcheck disable=SC2154 # march and its like come from the level
# Runs under the name of every compiler in PATH (links.sh made the links), and as cargo's RUSTC_WRAPPER: calls the real
# one with the baseline in place of `native`, and tells who asked for that. Explicit flags such as -mavx2 are left alone:
# libraries that choose at run time are made with them.
bin=/dev/shm/kaiun/bin
name=${0##*/}

# Sets `own`, PATH without the links: what a compiler starts needs them no more.
strip_links() {
  own='' rest=$PATH:
  while [ "$rest" ]; do
    folder=${rest%%:*}
    rest=${rest#*:}
    if [ "$folder" != "$bin" ]; then own=$own${own:+:}$folder; fi
  done
}

# Sets `real`, the program that was meant.
find_real() {
  real='' rest=$own:
  while [ "$rest" ] && ! [ "$real" ]; do
    folder=${rest%%:*}
    rest=${rest#*:}
    if [ -x "$folder/$name" ] && ! [ -d "$folder/$name" ]; then real=$folder/$name; fi
  done
  if ! [ "$real" ]; then
    echo "$name: not found" >&2
    exit 127
  fi
}

# Prints one line on the output of the step, once for each folder and flag; who reads it takes it out again.
# Process 1 is the shell of the RUN, whatever make or gem does with our own output.
tell() {
  told=/dev/shm/kaiun/told$PWD
  {
    mkdir -p "$told" && mkdir "$told/=$1" &&
      echo "kaiun-shim|$name|$1|$PWD|${CARGO_PKG_NAME:-${npm_package_name:-}}" >/proc/1/fd/2
  } 2>/dev/null
}

# Sets `swapped`: TEXT with the word FROM replaced by TO, where it stands between blanks, quotes, commas or ends.
swap() {
  swapped='' rest=$1 before=' '
  while :; do
    case $rest in
      *"$2"*) ;;
      *) swapped=$swapped$rest && return ;;
    esac
    head=${rest%%"$2"*}
    rest=${rest#*"$2"}
    if [ "$head" ]; then before=${head#"${head%?}"}; fi
    case $before$rest in
      [\ \	\"\',] | [\ \	\"\',][\ \	\"\',]*) swapped=$swapped$head$3 && tell "$2" ;;
      *) swapped=$swapped$head$2 ;;
    esac
    before=e # the end of FROM
  done
}

swap_all() {
  swap "$1" -march=native "$march_one"
  swap "$swapped" -mtune=native "$mtune"
  swap "$swapped" -mcpu=native "$mcpu"
  swap "$swapped" target-cpu=native "target-cpu=$rust"
  swap "$swapped" -Ctarget-cpu=native "-Ctarget-cpu=$rust"
  swap "$swapped" --codegen=target-cpu=native "--codegen=target-cpu=$rust"
}

# Sets `swapped` to @FILE, or to a copy of it that asks for the baseline.
swap_file() {
  swapped=@$1
  if ! [ -r "$1" ]; then return; fi
  found=''
  while IFS= read -r line || [ "$line" ]; do
    case $line in *native*) found=yes ;; esac
  done <"$1"
  if ! [ "$found" ]; then return; fi
  copy=/dev/shm/kaiun/arguments.$$.$count
  while IFS= read -r line || [ "$line" ]; do
    swap_all "$line"
    printf '%s\n' "$swapped"
  done <"$1" >"$copy"
  swapped=@$copy
}

strip_links
if [ "$name" = compiler ]; then
  real=$1
  name=${1##*/}
  shift
else
  find_real
fi
case $name in
  apt | apt-get | apk | dnf | microdnf | yum)
    "$real" "$@"
    status=$?
    /bin/sh /dev/kaiun/links >/dev/null
    exit $status
    ;;
esac
PATH=$own
export PATH
case " $*" in
  *native* | *" @"*)
    # shellcheck source=/dev/null
    . /dev/kaiun/level # march, march_one, mtune, mcpu, rust
    ;;
  *) exec "$real" "$@" ;;
esac
count=$#
while [ "$count" -gt 0 ]; do
  argument=$1
  shift
  count=$((count - 1))
  case $argument in
    -march=native)
      tell "$argument"
      # shellcheck disable=SC2086 # the level is several words, which older compilers know as well
      set -- "$@" $march
      continue
      ;;
    -mtune=native | -mcpu=native | -W?,* | *target-cpu=native) swap_all "$argument" ;;
    @*) swap_file "${argument#@}" ;;
    *) swapped=$argument ;;
  esac
  set -- "$@" "$swapped"
done
exec "$real" "$@"
