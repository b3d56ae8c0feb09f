"""A bare Debian machine becomes a build host: a container with sshd, sudo, and nothing else.

Docker Engine, registry and Python packages are installed in it by `kaiun build --setup`, for real.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.build_host import Developer, RemoteHost, key
from support.images import DOCKERFILE, docker, system
from support.repository import Repository

pytestmark = pytest.mark.e2e

BASE = "kaiun-base:bookworm"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# What a Docker Engine in a container needs: all but the right to raise limits, which this machine
# may not have itself. Its cgroups are those of this machine: a line of fstab keeps the init script
# of Debian's docker.io from mounting further controllers, after which containerd here would no
# longer find its way in /proc/PID/cgroup, and hear of no container that ran out of memory.
RIGHTS = (
    "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined", "--security-opt=systempaths=unconfined",
    "--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)  # fmt: skip
PREPARE = """
set -e
echo 'cgroup /sys/fs/cgroup cgroup noauto 0 0' >/etc/fstab
apt-get -o Acquire::Retries=3 update -qq
apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends \
  openssh-server sudo ca-certificates
[ ! -e /certificates ] || cat /certificates >/etc/ssl/certs/ca-certificates.crt
useradd --create-home --shell /bin/bash builder
echo 'builder ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/builder
install -d -m 755 /run/sshd
install -d -m 700 -o builder /home/builder/.ssh
install -m 600 -o builder /keys/id.pub /home/builder/.ssh/authorized_keys
install -m 600 /keys/host_key /etc/ssh/ssh_host_ed25519_key
install -m 644 /keys/host_key.pub /etc/ssh/ssh_host_ed25519_key.pub
echo ready
exec /usr/sbin/sshd -D -e
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteHost]:
    """Hold a bare Debian 12 that answers SSH as `builder`."""
    root = tmp_path_factory.mktemp("machine")
    for name in ("id", "host_key"):
        key(root / name)
    own = [f"--volume={CERTIFICATES}:/certificates:ro"] if Path(CERTIFICATES).exists() else []
    container = docker(
        "run", "--detach", *RIGHTS, "--publish=127.0.0.1::22", "--volume=/var/lib/docker",
        f"--volume={root}:/keys:ro", *own, BASE, "sh", "-c", PREPARE,
    )  # fmt: skip
    try:
        wait_for(container, "Server listening")
        port = int(docker("port", container, "22").rpartition(":")[2])
        host = RemoteHost(root, port, "builder")
        host.prepare()
        yield host
    finally:
        docker("rm", "--force", "--volumes", container)


def inside(machine: RemoteHost, script: str) -> None:
    """Run something on the machine, as its user."""
    command = [str(machine.root / "bin" / "ssh"), machine.alias, script]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=120)


LABELS = """
import json, sys
from kaiun.image import Workshop
from kaiun.image.host.line import Line
from kaiun.image.reference import parse
line = Line(sys.argv[1])
named = parse(sys.argv[2])
print(json.dumps(Workshop(line=line).connected().labels(named, named.digest)))
line.close()
"""


def labels(machine: RemoteHost, reference: str) -> dict[str, str]:
    """Return an image's labels as `deploy` reads them: its registry answers on the host alone."""
    done = subprocess.run(
        [sys.executable, "-c", LABELS, f"ssh://builder@{machine.alias}", reference],
        env=machine.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


def wait_for(container: str, text: str) -> None:
    deadline = time.monotonic() + 180
    while True:
        done = subprocess.run(["docker", "logs", container], capture_output=True, check=True)
        said = (done.stdout + done.stderr).decode(errors="replace")
        if text in said:
            return
        running = docker("inspect", "--format={{.State.Running}}", container)
        assert running == "true" and time.monotonic() < deadline, said
        time.sleep(0.2)


def test_a_bare_debian_becomes_a_build_host(tmp_path: Path, machine: RemoteHost) -> None:
    app = f"t-{uuid.uuid4().hex[:12]}"
    origin = Repository(tmp_path / "origin")
    image = f"{{repository: localhost:5000/{app}, host: 'ssh://builder@{machine.alias}'}}"
    config = f"app: {app}\nimage: {image}\nprocesses: {{web: {{command: /bin/sh}}}}\n"
    origin.commit({**system(), "Dockerfile": DOCKERFILE, "unique": app, "kaiun.yml": config})
    ann = Developer(machine, origin.path)

    before = ann.kaiun("build")
    assert before.process.returncode == 2
    assert "kaiun build --setup" in before.err

    first = ann.start("build", "--setup")
    assert first.ends(400) == 0, first.err
    for word in ("installing docker.io", "builder joins docker", "registry: starting one"):
        assert word in first.err
    again = ann.kaiun("build", "--setup", "--json")
    assert again.process.returncode == 0, again.err
    assert "installing" not in again.err
    assert "starting" not in again.err
    assert "GiB free" in json.loads(again.out)["condition"]

    built = ann.kaiun("build", "--json")
    assert built.process.returncode == 0, built.err
    assert json.loads(built.out)["web"]["built"]
    assert "there already" in ann.kaiun("build").out
    assert labels(machine, json.loads(built.out)["web"]["reference"])["kaiun.app"] == app

    origin.commit({"more": "1"})
    push = subprocess.run(
        ["git", "push", "build", "HEAD:main"],
        cwd=origin.path, env=machine.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert push.returncode == 0, push.stderr
    followed = ann.kaiun("build", "--watch")
    assert followed.process.returncode == 0, followed.err
    assert f"localhost:5000/{app}@sha256:" in followed.out

    slow = f"RUN echo {app} ready-$((1 + 1)); sleep 6.5\n"
    origin.commit({"Dockerfile": f"FROM scratch\nCOPY system/ /\n{slow}"})
    struck = ann.start("build")
    struck.says("ready-2")
    inside(machine, "sudo kill -9 $(cat /var/run/docker.pid)")
    assert struck.ends() == 2
    assert "Traceback" not in struck.err
    down = ann.kaiun("build")
    assert down.process.returncode == 2
    assert "the Docker Engine does not answer" in down.err
    assert ann.kaiun("build", "--setup").process.returncode == 0
    whole = ann.kaiun("build")
    assert whole.process.returncode == 0, whole.err
    assert "built in" in whole.out


SECOND = """
set -e
sudo useradd --create-home --shell /bin/bash second
sudo install -d -m 700 -o second /home/second/.ssh
sudo install -m 600 -o second /keys/id.pub /home/second/.ssh/authorized_keys
"""


def test_unix_users_of_one_host_build_together(tmp_path: Path, machine: RemoteHost) -> None:
    inside(machine, SECOND)
    app = f"t-{uuid.uuid4().hex[:12]}"
    origin = Repository(tmp_path / "origin")
    hosts = [
        f"{{image: {{host: 'ssh://{user}@{machine.alias}'}}}}" for user in ("builder", "second")
    ]
    config = (
        f"app: {app}\nimage: {{repository: localhost:5000/{app}, cpu: x86-64-v2}}\n"
        f"processes: {{web: {{command: /bin/sh}}}}\n"
        f"environments: {{ann: {hosts[0]}, ben: {hosts[1]}}}\n"
    )
    slow = (
        f"FROM scratch\nCOPY system/ /\nRUN echo {app} ready-$((1 + 1)); sleep 6.5\nCOPY . /app/\n"
    )
    origin.commit({**system(), "Dockerfile": slow, "kaiun.yml": config})
    ann = Developer(machine, origin.path, {"KAIUN_ENVIRONMENT": "ann"})
    origin.git("clone", "--quiet", str(origin.path), str(tmp_path / "ben"))
    ben = Developer(machine, tmp_path / "ben", {"KAIUN_ENVIRONMENT": "ben"})
    for each in (ann, ben):  # builder's sudo prepares the host for both
        prepared = each.start("build", "--setup", f"ssh://builder@{machine.alias}")
        assert prepared.ends(400) == 0, prepared.err

    both = [ann.start("build", "--json"), ben.start("build", "--json")]
    assert [each.ends() for each in both] == [0, 0], [each.err for each in both]
    assert sorted(json.loads(each.out)["web"]["built"] for each in both) == [False, True]
    for number, each in enumerate((ben, ann, ben)):  # in what the other wrote
        Repository(each.clone).commit({"more": str(number)})
        built = each.kaiun("build")
        assert built.process.returncode == 0, built.err
        assert "built in" in built.out
        assert "cannot" not in built.err

    Repository(ben.clone).commit({"more": "pushed"})
    Repository(ben.clone).git("push", "build", "HEAD:main", GIT_SSH=str(machine.root / "bin/ssh"))
    followed = ben.kaiun("build", "--watch")
    assert followed.process.returncode == 0, followed.err

    Repository(ann.clone).commit({"system/again": app})
    struck = ann.start("build")
    struck.says("ready-2")
    inside(machine, "sudo pkill -9 -u builder python")
    assert struck.ends() == 2
    Repository(ben.clone).git("fetch", "--quiet", str(ann.clone))
    Repository(ben.clone).git("reset", "--quiet", "--hard", "FETCH_HEAD")
    assert ben.kaiun("build").process.returncode == 0
