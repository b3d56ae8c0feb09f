# Prepares a Debian machine as kaiun's build host; read by `sh` over SSH, after lines that set
#   environment   the name of the virtual environment, and of its requirements
#   user          who will build, "" for the one who logs in
#   app           whose commits are pushed there
#   port          where a private registry listens on loopback, "" for none
#   requirements  the packages of the virtual environment, pinned
# Does only what is not done yet, and says what it does.
# shellcheck shell=sh disable=SC2154
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"

home=${KAIUN_HOME:-/var/lib/kaiun}
user=${user:-$(id -un)}
venv="$home/venvs/$environment"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '%s\n' "$*"; }
fail() {
  say "error: $1"
  say "hint: $2"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    fail "$1 needs root on the host" "let $(id -un) use sudo without a password, or: kaiun build --setup ssh://root@HOST"
  fi
}

# quietly COMMAND… shows what it said only where it fails.
quietly() {
  as_root "$@" </dev/null >"$log" 2>&1 && return
  tail -n 15 "$log"
  fail "$1 failed" "see above"
}

# await SECONDS COMMAND… repeats it until it succeeds.
await() {
  left=$1
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 1
  done
}

has_systemd() { [ -d /run/systemd/system ]; }

# Before version 23 the client has BuildKit inside; since then the buildx plugin does it.
has_buildkit() {
  major=$(docker --version 2>/dev/null | sed 's/^Docker version \([0-9]*\).*/\1/')
  [ -n "$major" ] && { [ "$major" -lt 23 ] || docker buildx version >/dev/null 2>&1; }
}

find_python() {
  for python in /usr/bin/python3.14 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3; do
    "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    echo "$python"
    return
  done
}

missing_packages() {
  have docker || echo docker.io
  if ! has_buildkit && [ -n "$(apt-cache --names-only search '^docker-buildx$')" ]; then
    echo docker-cli docker-buildx
  fi
  have git || echo git
  [ -n "$(find_python)" ] || echo python3 python3-venv
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  have iptables || echo iptables
  [ -z "$port" ] || have docker-registry || echo docker-registry
}

install_packages() {
  have apt-get || fail "this host is no Debian" "install by hand: docker (BuildKit), git, python3 3.11 or later with venv"
  [ -n "$(missing_packages)" ] || return 0
  quietly apt-get -o Acquire::Retries=3 update -qq
  # shellcheck disable=SC2046  # each word is a package
  set -- $(missing_packages)
  say "packages: installing $*"
  quietly apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends "$@"
  case " $* " in
    # The package's own service would listen on every address.
    *" docker-registry "*) if has_systemd; then quietly systemctl disable --now docker-registry; fi ;;
  esac
}

engine_answers() { as_root docker version; }

start_engine() {
  engine_answers >/dev/null 2>&1 && return
  say "Docker Engine: starting it"
  if has_systemd; then
    quietly systemctl enable --now docker
  else
    # The service raises limits, which not every container may.
    as_root service docker start >"$log" 2>&1 || quietly start-stop-daemon --start --background \
      --output /var/log/docker.log --exec "$(command -v dockerd)"
  fi
  await 60 engine_answers || fail "the Docker Engine does not answer" "look into its log on the host: journalctl -u docker, /var/log/docker.log"
}

enrol_user() {
  getent group kaiun >/dev/null || quietly groupadd --system kaiun
  [ "$user" != root ] || return 0
  for group in docker kaiun; do
    id -nG "$user" | tr ' ' '\n' | grep -qx "$group" && continue
    say "groups: $user joins $group"
    quietly usermod -aG "$group" "$user"
  done
}

make_folders() {
  [ -d "$home" ] || say "folders: $home"
  # Set-group-ID: what one user makes there, the others of the group can lock and remove.
  for folder in "$home" "$home/locks" "$home/builds" "$home/work" "$home/venvs" "$home/code" "$home/repositories"; do
    [ -d "$folder" ] || quietly install -d -m 2775 -g kaiun "$folder"
  done
}

# Git refuses a repository that another user owns. This one is the group's, who share it on purpose.
trust_repository() {
  repository="$home/repositories/$app.git"
  git config --system --get-all safe.directory | grep -qxF "$repository" ||
    quietly git config --system --add safe.directory "$repository"
}

make_environment() {
  [ ! -x "$venv/bin/python" ] || return 0
  python=$(find_python)
  [ -n "$python" ] || fail "there is no Python 3.11 or later with venv" "Debian 12 has it: apt-get install python3-venv"
  say "Python packages: installing them into $venv"
  new=$(as_root mktemp -d "$home/venvs/new-XXXXXX")
  quietly "$python" -m venv "$new"
  printf '%s' "$requirements" | as_root tee "$new/requirements.txt" >/dev/null
  quietly "$new/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
    --require-hashes --requirement "$new/requirements.txt"
  quietly chmod -R a+rX "$new"
  quietly mv -T "$new" "$venv"
}

registry_answers() {
  "$venv/bin/python" -I -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$port/v2/', timeout=5)"
}

registry_unit() {
  cat <<END
[Unit]
Description=kaiun's private registry
After=network.target
[Service]
User=docker-registry
ExecStart=$(command -v docker-registry) serve $home/registry.yml
Restart=on-failure
[Install]
WantedBy=multi-user.target
END
}

start_registry() {
  [ -n "$port" ] || return 0
  registry_answers >/dev/null 2>&1 && return
  say "registry: starting one on 127.0.0.1:$port"
  quietly install -d -m 750 -o docker-registry -g docker-registry "$home/registry"
  as_root tee "$home/registry.yml" >/dev/null <<END
version: 0.1
storage:
  filesystem: {rootdirectory: $home/registry}
  delete: {enabled: true}
http: {addr: "127.0.0.1:$port"}
END
  if has_systemd; then
    registry_unit | as_root tee /etc/systemd/system/kaiun-registry.service >/dev/null
    quietly systemctl daemon-reload
    quietly systemctl enable kaiun-registry
    quietly systemctl restart kaiun-registry
  else
    say "registry: without systemd it does not start at boot: run --setup again then"
    as_root start-stop-daemon --start --background --make-pidfile --pidfile "/run/kaiun-registry-$port.pid" \
      --chuid docker-registry --startas "$(command -v docker-registry)" -- serve "$home/registry.yml"
  fi
  await 20 registry_answers || fail "the registry does not answer on port $port" "journalctl -u kaiun-registry"
}

install_packages
start_engine
has_buildkit || fail "no Docker client here can build with BuildKit" "apt-get install docker-buildx (or docker-buildx-plugin)"
enrol_user
make_folders
trust_repository
make_environment
start_registry
say "ready: $("$venv/bin/python" -V), $(docker --version | sed 's/,.*//')"
