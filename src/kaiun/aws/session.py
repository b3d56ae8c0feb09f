"""Connect to the AWS of an environment: the real one, or the local ECS of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kaiun.aws.caller import Caller, Endpoint
from kaiun.aws.client import Aws
from kaiun.local import home as local_home

if TYPE_CHECKING:
    from pathlib import Path


class Environment(Protocol):
    """The part of a Config that says where its AWS is."""

    @property
    def is_local(self) -> bool: ...

    @property
    def region(self) -> str | None: ...


def connect(config: Environment, *, home: Path | None = None) -> Aws:
    """Return the AWS of an environment; no request is sent yet.

    A local environment reads endpoint and keys from `home` (None: the user's) and raises
    EngineError when no local ECS was started there. Any other environment finds
    credentials, and a region that kaiun.yml does not name, as every AWS tool does.
    """
    if not config.is_local:
        return Aws(Caller(Endpoint(region=config.region)))
    env = local_home.read_env(home)
    endpoint = Endpoint(
        region=env.region,
        url=env.endpoint,
        access_key=env.access_key,
        secret_key=env.secret_key,
        fluentd=env.fluent,
    )
    return Aws(Caller(endpoint))
