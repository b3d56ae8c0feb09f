"""Talk to a HAProxy master over its socket (management guide, "Master CLI").

Through the master, and not through a worker's own socket, a command reaches exactly the worker
that is meant: the one that serves, or one that is leaving after a reload.
"""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from typing import Final

_TIMEOUT_S: Final = 5.0
_FORCED_MAINTENANCE: Final = 0x01 | 0x02 | 0x04


@dataclass(frozen=True, slots=True)
class Processes:
    """Process ids: the master, the worker that serves (None: none), and those that are leaving."""

    master: int
    current: int | None
    leaving: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cli:
    """Commands to one master. All raise OSError when nobody listens at `path`."""

    path: str

    async def ask(self, command: str) -> str:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(self.path, limit=1 << 24)
            try:
                writer.write(f"{command}\n".encode())
                writer.write_eof()
                return (await reader.read()).decode(errors="replace").strip()
            finally:
                writer.close()

    async def worker(self, pid: int, command: str) -> str:
        return await self.ask(f"@!{pid} {command}")

    async def processes(self) -> Processes:
        """Raises ConnectionError where the answer is none of a master."""
        return parse_processes(await self.ask("show proc"))

    async def description(self, pid: int) -> str:
        for line in (await self.worker(pid, "show info")).splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "description":
                return value.strip()
        return ""

    async def servers(self, pid: int) -> dict[str, dict[str, bool]]:
        """Return, for each backend, its servers by name and whether they take requests."""
        return parse_servers(await self.worker(pid, "show servers state"), await self.backends(pid))

    async def backends(self, pid: int) -> list[str]:
        rows = await self.stat(pid)
        return [row["pxname"] for row in rows if row["svname"] == "BACKEND"]

    async def stat(self, pid: int) -> list[dict[str, str]]:
        """Raises ConnectionError where the worker has gone."""
        text = await self.worker(pid, "show stat")
        if not text.startswith("# pxname"):
            raise ConnectionError(f"no answer of worker {pid}")
        return list(csv.DictReader(text.removeprefix("# ").splitlines()))


def parse_processes(text: str) -> Processes:
    """Read `show proc`: sections begin with #, rows are pid, type, …"""
    master, current, leaving, old = 0, None, [], False
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#"):
            old = "old workers" in line
        elif len(words) >= 2 and words[0].isdigit():
            if words[1] == "master":
                master = int(words[0])
            elif words[1] == "worker" and old:
                leaving.append(int(words[0]))
            elif words[1] == "worker":
                current = int(words[0])
    if not master:
        raise ConnectionError("no answer of a HAProxy master")
    return Processes(master, current, tuple(leaving))


def parse_servers(text: str, backends: list[str]) -> dict[str, dict[str, bool]]:
    """Read `show servers state`: be_id be_name srv_id srv_name addr op_state admin_state …"""
    found: dict[str, dict[str, bool]] = {name: {} for name in backends}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 6 and words[0].isdigit() and words[1] in found:
            found[words[1]][words[3]] = not int(words[6]) & _FORCED_MAINTENANCE
    return found
