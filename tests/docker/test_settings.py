"""What the task definition sets is what the container has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.containers import Harness

from kaiun.engine.runtime.base import Mount

pytestmark = pytest.mark.docker

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.mark.parametrize(
    ("script", "changes", "expected"),
    [
        ("echo $A-$B", {"environment": {"A": "x y", "B": "$A"}}, "x y-$A"),
        ("id -u", {"user": "1234"}, "1234"),
        ("pwd", {"working_directory": "/www"}, "/www"),
        ("hostname", {"hostname": "box"}, "box"),
        ("touch /x 2>/dev/null || echo ro", {"read_only": True}, "ro"),
        ("ulimit -n", {"ulimits": (("nofile", 123, 456),)}, "123"),
        ("grep -c ' /scratch tmpfs' /proc/mounts", {"tmpfs": {"/scratch": "size=1m"}}, "1"),
        ("df -m /dev/shm | tail -1 | awk '{print $2}'", {"shm_size_mib": 7}, "7"),
        ("test -t 1 && echo tty", {"tty": True}, "tty"),
        ("cat /proc/1/comm", {"init": True}, "docker-init"),
        ("grep far /etc/hosts", {"extra_hosts": ("far:192.0.2.7",)}, "192.0.2.7\tfar"),
        ("cat /proc/sys/net/core/somaxconn", {"sysctls": {"net.core.somaxconn": "77"}}, "77"),
        ("chown 5 /tmp 2>/dev/null || echo no", {"cap_drop": ("CHOWN",)}, "no"),
        ("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null",
         {"memory_mib": 64}, str(64 * 1024 * 1024)),
    ],
)  # fmt: skip
def test_setting_reaches_the_container(
    harness: Harness, run: Run, script: str, changes: dict[str, Any], expected: str
) -> None:
    async def body() -> None:
        await harness.up(harness.task(harness.shell(script, **changes)))
        await harness.exited("app")
        assert [line.message for line in harness.lines] == [expected]

    run(body)


def test_host_path_is_mounted_read_only(harness: Harness, run: Run) -> None:
    async def body() -> None:
        (harness.home / "shared").mkdir()
        (harness.home / "shared" / "note").write_text("hello\n")
        mount = Mount(str(harness.home / "shared"), "/mnt", read_only=True)
        script = "cat /mnt/note; touch /mnt/x 2>/dev/null || echo ro"
        await harness.up(harness.task(harness.shell(script, mounts=(mount,))))
        await harness.exited("app")
        assert [line.message for line in harness.lines] == ["hello", "ro"]

    run(body)


def test_named_volume_outlives_its_task_until_purge(harness: Harness, run: Run) -> None:
    script = "cat /data/note 2>/dev/null || echo none; echo kept > /data/note"

    async def once() -> str:
        before = len(harness.lines)
        mount = Mount("notes", "/data")
        task = harness.task(harness.shell(script, mounts=(mount,)))
        await harness.up(task)
        await harness.exited("app")
        await harness.runtime.remove(task.task_id)
        return harness.lines[before].message

    async def body() -> None:
        assert [await once(), await once()] == ["none", "kept"]
        await harness.runtime.purge()
        assert await once() == "none"
        await harness.runtime.purge()

    run(body)
