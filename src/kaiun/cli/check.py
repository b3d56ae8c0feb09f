"""kaiun check: find what would fail later, all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import click

from kaiun.cli.common import Setup, asset_stage, verb, workshop_of
from kaiun.errors import KaiunError

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.cli.console import Console
    from kaiun.config import Config
    from kaiun.image import Built, Revision
    from kaiun.plan.steps import Plan

T = TypeVar("T")
FAILED = 2


@dataclass(slots=True)
class Checks:
    """What was checked, in order: (what, text, the problem if there is one)."""

    done: list[tuple[str, str, KaiunError | None]] = field(default_factory=list)

    def check(self, what: str, call: Callable[[], T], text: Callable[[T], str]) -> T | None:
        """Return what `call` does, None where it ended in an expected error; note which."""
        try:
            found = call()
        except KaiunError as problem:
            first = next(iter(getattr(problem, "problems", ())), problem)
            self.done.append((what, first.message, problem))
            return None
        self.done.append((what, text(found), None))
        return found

    def show(self, console: Console) -> int:
        """Print all; return the exit code."""
        for what, text, problem in self.done:
            console.data(f"{'ok  ' if problem is None else 'FAIL'}  {what}: {text}")
        console.document([{"check": w, "ok": p is None, "text": t} for w, t, p in self.done])
        bad = {text: problem for _what, text, problem in self.done if problem}
        for problem in bad.values():
            console.explain(problem)
        if bad:
            failed = sum(problem is not None for _what, _text, problem in self.done)
            console.warn(f"{failed} of {len(self.done)} checks failed")
        return FAILED if bad else 0


@click.command(name="check")
@click.argument("rev", default="HEAD")
@verb
def command(setup: Setup, rev: str) -> int:
    """Check commit, configuration, connection, registry and plan; change nothing.

    Its first form: what AWS is asked for is what `plan` needs.
    """
    from kaiun.aws.session import connect
    from kaiun.cli import buildhost

    checks = Checks()
    revision = checks.check("commit", lambda: setup.revision(rev), _commit)
    configured = checks.check(
        "configuration",
        lambda: setup.configure(revision.sha if revision else None),
        lambda found: f"{found[0].app} in {found[0].environment}",
    )
    if configured:
        config, known = configured
        if config.image.host:
            checks.check("build host", lambda: buildhost.look(config), str)
        place = "local ECS" if config.is_local else "AWS"
        aws = checks.check(place, lambda: _reached(known or connect(config), config), _region)
        if aws and revision:
            _deploy(checks, config, aws, revision)
    return checks.show(setup.console)


def _deploy(checks: Checks, config: Config, aws: Aws, revision: Revision) -> None:
    """Check what a deploy of this revision needs."""
    from kaiun.deploy.cpugate import CpuGate
    from kaiun.deploy.events import silent
    from kaiun.deploy.ship import Ship, app_image
    from kaiun.image import find_all

    def planned(images: Mapping[str, Built | None]) -> Plan:
        return Ship(aws, config, silent).compare(revision, images)[0]

    workshop = workshop_of(config, lambda: aws)
    images = checks.check("registry", lambda: find_all(config, revision, workshop), _images)
    if images is not None:
        built = {name: image for name, image in images.items() if image}
        gate = CpuGate(aws, config, workshop.connected)
        checks.check("CPU", lambda: gate(built, lambda _: None), lambda _: _cpu(built))
        checks.check("plan", lambda: planned(images), _steps)
        if stage := asset_stage(config, aws, workshop, silent):
            image = app_image(config, images)
            checks.check("assets", lambda: stage.check(revision.sha, image), str)


def _reached(aws: Aws, config: Config) -> Aws:
    """Return AWS once it has answered: credentials and network are good."""
    aws.ecs.describe_cluster(config.cluster)
    return aws


def _commit(revision: Revision) -> str:
    return f"{revision.short} {revision.subject}"


def _region(aws: Aws) -> str:
    return f"answers, in {aws.region}"


def _images(images: Mapping[str, Built | None]) -> str:
    missing = [name for name, built in images.items() if built is None]
    return f"to be built: {', '.join(missing)}" if missing else "has every image"


def _cpu(built: Mapping[str, Built]) -> str:
    return "the machines can run every image" if built else "nothing built to judge"


def _steps(todo: Plan) -> str:
    return "nothing to do" if todo.empty else f"{len(todo.steps)} steps to do"
