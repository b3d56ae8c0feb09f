# Runs in the image while kaiun's layer is built, as root, by whatever /bin/sh the image has.
#   setup.sh install MANAGER PACKAGE…   install, and pack what that added into /kaiun-python.tar
#   setup.sh arrange                    unpack it where given, make /opt/kaiun
set -eu
here=$(dirname "$0")

install_packages() {
  manager=$1
  shift
  case $manager in
    apt-get)
      export DEBIAN_FRONTEND=noninteractive
      rm -f /etc/apt/apt.conf.d/docker-clean
      apt-get update -q
      apt-get install -qy --no-install-recommends "$@"
      ;;
    apk) apk add --update-cache "$@" ;;
    *) "$manager" install -y "$@" ;;
  esac
}

# What the new packages hold, by apk's own list; elsewhere by ctime.
pack_apk() {
  apk info -q | sort >/tmp/kaiun-after
  comm -13 /tmp/kaiun-before /tmp/kaiun-after >/tmp/kaiun-new
  { xargs apk info -qL </tmp/kaiun-new; echo lib/apk/db/installed; echo lib/apk/db/triggers; echo etc/apk/world; } |
    while read -r file; do if [ -n "$file" ] && [ -e "/$file" ]; then echo "$file"; fi; done >/tmp/kaiun-files
  tar -C / -cf /kaiun-python.tar -T /tmp/kaiun-files
}

# By the time of the change of the inode: packages keep the times that files were made.
pack() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /var/cache \
    -o -path /var/log -o -path /var/lib/apt -o -path /kaiun-python.tar -o -path /.kaiun-mark \) -prune \
    -o \( -type f -o -type l \) -cnewer /.kaiun-mark -print >/tmp/kaiun-files
  tar -cf /kaiun-python.tar -T /tmp/kaiun-files
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
    if [ -e /media/python.tar ]; then tar -xf /media/python.tar -C /; fi
    for python in $(command -v python3) /usr/local/bin/python3 /usr/bin/python3; do
      if "$python" -I -S "$here/assemble.py" check "$here"; then
        exec "$python" -I -S "$here/assemble.py" make "$here" /opt/kaiun
      fi
    done
    echo "no Python 3.9 in the image" >&2
    exit 1
    ;;
esac
