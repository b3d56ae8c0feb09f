"""Compare what is desired with what is live: a pure function from both to a Plan.

Rules that are not obvious:

- A task definition is registered only when neither the one that the service runs nor the
  newest of its family is the same after normalising. So going back to a commit registers
  nothing while its task definition is still there.
- `count` of kaiun.yml is applied when the service is made, and afterwards only when kaiun.yml
  changes it: the tag kaiun:count on the service remembers the count that was last applied.
  What `kaiun scale` or autoscaling set in between stays. A service without the tag (one
  that kaiun did not make) keeps its count, and a note says so.
- before-deploy tasks run when a task definition, a new service or a new deployment is
  planned. An unchanged release plans nothing at all; a mere change of count runs none.
- A service whose PRIMARY deployment FAILED is deployed again though nothing differs.
- Nothing is ever deleted; a service that left kaiun.yml is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kaiun.errors import ConfigErrors
from kaiun.plan.provision import provision
from kaiun.plan.registering import register
from kaiun.plan.services import Services, services
from kaiun.plan.steps import CreateService, Plan, Step, Wave, WaveName, settled

if TYPE_CHECKING:
    from kaiun.plan.desired import Desired
    from kaiun.plan.live import Live


def plan(desired: Desired, live: Live) -> Plan:
    """Return the steps from `live` to `desired`; none when nothing differs.

    Raises ConfigErrors with everything that stands in the way at once.
    """
    base = provision(desired, live)
    registered, known = register(desired, live)
    rolled = services(desired, live, base.known | known)
    if problems := [*base.problems, *rolled.problems]:
        raise ConfigErrors(problems)
    deploys = bool(registered) or any(_deploys(step) for step in rolled.steps.values())
    before = [replace(task, request=settled(task.request, known)) for task in desired.before]
    needed, rest = _split(rolled, desired.needed if deploys else frozenset())
    return Plan(
        waves=_waves(
            (WaveName.PROVISION, base.steps),
            (WaveName.LISTENERS, base.listeners),
            (WaveName.REGISTER, registered),
            (WaveName.NEEDED, needed),
            (WaveName.TASKS, before if deploys else []),
            (WaveName.SERVICES, rest),
        ),
        notes=tuple(rolled.notes),
        in_progress=tuple(rolled.in_progress),
        hide=desired.hide,
    )


def _deploys(step: Step) -> bool:
    return isinstance(step, CreateService) or bool(getattr(step, "deploys", False))


def _split(rolled: Services, needed: frozenset[str]) -> tuple[list[Step], list[Step]]:
    first: list[Step] = [step for name, step in rolled.steps.items() if name in needed]
    rest: list[Step] = [step for name, step in rolled.steps.items() if name not in needed]
    return first, rest


def _waves(*given: tuple[WaveName, Sequence[Step]]) -> tuple[Wave, ...]:
    return tuple(Wave(name, tuple(steps)) for name, steps in given if steps)
