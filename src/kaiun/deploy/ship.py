"""The verbs that change services, whole: deploy, rollback, scale. Each returns a Report."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from kaiun.deploy import lineage, releases
from kaiun.deploy.events import Listener, Note
from kaiun.deploy.lock import locked, me
from kaiun.deploy.releases import Record, Result
from kaiun.deploy.runner import Choice, Runner
from kaiun.deploy.snapshot import snapshot
from kaiun.deploy.state import state_of
from kaiun.deploy.touch import primary
from kaiun.errors import AwsError, DeployFailed, Interrupted, KaiunError, UsageError
from kaiun.plan import names
from kaiun.plan.desired import desired
from kaiun.plan.plan import plan
from kaiun.plan.steps import Change, CreateBucket, Plan, Release, UpdateService, Wave, WaveName
from kaiun.plan.taskdef import Place

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.config import Config, Workload
    from kaiun.deploy.assets import AssetStage
    from kaiun.image import Built, Revision
    from kaiun.plan.live import Live

T = TypeVar("T")
Images = Callable[[], Mapping[str, "Built"]]
# Refuses images that the cluster cannot run; returns the reason for which one was let pass.
Gate = Callable[[Mapping[str, "Built"], Listener], str]
NOT_BUILT = "(not built yet)"


@dataclass(frozen=True, slots=True)
class Report:
    """What a deploy came to. `seconds` of each stage; `calls` of AWS, by operation."""

    release: str
    revision: str
    changed: bool
    stages: Mapping[str, float] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Ship:
    """Everything that the verbs have in common."""

    aws: Aws
    config: Config
    listener: Listener
    ask: Callable[[], Choice] = lambda: Choice.LEAVE
    assets: AssetStage | None = None  # where pages ask a bucket for them
    gate: Gate = lambda _images, _listener: ""
    clock: Callable[[], float] = time.time
    stages: dict[str, float] = field(default_factory=dict)

    def compare(
        self, revision: Revision, images: Mapping[str, Built | None], *, thorough: bool = True
    ) -> tuple[Plan, Release, Live]:
        """Return what a deploy of these images would do. Nothing is changed."""
        live = snapshot(self.aws, names.wanted(self.config), thorough=thorough)
        todo, release, live = self._plan(revision, images, live)
        return self._with_assets(todo, release, thorough=thorough), release, live

    def deploy(self, revision: Revision, images: Images) -> Report:
        """Bring the environment to this revision: build, plan, run, follow, note.

        What is live is read first: without credentials nothing is built. Nothing is written, not
        even the lock, when nothing differs. Raises DeployFailed, DeployStuck, DeployLocked,
        Interrupted, and ImageError for an image that the cluster cannot run.
        """
        began = self.clock()
        wanted = names.wanted(self.config)
        live = self._timed("live", lambda: snapshot(self.aws, wanted))
        built = self._timed("image", images)
        todo, release, live = self._plan(revision, built, live)
        todo = self._timed("assets", lambda: self._with_assets(todo, release))
        for text in todo.notes:
            self.listener(Note(text))
        if todo.empty and not todo.in_progress:
            return self._report(release.id, revision.sha, changed=False, notes=todo.notes)
        allowed = self.gate(built, self.listener)
        record = replace(self._record(release, revision.subject, began), allowed_cpu=allowed)
        self._run(todo, live, record)
        return self._report(release.id, revision.sha, changed=True, notes=todo.notes)

    def roll_back(self, wanted: str | None = None) -> Report:
        """Put every service back to an earlier release's task definitions, and follow that.

        The history says which; where it does not, what ECS itself remembers.
        """
        began = self.clock()
        live = snapshot(self.aws, names.wanted(self.config))
        target = self._earlier(wanted, live)
        todo = _back_to(target, live, self.config.cluster)
        now = f"{releases.release_id(target.revision, began)}-rollback"
        if todo.empty:
            return self._report(target.id, target.revision, changed=False)
        self.listener(Note(f"going back to {target.id} ({target.subject or target.image})"))
        for process in sorted(set(live.services) - set(target.task_definitions)):
            self.listener(Note(f"{process} is not part of that release and stays", warning=True))
        record = replace(
            target,
            id=now,
            by=_who(),
            started=began,
            kind="rollback",
            result="",
            cause="",
            source=releases.FROM_HISTORY,
        )
        self._run(todo, live, record, back_to=target)
        return self._report(target.id, target.revision, changed=True)

    def _earlier(self, wanted: str | None, live: Live) -> Record:
        """Return the release to go back to. Raises UsageError when nobody knows it."""
        running = {p: s.get("taskDefinition", "") for p, s in live.services.items()}
        state = state_of(self.config, self.aws.s3)

        def choose(known: Sequence[Record]) -> Record:
            if wanted:
                return releases.named(known, wanted)
            return releases.previous_good(known, running)

        history = releases.history(state, 100)
        try:
            return choose(history)
        except UsageError:
            services = {p: s["serviceName"] for p, s in live.services.items()}
            remembered = lineage.read(self.aws, self.config.cluster, services)
        target = choose(lineage.merge(history, remembered))
        if target.source == releases.FROM_ECS:
            why = "does not reach back that far" if history else "is empty"
            missing = f"the history in {self.config.state} {why}" if state else "no history is kept"
            self.listener(Note(f"{missing}: going by the deployments that ECS remembers"))
        return target

    def scale(self, counts: Mapping[str, int]) -> Report:
        """Set desired counts, and follow until they run. The next deploy leaves them alone
        unless kaiun.yml asks for another count than before."""
        began = self.clock()
        live = snapshot(self.aws, names.wanted(self.config))
        missing = [name for name in counts if name not in live.services]
        if missing:
            raise UsageError(f"not deployed: {', '.join(missing)}", hint="kaiun deploy")
        steps = tuple(
            step for name, count in counts.items() if (step := _scaled(live, self, name, count))
        )
        if not steps:
            return self._report("", "", changed=False)
        todo = Plan((Wave(WaveName.SERVICES, steps),))
        runner = Runner(self.aws, self.config, live, self.listener, self.ask)
        with locked(state_of(self.config, self.aws.s3), me("scale", began)):
            runner.run(todo)
        self.stages |= runner.stages
        return self._report("", "", changed=True)

    def _plan(
        self, revision: Revision, images: Mapping[str, Built | None], live: Live
    ) -> tuple[Plan, Release, Live]:
        references = {name: b.reference if b else NOT_BUILT for name, b in images.items()}
        app = _of_app(self.config)
        image = references.get(app[0], "") if app else ""
        own = {name: text for name, text in references.items() if name not in app}
        ident = releases.release_id(revision.sha, self.clock())
        release = Release(ident, revision.sha, image, own)
        hide = frozenset(self.aws.resolver.hidden)
        place = Place(region=self.aws.region, fluentd=self.aws.fluentd_address, hide=hide)
        return plan(desired(self.config, release, place), live), release, live

    def _with_assets(self, todo: Plan, release: Release, *, thorough: bool = False) -> Plan:
        if self.assets is None or not release.image:
            return todo
        image = release.image if "@" in release.image else None
        steps = self.assets.steps(release.revision, image, thorough=thorough)
        buckets = tuple(step for step in steps if isinstance(step, CreateBucket))
        rest = tuple(step for step in steps if not isinstance(step, CreateBucket))
        return todo.with_steps(WaveName.PROVISION, buckets).with_steps(WaveName.ASSETS, rest)

    def _run(
        self, todo: Plan, live: Live, record: Record, *, back_to: Record | None = None
    ) -> None:
        state = state_of(self.config, self.aws.s3)
        publish = self.assets.publish if self.assets else None
        runner = Runner(self.aws, self.config, live, self.listener, self.ask, publish)
        with locked(state, me(record.id, self.clock())):
            if self.assets is not None and back_to is not None:
                self.assets.require(back_to)
            try:
                runner.run(todo)
            except KaiunError as problem:
                self._note(runner, live, replace(record, result=_result(problem)), str(problem))
                raise
            finally:
                self.stages |= runner.stages
            self._note(runner, live, replace(record, result=Result.DEPLOYED), "")

    def _note(self, runner: Runner, live: Live, record: Record, cause: str) -> None:
        """Write the release down; that the history cannot be written fails no deploy."""
        running = {p: s.get("taskDefinition", "") for p, s in live.services.items()}
        given = {i.process: primary(i.after).get("taskDefinition", "") for i in runner.touched}
        done = replace(
            record,
            cause=cause,
            seconds=round(self.clock() - record.started, 1),
            task_definitions={**running, **given},
        )
        try:
            releases.write(state_of(self.config, self.aws.s3), done)
        except AwsError as problem:
            self.listener(Note(f"the release is not in the history: {problem}", warning=True))

    def _record(self, release: Release, subject: str, began: float) -> Record:
        return Record(release.id, release.revision, subject, _who(), began, 0.0, "", release.image)

    def _timed(self, name: str, call: Callable[[], T]) -> T:
        began = time.monotonic()
        result = call()
        self.stages[name] = time.monotonic() - began
        return result

    def _report(
        self, release: str, revision: str, *, changed: bool, notes: tuple[str, ...] = ()
    ) -> Report:
        calls = dict(self.aws.calls)
        urls = urls_of(self.config)
        return Report(release, revision, changed, dict(self.stages), calls, urls, notes)


def app_image(config: Config, images: Mapping[str, Built | None]) -> str | None:
    """Return the app's image by digest, None where it is not built, or nothing runs it."""
    built = next((images.get(name) for name in _of_app(config)), None)
    return built.reference if built else None


def urls_of(config: Config) -> tuple[str, ...]:
    """Return where the app answers, as far as kaiun.yml tells: listeners of the local ECS."""
    if not config.is_local:
        return ()
    ports = (p.listen for p in config.processes.values() if p.listen)
    return tuple(f"http://localhost:{port}" for port in ports)


def _back_to(target: Record, live: Live, cluster: str) -> Plan:
    steps = []
    for process, arn in target.task_definitions.items():
        service = live.services.get(process)
        if service is None or service.get("taskDefinition") == arn:
            continue
        now, name = service.get("taskDefinition", ""), service["serviceName"]
        request = {"cluster": cluster, "service": name, "taskDefinition": arn}
        change = (Change("taskDefinition", now, arn),)
        steps.append(
            UpdateService(process, name, service["serviceArn"], request, change, True, now)
        )
    return Plan((Wave(WaveName.SERVICES, tuple(steps)),)) if steps else Plan(())


def _scaled(live: Live, ship: Ship, process: str, count: int) -> UpdateService | None:
    service = live.services[process]
    now, name = service.get("desiredCount", 0), service["serviceName"]
    if now == count:
        return None
    request = {"cluster": ship.config.cluster, "service": name, "desiredCount": count}
    change = (Change("desiredCount", now, count),)
    running = service.get("taskDefinition", "")
    return UpdateService(process, name, service["serviceArn"], request, change, False, running)


def _of_app(config: Config) -> list[str]:
    """Return the processes and tasks that run the app's image."""
    workloads: Mapping[str, Workload] = {**config.processes, **config.tasks}
    return [name for name, workload in workloads.items() if workload.uses_app_image]


def _result(problem: KaiunError) -> Result:
    if isinstance(problem, Interrupted):
        return Result.INTERRUPTED
    return Result.ROLLED_BACK if isinstance(problem, DeployFailed) else Result.STUCK


def _who() -> str:
    return os.environ.get("KAIUN_USER") or getpass.getuser()
