# Sourced by the scripts beside it: stages with their times, root, the Docker client.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # used by the scripts that source this
VENV="$ROOT/.venv"
# shellcheck disable=SC2034
STATE=${KAIUN_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/kaiun}

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $1"
  [ $# -lt 2 ] || say "  hint: $2"
  exit 1
}

# stage NAME COMMAND… runs the command, prints its name and its time, and returns its status.
# Inside, errexit is off where the caller tests that status: what is run here must return its failures.
stage() {
  local name=$1 began tenths status=0
  shift
  say "── $name"
  began=$(date +%s%N)
  "$@" || status=$?
  tenths=$((($(date +%s%N) - began) / 100000000))
  [ "$status" = 0 ] || name="$name failed"
  say "   $name: $((tenths / 10)).$((tenths % 10)) s"
  return "$status"
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    fail "$1 needs root" "run as root, or install sudo"
  fi
}

# await SECONDS COMMAND… repeats the command until it succeeds; false when the time is over.
await() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

has_systemd() { [ -d /run/systemd/system ]; }

engine_answers() { have docker && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Prints the first docker client that can do BuildKit: before 23 it is built in, since then the buildx plugin does it.
buildkit_docker() {
  local client version
  for client in $(type -ap docker) /usr/bin/docker; do
    [ -x "$client" ] || continue
    version=$("$client" version --format '{{.Client.Version}}' 2>/dev/null) || continue
    if [ "${version%%.*}" -lt 23 ] || "$client" buildx version >/dev/null 2>&1; then
      echo "$client"
      return 0
    fi
  done
  return 1
}

# Prints a Python ≥ 3.11 that can make virtual environments; never a shim, which costs time at every start.
find_python() {
  local python
  for python in /usr/bin/python3.{11,12,13,14} /usr/bin/python3 /usr/local/bin/python3 "$(command -v python3)"; do
    case $python in */shims/*) continue ;; esac
    [ -x "$python" ] || continue
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python"
      return 0
    fi
  done
  return 1
}
