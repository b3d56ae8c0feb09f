"""The life of one task, from its definition and what is observed of its containers."""

from __future__ import annotations

from kaiun.scheduler.view import Step, TaskView


def step(task: TaskView, now: float) -> Step:
    """Return the task's next statuses and what is to be done now."""
    raise NotImplementedError
