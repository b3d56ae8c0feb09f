"""kaiun.yml: schema, loading with places, environments, interpolation.

`load` reads the file for one environment, or raises ConfigErrors with every problem of it.
Importing this package is cheap: pydantic and PyYAML are imported when a file is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.config.interpolate import Resolver
    from kaiun.config.loader import load
    from kaiun.config.schema import (
        Build,
        Config,
        Deploy,
        Health,
        Image,
        Logs,
        Network,
        Process,
        Roles,
        Task,
        Workload,
    )
    from kaiun.config.source import discover

_HOMES = {"Resolver": "interpolate", "discover": "source", "load": "loader"}

__all__ = [
    "Build",
    "Config",
    "Deploy",
    "Health",
    "Image",
    "Logs",
    "Network",
    "Process",
    "Resolver",
    "Roles",
    "Task",
    "Workload",
    "discover",
    "load",
]


def __getattr__(name: str) -> object:
    """Import what was asked for, and no more."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'schema')}"), name)
