"""Reconcile one service: what to start, to stop and to say so that it becomes what is desired."""

from __future__ import annotations

from collections.abc import Sequence

from kaiun.scheduler.model import Action, ServiceState, Task


def reconcile(service: ServiceState, tasks: Sequence[Task], now: float) -> list[Action]:
    """Return the actions of this tick, in the order in which they are to be carried out."""
    raise NotImplementedError


def unplaced(service: ServiceState, deployment_id: str, now: float) -> list[Action]:
    """Return the actions that follow when no container instance had room for a task."""
    raise NotImplementedError
