"""The data plane of the load balancers: one HAProxy, reconfigured without dropping a request.

Servers come and go through the runtime API, in the worker that serves and in those that are
leaving after a reload, for these may still hold a client's idle connection. Listeners, rules and
backends need a reload: the new worker inherits the listening sockets.

HAProxy outlives its engine. The next one finds it by its master socket, sees from the worker's
description which wiring it has, and goes on from there without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from kaiun.engine.balancer import haproxy_config, tls
from kaiun.engine.balancer.base import Listener, Served, Wiring
from kaiun.engine.balancer.haproxy_cli import Cli, Processes
from kaiun.engine.balancer.leaving import Leavers, hold
from kaiun.engine.balancer.tally import Tally
from kaiun.engine.child import Child, environment, port_becomes_free
from kaiun.errors import EngineError

_LONGEST_SOCKET: Final = 80  # HAProxy binds PATH.PID.tmp first; sun_path holds 108 bytes
_READY_S: Final = 10.0
_POLL_S: Final = 0.005
_DEBIAN: Final = Path("/usr/sbin/haproxy")


class HaproxyBalancer:
    """See kaiun.engine.balancer.base.Balancer. `home` gets haproxy.cfg, .pid, .log, sockets.

    `on_loss` is called when HAProxy has ended though nobody stopped it: time to apply again.
    """

    def __init__(self, home: Path, on_loss: Callable[[], None] = lambda: None) -> None:
        self._home = home
        self._on_loss = on_loss
        self._child = Child(home, "haproxy")
        self._config = home / "haproxy.cfg"
        self._lock = asyncio.Lock()
        self._applied: Wiring | None = None
        self._tally = Tally()
        self._leavers = Leavers()

    async def open(self) -> None:
        _program()
        self._home.mkdir(parents=True, exist_ok=True)
        folder = _socket_folder(self._home)
        self._paths = haproxy_config.Paths(
            stats=str(folder / "haproxy.sock"),
            master=str(folder / "haproxy-master.sock"),
            tls=str(self._home / "tls"),
            log=str(log_socket(self._home)),
        )
        self._cli = Cli(self._paths.master)
        if self._child.adopt() is not None and await self._processes() is None:
            await self._child.stop()  # ours, but it does not answer
        elif (processes := await self._processes()) is not None:
            for worker in _workers(processes):
                with contextlib.suppress(OSError, TimeoutError):
                    self._tally.begin(worker, await self._cli.stat(worker))
        self._child.watch(self._on_loss)

    async def apply(self, wiring: Wiring) -> None:
        async with self._lock:
            if wiring == self._applied and self._child.adopt() is not None:
                return
            self._applied = None
            taken = await self._rewire(wiring)
            if taken:
                raise _taken(taken[0])
            self._applied = wiring

    async def take_served(self) -> Mapping[str, Served]:
        async with self._lock:
            processes = await self._processes()
            if processes is not None and processes.current is not None:
                await self._count(processes.current)
            return self._tally.take(_workers(processes) if processes is not None else [])

    async def close(self, *, stop: bool) -> None:
        self._child.release()
        await self._leavers.close()
        if stop:
            async with self._lock:
                self._applied = None
                await self._child.stop()
                self._remove_folder()

    def _remove_folder(self) -> None:
        """Remove the folder that was made for the sockets, where one was."""
        folder = _socket_folder(self._home)
        if folder != self._home:
            shutil.rmtree(folder, ignore_errors=True)

    # -- how

    async def _rewire(self, wiring: Wiring) -> list[Listener]:
        """Bring HAProxy to `wiring`, but for the listeners whose port is taken: return those."""
        processes = await self._processes()
        if processes is None and not wiring.listeners:
            return []
        taken = await self._taken(wiring, processes)
        good = replace(wiring, listeners=tuple(x for x in wiring.listeners if x not in taken))
        mark = f"kaiun-{haproxy_config.digest(good, self._paths)}"
        if processes is None or processes.current is None:
            await self._start(good, mark)
        elif await self._cli.description(processes.current) != mark:
            await self._reload(good, mark, processes.current)
        processes = await self._processes()
        if processes is not None and processes.current is not None:
            await self._sync(processes.current, good, counts=True)
            for pid in processes.leaving:
                with contextlib.suppress(OSError, TimeoutError):
                    await self._sync(pid, good, counts=False)
        return taken

    async def _processes(self) -> Processes | None:
        try:
            return await self._cli.processes()
        except (OSError, TimeoutError):
            return None

    async def _taken(self, wiring: Wiring, processes: Processes | None) -> list[Listener]:
        """Return the listeners whose port somebody else has. (A HAProxy that was killed may hold
        its ports for a moment more.)"""
        held = await self._held_ports(processes)
        patience_s = 2.0 if processes is None else 0.0
        unheld = [x for x in wiring.listeners if x.port not in held]
        return [x for x in unheld if not await _is_free(x, patience_s)]

    async def _held_ports(self, processes: Processes | None) -> set[int]:
        if processes is None or processes.current is None:
            return set()
        rows = await self._cli.stat(processes.current)
        names = [row["pxname"] for row in rows if row["svname"] == "FRONTEND"]
        return {int(name.split("-")[1]) for name in names if name.startswith("listener-")}

    async def _start(self, wiring: Wiring, mark: str) -> None:
        await self._child.stop()
        await self._write(wiring)
        command = [_program(), "-W", "-f", str(self._config)]
        self._child.spawn([*command, "-S", f"{self._paths.master},mode,600"], environment())

        async def healthy() -> bool:
            return await self._serves(mark)

        await self._child.ready(healthy, timeout_s=_READY_S)
        self._child.watch(self._on_loss)

    async def _reload(self, wiring: Wiring, mark: str, worker: int) -> None:
        await self._write(wiring)
        session = await hold(self._paths.stats)
        await self._cli.ask("reload")
        if session is not None:
            self._leavers.add(session, lambda rows: self._tally.note(worker, rows))
        deadline = time.monotonic() + _READY_S
        while not await self._serves(mark):
            if time.monotonic() > deadline or self._child.adopt() is None:
                raise EngineError(
                    "HAProxy did not take its new configuration",
                    where=str(self._config),
                    detail=self._child.last_lines(),
                )
            await asyncio.sleep(_POLL_S)

    async def _serves(self, mark: str) -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            current = (await self._cli.processes()).current
            return current is not None and await self._cli.description(current) == mark
        return False

    async def _write(self, wiring: Wiring) -> None:
        """Put the configuration in place, once HAProxy has found nothing wrong with it."""
        for listener in wiring.listeners:
            if listener.certified:
                await asyncio.to_thread(tls.ensure, self._home / "tls", listener.certified)
        scratch = self._config.with_suffix(".new")
        scratch.write_text(haproxy_config.render(wiring, self._paths))
        check = await asyncio.create_subprocess_exec(
            *(_program(), "-c", "-q", "-f", str(scratch)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(),
        )
        said, _ = await check.communicate()
        if check.returncode:
            lines = said.decode(errors="replace").splitlines()
            raise EngineError("HAProxy refuses its configuration", where=str(scratch), detail=lines)
        scratch.replace(self._config)

    async def _sync(self, pid: int, wiring: Wiring, *, counts: bool) -> None:
        """Make the servers of one worker those that are wanted."""
        if counts:
            await self._count(pid)  # a server that is deleted takes its counters along
        there = await self._cli.servers(pid)
        for backend in wiring.backends:
            if backend.name not in there:
                continue
            wanted = haproxy_config.ready(backend)
            known = there[backend.name]
            for name, server in wanted.items():
                await self._enable(pid, f"{backend.name}/{name}", f"{server.address}:{server.port}",
                                   known.get(name))  # fmt: skip
            for name in known.keys() - wanted.keys():
                await self._disable(pid, f"{backend.name}/{name}", takes_requests=known[name])

    async def _enable(self, pid: int, name: str, address: str, takes_requests: bool | None) -> None:
        if takes_requests is None:
            await self._cli.worker(pid, f"add server {name} {address}")
        if not takes_requests:
            await self._cli.worker(pid, f"set server {name} state ready")

    async def _disable(self, pid: int, name: str, *, takes_requests: bool) -> None:
        """Give it no new request. It is deleted when its last one has ended, now or at a later
        change."""
        if takes_requests:
            await self._cli.worker(pid, f"set server {name} state maint")
        await self._cli.worker(pid, f"del server {name}")

    async def _count(self, worker: int) -> None:
        """Note what a worker has served, if it still answers. (One that leaves is counted by
        who sees it off: of two counts, the older must not come last.)"""
        with contextlib.suppress(OSError, TimeoutError):
            self._tally.note(worker, await self._cli.stat(worker))


def _workers(processes: Processes) -> list[int]:
    current = [processes.current] if processes.current is not None else []
    return [*current, *processes.leaving]


def _program() -> str:
    found = shutil.which("haproxy") or (str(_DEBIAN) if _DEBIAN.exists() else None)
    if found is None:
        raise EngineError(
            "haproxy is not installed", hint="Debian: apt-get install haproxy (2.6 or later)"
        )
    return found


async def _is_free(listener: Listener, patience_s: float) -> bool:
    try:
        return await port_becomes_free(listener.port, timeout_s=patience_s)
    except PermissionError:
        raise EngineError(
            f"this user may not listen on port {listener.port}",
            where=f"listener {listener.name}",
            hint="use a port from 1024",
        ) from None


def _taken(listener: Listener) -> EngineError:
    return EngineError(
        f"port {listener.port} is taken by another program",
        where=f"listener {listener.name}",
        hint=f"`ss -ltnp 'sport = :{listener.port}'` shows which; stop it or use another port",
    )


def log_socket(home: Path) -> Path:
    """Return where HAProxy tells of requests, for access logs."""
    return _socket_folder(home) / "haproxy-log.sock"


def _socket_folder(home: Path) -> Path:
    """Return `home`, or where its path is too long for a unix socket, a folder made for it."""
    if len(str(home / "haproxy-master.sock")) <= _LONGEST_SOCKET:
        return home
    key = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"kaiun-{key}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EngineError("not a private folder of this user", where=str(folder))
    return folder
