"""Follow rollouts to their end: ask, fold the answer, tell, wait; the clock is injected.

All services of a deploy are asked about in one call (ten at most a call). The first rollout that
fails ends the watch, since the release as a whole goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kaiun.deploy.events import Listener, Note, Rolled
from kaiun.deploy.pace import Pace, next_poll
from kaiun.deploy.rollout import Progress, Verdict, advance
from kaiun.deploy.staged import Standing, invitation, placed
from kaiun.errors import AwsError

if TYPE_CHECKING:
    from kaiun.aws.types import Service

Fetch = Callable[[Sequence[str]], Mapping[str, "Service"]]
Examine = Callable[[Progress], bool]
Stages = Callable[[Sequence[str]], Mapping[str, Standing]]  # by ARN of the service deployment
UNREACHABLE_S = 120.0  # AWS, or a local ECS that is being restarted, may be away that long


@dataclass(slots=True)
class Watch:
    """How to follow. `stuck_s` without any movement, beyond draining and stopping, is a failure."""

    fetch: Fetch
    listener: Listener
    examine: Examine
    stages: Stages = lambda _arns: {}
    pace: Pace = field(default_factory=Pace)
    stuck_s: float = 900.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    latest: tuple[Progress, ...] = ()  # where an interrupted watch can be taken up again

    def follow(self, rollouts: Sequence[Progress]) -> tuple[Progress, ...]:
        """Return how all rollouts ended, or where they stood when the first one failed.

        Raises AwsError when AWS stays out of reach for UNREACHABLE_S.
        """
        self.latest = tuple(replace(p, watched_at=p.watched_at or self.clock()) for p in rollouts)
        while not _settled(self.latest):
            wait = next_poll(self.latest, self.clock(), self.pace)
            self.listener(Rolled(self.latest, wait))
            self.sleep(wait)
            self.latest = self._step(self.latest)
        self.listener(Rolled(self.latest, 0.0))
        return self.latest

    def _step(self, before: Sequence[Progress]) -> tuple[Progress, ...]:
        services = self._ask([p.follow.service for p in before if not p.over])
        standings = self._standings(before)
        now = self.clock()
        return tuple(
            replace(p, new_events=())
            if p.over
            else self._placed(self._judged(p, services.get(p.follow.service), now), standings, now)
            for p in before
        )

    def _standings(self, rollouts: Sequence[Progress]) -> Mapping[str, Standing]:
        arns = [p.follow.staged for p in rollouts if p.follow.staged and not p.over]
        try:
            return self.stages(arns) if arns else {}
        except AwsError:  # it can be done without: the rollout itself is told by the service
            return {}

    def _placed(self, before: Progress, standings: Mapping[str, Standing], now: float) -> Progress:
        standing = standings.get(before.follow.staged)
        if standing is None:
            return before
        after = placed(before, standing, now)
        if after.standing.hook and after.standing.hook != before.standing.hook:
            self.listener(Note(invitation(after), warning=True))
        return after

    def _judged(self, before: Progress, service: Service | None, now: float) -> Progress:
        progress = advance(before, service, now)
        if progress.over:
            return progress
        if progress.suspicion > before.suspicion and self.examine(progress):
            return replace(progress, verdict=Verdict.FAILED, cause="its tasks stop by themselves")
        follow = progress.follow
        patience = self.stuck_s + follow.drain_s + follow.stop_timeout_s + follow.bake_s
        if now - progress.changed_at > patience:
            cause = f"nothing has moved for {now - progress.changed_at:.0f} s"
            return replace(progress, verdict=Verdict.FAILED, cause=cause)
        return progress

    def _ask(self, names: Sequence[str]) -> Mapping[str, Service]:
        began = self.clock()
        while True:
            try:
                return self.fetch(names)
            except AwsError as problem:
                if not _away(problem) or self.clock() - began > UNREACHABLE_S:
                    raise
                self.listener(Note(f"no answer, trying again: {problem.message}", warning=True))
                self.sleep(self.pace.first_s)


def _settled(rollouts: Sequence[Progress]) -> bool:
    bad = any(p.over and p.verdict is not Verdict.DONE for p in rollouts)
    return bad or all(p.over for p in rollouts)


def _away(problem: AwsError) -> bool:
    return problem.code in {"Unreachable", "Timeout", "ThrottlingException", "ServerException"}
