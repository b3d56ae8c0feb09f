# Runs in the image while kaiun's layer is built, as root, by whatever /bin/sh the image has.
#   setup.sh install MANAGER PACKAGE…   install, and copy what that added to /kaiun-python
#   setup.sh arrange                    make /opt/kaiun
set -eu
here=$(dirname "$0")

install_packages() {
  manager=$1
  shift
  case $manager in
    apt-get)
      export DEBIAN_FRONTEND=noninteractive
      rm -f /etc/apt/apt.conf.d/docker-clean
      apt-get -o Acquire::Retries=3 update -q
      apt-get -o Acquire::Retries=3 install -qy --no-install-recommends "$@"
      ;;
    apk) apk add --update-cache "$@" ;;
    *) "$manager" install -y "$@" ;;
  esac
}

# Folders are as they are in the image, times too: copied over its own they change nothing, and the layer that the copy
# makes is the same to the byte, whatever the commit.
copy_tree() {
  mkdir /kaiun-python
  tar -C / -cf - -T /tmp/kaiun-files | tar -C /kaiun-python -xf -
  python3 -I -S -c '
import os
tree = "/kaiun-python"
for folder, _, _ in os.walk(tree, topdown=False):
    own = os.stat(folder[len(tree):] or "/")
    os.chown(folder, own.st_uid, own.st_gid)
    os.chmod(folder, own.st_mode & 0o7777)
    os.utime(folder, ns=(own.st_atime_ns, own.st_mtime_ns))
'
}

# What the new packages hold, by apk's own list; elsewhere by ctime.
pack_apk() {
  apk info -q | sort >/tmp/kaiun-after
  comm -13 /tmp/kaiun-before /tmp/kaiun-after >/tmp/kaiun-new
  { xargs apk info -qL </tmp/kaiun-new; echo lib/apk/db/installed; echo lib/apk/db/triggers; echo etc/apk/world; } |
    while read -r file; do if [ -n "$file" ] && [ -e "/$file" ]; then echo "$file"; fi; done >/tmp/kaiun-files
  copy_tree
}

# By the time of the change of the inode: packages keep the times that files were made.
pack() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /var/cache \
    -o -path /var/log -o -path /var/lib/apt -o -path /.kaiun-mark \) -prune \
    -o \( -type f -o -type l \) -cnewer /.kaiun-mark -print >/tmp/kaiun-files
  copy_tree
}

case $1 in
  install)
    shift
    : >/.kaiun-mark
    sleep 0.1 2>/dev/null || sleep 1
    if [ "$1" = apk ]; then apk info -q | sort >/tmp/kaiun-before; fi
    install_packages "$@"
    if [ "$1" = apk ]; then pack_apk; else pack; fi
    ;;
  arrange)
    for python in $(command -v python3) /usr/local/bin/python3 /usr/bin/python3; do
      if "$python" -I -S "$here/assemble.py" check "$here"; then
        exec "$python" -I -S "$here/assemble.py" make "$here" /opt/kaiun
      fi
    done
    echo "no Python 3.9 in the image" >&2
    exit 1
    ;;
esac
