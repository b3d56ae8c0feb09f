"""What the members of a task definition do to real containers, from RegisterTaskDefinition on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.containers import docker
from support.engine import Engine, until
from support.real_tasks import Ran, shell, start

pytestmark = pytest.mark.docker

Case = tuple[str, dict[str, Any], dict[str, Any], list[str]]
TMPFS = {"containerPath": "/scratch", "size": 3, "mountOptions": ["noexec", "nosuid"]}
DEVICE = {"hostPath": "/dev/null", "containerPath": "/dev/mine", "permissions": ["read"]}
MEMORY = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"


def linux(**parameters: Any) -> dict[str, Any]:
    return {"linuxParameters": parameters}


def volume(**configuration: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "data", **configuration}]}


MOUNTED: dict[str, Any] = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}
READ_ONLY = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}]}
OF_TMPFS = {
    "scope": "task",
    "driver": "local",
    "driverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
}
PID = str(Path("/proc/self/ns/pid").readlink())
IPC = str(Path("/proc/self/ns/ipc").readlink())
# script, members of the container, members of the task definition, what it writes
CASES: dict[str, Case] = {
    "environment": ("echo $A", {"environment": [{"name": "A", "value": "x y"}]}, {}, ["x y"]),
    "entryPoint and command": (
        "", {"entryPoint": ["echo", "a b"], "command": ["c"]}, {}, ["a b c"],
    ),
    "workingDirectory": ("pwd", {"workingDirectory": "/www"}, {}, ["/www"]),
    "user": ("id -u; id -g", {"user": "1234:77"}, {}, ["1234", "77"]),
    "hostname": ("hostname", {"hostname": "box"}, {}, ["box"]),
    "readonlyRootFilesystem": (
        "touch /x 2>/dev/null || echo no", {"readonlyRootFilesystem": True}, {}, ["no"],
    ),
    "not privileged": ("mount -t tmpfs t /tmp 2>/dev/null || echo no", {}, {}, ["no"]),
    "pseudoTerminal": ("test -t 1 && echo tty", {"pseudoTerminal": True}, {}, ["tty"]),
    "interactive": (
        "readlink /proc/self/fd/0 | cut -d: -f1", {"interactive": True}, {}, ["pipe"],
    ),
    "memory": (MEMORY, {}, {}, [str(64 * 1024 * 1024)]),
    "ulimits": (
        "ulimit -n; ulimit -Hn",
        {"ulimits": [{"name": "nofile", "softLimit": 123, "hardLimit": 456}]}, {}, ["123", "456"],
    ),
    "extraHosts": (
        "grep far /etc/hosts",
        {"extraHosts": [{"hostname": "far", "ipAddress": "192.0.2.7"}]}, {}, ["192.0.2.7\tfar"],
    ),
    "dnsServers": (
        "grep nameserver /etc/resolv.conf",
        {"dnsServers": ["192.0.2.53"]}, {"networkMode": "host"}, ["nameserver 192.0.2.53"],
    ),
    "dnsSearchDomains": (
        "grep search /etc/resolv.conf", {"dnsSearchDomains": ["a.test"]}, {}, ["search a.test"],
    ),
    "systemControls": (
        "cat /proc/sys/net/core/somaxconn",
        {"systemControls": [{"namespace": "net.core.somaxconn", "value": "77"}]}, {}, ["77"],
    ),
    "systemControls of a task's network": (
        "cat /proc/sys/net/core/somaxconn",
        {"systemControls": [{"namespace": "net.core.somaxconn", "value": "77"}]},
        {"networkMode": "awsvpc"}, ["77"],
    ),
    "dockerSecurityOptions": (
        "grep -c 'NoNewPrivs:.1' /proc/self/status",
        {"dockerSecurityOptions": ["no-new-privileges"]}, {}, ["1"],
    ),
    "capabilities add": (
        "ip link set lo mtu 1400 && echo can",
        linux(capabilities={"add": ["NET_ADMIN"]}), {}, ["can"],
    ),
    "capabilities drop": (
        "chown 5 /tmp 2>/dev/null || echo no",
        linux(capabilities={"drop": ["CHOWN"]}), {}, ["no"],
    ),
    "initProcessEnabled": (
        "cat /proc/1/comm", linux(initProcessEnabled=True), {}, ["docker-init"],
    ),
    "sharedMemorySize": (
        "df -m /dev/shm | tail -1 | awk '{print $2}'", linux(sharedMemorySize=7), {}, ["7"],
    ),
    "tmpfs": (
        "grep ' /scratch ' /proc/mounts | tr ' ,' '\\n' | grep -x -e tmpfs -e noexec -e size=3072k"
        " | sort -u",
        linux(tmpfs=[TMPFS]), {}, ["noexec", "size=3072k", "tmpfs"],
    ),
    "devices": ("test -c /dev/mine && cat /dev/mine && echo is there", linux(devices=[DEVICE]), {},
        ["is there"]),
    "maxSwap and swappiness": ("echo up", linux(maxSwap=64, swappiness=10), {}, ["up"]),
    "pidMode host": ("readlink /proc/self/ns/pid", {}, {"pidMode": "host"}, [PID]),
    "ipcMode host": ("readlink /proc/self/ns/ipc", {}, {"ipcMode": "host"}, [IPC]),
    "ipcMode none": ("grep -c /dev/shm /proc/mounts", {}, {"ipcMode": "none"}, ["0"]),
    "volume of the task": ("ls -A /data; echo $?", MOUNTED, volume(), ["0"]),
    "volume, read only": (
        "touch /data/x 2>/dev/null || echo no", READ_ONLY, volume(), ["no"],
    ),
    "volume with the driver's options": (
        "grep ' /data ' /proc/mounts | cut -d' ' -f1,3",
        MOUNTED, volume(dockerVolumeConfiguration=OF_TMPFS), ["tmpfs tmpfs"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def started(real: Engine, image: str) -> dict[str, Ran]:
    """All tasks of CASES, running side by side."""
    return {
        what: start(real, f"case-{number}", shell(image, script, **fields), **definition)
        for number, (what, (script, fields, definition, _)) in enumerate(CASES.items())
    }


@pytest.mark.parametrize("what", CASES)
def test_member_of_the_definition_is_true_of_the_container(
    started: dict[str, Ran], what: str
) -> None:
    assert started[what].said() == CASES[what][3]


def test_host_path_is_made_and_shared_with_this_machine(
    real: Engine, image: str, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    script = "echo hello > /data/note"
    place = volume(host={"sourcePath": str(folder)})
    assert start(real, "bind", shell(image, script, **MOUNTED), **place).said() == []
    assert (folder / "note").read_text() == "hello\n"


def keeps(real: Engine, image: str, family: str, **definition: Any) -> list[list[str]]:
    """Return what each of two tasks finds in a volume that both write to."""
    script = "cat /data/note 2>/dev/null || echo none; echo kept > /data/note"
    writer = shell(image, script, **MOUNTED)
    return [start(real, family, writer, **definition).said() for _ in range(2)]


def test_volume_without_a_path_goes_with_its_task(real: Engine, image: str) -> None:
    assert keeps(real, image, "of-task", **volume(host={})) == [["none"], ["none"]]
    of_task = {"scope": "task", "labels": {"whose": "task"}}
    configured = volume(dockerVolumeConfiguration=of_task)
    assert keeps(real, image, "of-task", **configured) == [["none"], ["none"]]
    until(lambda: not docker("volume", "ls", "-q", "--filter", "label=whose=task"))


def test_shared_volume_outlives_its_task(real: Engine, image: str) -> None:
    shared = volume(dockerVolumeConfiguration={"scope": "shared", "autoprovision": True})
    assert keeps(real, image, "shared", **shared) == [["none"], ["kept"]]


def test_volumes_of_another_container_are_had_before_it_starts(real: Engine, image: str) -> None:
    """The image's own volume comes too; the source starts after what takes its volumes."""
    tag = "kaiun-test-volume:1"
    made = docker("create", image, "true")
    docker("commit", "--change", "VOLUME /declared", made, tag)
    docker("rm", made)
    try:
        both = "touch /data/a /declared/b; exec sleep 100"
        taking = [{"sourceContainer": "source", "readOnly": True}]
        script = (
            "until test -e /data/a -a -e /declared/b; do sleep 0.05; done;"
            "touch /data/x 2>/dev/null || echo no"
        )
        takes = shell(image, script, volumesFrom=taking)
        source = shell(tag, both, "source", **MOUNTED)
        assert start(real, "volumes-from", takes, source, **volume()).said() == ["no"]
    finally:
        until(lambda: docker("ps", "-aq", "--filter", f"ancestor={tag}") == "")
        docker("rmi", tag)


def test_link_names_a_container_that_is_listed_later(real: Engine, image: str) -> None:
    fetch = "until wget -qO- http://store:8080/; do sleep 0.05; done"
    serve = "echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"
    linked = shell(image, fetch, links=["web:store"])
    assert start(real, "links", linked, shell(image, serve, "web")).said() == ["hello"]


@pytest.mark.parametrize("mode", ["bridge", "awsvpc"])
def test_containers_of_a_task_share_what_it_says(real: Engine, image: str, mode: str) -> None:
    script = (
        "until ps | grep -q '[m]arker'; do sleep 0.05; done;"
        "until cat /dev/shm/note 2>/dev/null; do sleep 0.05; done"
    )
    other = shell(image, "echo shared > /dev/shm/note; marker=1 exec sleep 100 # marker", "other")
    other["command"] = ["echo shared > /dev/shm/note; sh -c 'sleep 100; : marker'"]
    modes: dict[str, Any] = {"pidMode": "task", "ipcMode": "task", "networkMode": mode}
    assert start(real, f"share-{mode}", shell(image, script), other, **modes).said() == ["shared"]


def test_labels_are_the_users_and_those_of_ecs(real: Engine, image: str) -> None:
    labelled = shell(image, "exec sleep 100", dockerLabels={"team": "blue"})
    ran = start(real, "labels", labelled)
    mark = f"label=com.amazonaws.ecs.task-arn={ran.arn}"
    container = until(lambda: docker("ps", "-q", "--filter", mark))
    labels = json.loads(docker("inspect", "-f", "{{json .Config.Labels}}", container))
    assert labels["team"] == "blue"
    expected = {
        "cluster": "real",
        "container-name": "app",
        "task-arn": ran.arn,
        "task-definition-family": "labels",
        "task-definition-version": "1",
    }
    found = {n.partition("com.amazonaws.ecs.")[2]: v for n, v in labels.items() if ".ecs." in n}
    assert found == expected
    real.client("ecs").stop_task(cluster="real", task=ran.arn)
    ran.stopped()
