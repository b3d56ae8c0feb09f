"""Where the local ECS keeps its things on this machine, and how to reach it.

The state home is $KAIUN_HOME, else $XDG_STATE_HOME/kaiun, else ~/.local/state/kaiun. The engine's
own home is `local/` below it: that directory is what `kaiun-engine --home` is given, and what every
function here calls `home`. This module only reads; the engine writes env.json and engine.pid.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kaiun.errors import EngineError

ACCOUNT = "000000000000"
REGION = "us-east-1"
API_PORT = 4580
REGISTRY_PORT = 5000
FLUENT_PORT = 24224

ENGINE_PID = "engine.pid"
ENGINE_LOG = "engine.log"
STATE_DB = "state.db"
ENV_JSON = "env.json"
UP_LOCK = "up.lock"
PID_FILES = (ENGINE_PID, "registry.pid", "moto.pid", "haproxy.pid")


@dataclass(frozen=True, slots=True)
class LocalEnv:
    """How to reach the local ECS: what env.json says (mode 0600, written by the engine)."""

    endpoint: str  # http://127.0.0.1:PORT
    region: str
    access_key: str
    secret_key: str
    account: str = ACCOUNT
    registry: str = f"localhost:{REGISTRY_PORT}"  # host:port of the private registry
    fluent: str = f"127.0.0.1:{FLUENT_PORT}"  # host:port of the fluent-forward receiver

    def __repr__(self) -> str:
        return f"LocalEnv(endpoint={self.endpoint!r}, region={self.region!r}, keys hidden)"

    def variables(self) -> dict[str, str]:
        """Return what any AWS client reads from its environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            # else clients ask data-127.0.0.1 for Cloud Map's DiscoverInstances
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return kaiun's state home; nothing is created."""
    if explicit := environ.get("KAIUN_HOME"):
        return Path(explicit).absolute()
    if xdg := environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "kaiun"
    return Path.home() / ".local" / "state" / "kaiun"


def engine_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the home of the local ECS (`kaiun-engine --home`); nothing is created."""
    return state_home(environ) / "local"


def read_env(home: Path | None = None) -> LocalEnv:
    """Return how to reach the local ECS that lives in `home` (None: engine_home()).

    Raises EngineError when it was never started there or its env.json cannot be read.
    """
    path = (home or engine_home()) / ENV_JSON
    try:
        raw = json.loads(path.read_text())
        known = {name: str(raw[name]) for name in LocalEnv.__slots__ if name in raw}
        return LocalEnv(**known)
    except FileNotFoundError:
        raise not_running() from None
    except (OSError, ValueError, TypeError) as problem:
        raise EngineError(
            f"cannot read how to reach the local ECS: {problem}",
            where=str(path),
            hint="kaiun local up",
        ) from problem


def is_ecr(host: str, home: Path | None = None) -> bool:
    """Return whether a registry's host[:port] is the ECR of the local ECS, at the API's port."""
    try:
        port = read_env(home).endpoint.rpartition(":")[2]
    except EngineError:
        return False
    return host in (f"localhost:{port}", f"127.0.0.1:{port}")


def not_running() -> EngineError:
    """Return the error that every verb shows when nobody answers."""
    return EngineError("the local ECS is not running", hint="kaiun local up")


def read_pid(home: Path) -> int | None:
    """Return the process id in engine.pid if such a process lives, else None."""
    try:
        pid = int((home / ENGINE_PID).read_text().split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    return pid
