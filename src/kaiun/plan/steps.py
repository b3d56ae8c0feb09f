"""What a plan is made of: the release, the steps, the waves, the plan.

A step carries the request that AWS gets. Where a request needs something that an earlier
step makes (the ARN of a task definition, of a target group), it holds a `Ref`; the runner
notes `step.makes` → ARN when a step is done and calls `request_of(step, made)` before
the next one. Steps of one wave do not depend on each other and may run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.assets.bucket import Published

Request = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Release:
    """One thing to ship: a commit and the images built from it.

    `image` is the app image by digest; `images` has those of the processes with an image of
    their own, by process name.
    """

    id: str
    revision: str
    image: str
    images: Mapping[str, str] = field(default_factory=dict)

    def image_of(self, name: str) -> str:
        """Return the image reference for a process or task."""
        return self.images.get(name, self.image)


class Kind(StrEnum):
    """What a `Ref` points to."""

    TASK_DEFINITION = "task definition"
    TARGET_GROUP = "target group"
    LOAD_BALANCER = "load balancer"


@dataclass(frozen=True, slots=True)
class Ref:
    """Something that a step of this plan will make: known by name now, by ARN later."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"(new {self.kind} {self.name})"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: `path` in dots, None where there was or will be nothing.

    The values may be secret: show them through `diff.masked` only.
    """

    path: str
    old: object = field(repr=False)
    new: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateCluster:
    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class CreateLogGroup:
    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class CreateTargetGroup:
    """CreateTargetGroup, then ModifyTargetGroupAttributes with `attributes`."""

    name: str
    request: Request
    attributes: Mapping[str, str]

    @property
    def makes(self) -> Ref:
        return Ref(Kind.TARGET_GROUP, self.name)


@dataclass(frozen=True, slots=True)
class UpdateTargetGroup:
    """ModifyTargetGroup with `request` (unless it only names the ARN), then the attributes."""

    name: str
    arn: str
    request: Request
    attributes: Mapping[str, str]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class CreateLoadBalancer:
    name: str
    request: Request

    @property
    def makes(self) -> Ref:
        return Ref(Kind.LOAD_BALANCER, self.name)


@dataclass(frozen=True, slots=True)
class CreateListener:
    """`name` is "LOAD_BALANCER:PORT"."""

    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class CreateBucket:
    """CreateBucket, then PutBucketPolicy (objects are anybody's to read) and PutBucketCors."""

    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class PublishAssets:
    """Upload the assets that the bucket `name` (s3://…) lacks, then write the manifest.

    `new` and `size` (bytes) are None where nobody has looked. `published` is None when the image
    that says what to publish is not built yet.
    """

    name: str
    request: Request
    published: Published | None = field(default=None, repr=False)
    new: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class RegisterTaskDefinition:
    """`name` is the process or task; `replaces` the ARN it was compared with, "" for none."""

    name: str
    family: str
    replaces: str
    request: Request = field(repr=False)
    changes: tuple[Change, ...]

    @property
    def makes(self) -> Ref:
        return Ref(Kind.TASK_DEFINITION, self.name)


@dataclass(frozen=True, slots=True)
class RunTask:
    """Run a before-deploy task to its end; exit code 0 within `timeout_s` or the deploy fails.

    `needs` are the names (not the service names) of processes that must be steady first.
    """

    name: str
    request: Request
    timeout_s: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateService:
    """`name` is the process."""

    name: str
    service: str
    request: Request


@dataclass(frozen=True, slots=True)
class UpdateService:
    """`name` is the process. Afterwards TagResource(arn, tags) when there are `tags`.

    `deploys` is False when ECS starts no new deployment, as for a mere change of count.
    `previous` is the task definition ARN that the service runs now.
    """

    name: str
    service: str
    arn: str
    request: Request
    changes: tuple[Change, ...]
    deploys: bool
    previous: str
    tags: Mapping[str, str] = field(default_factory=dict)


Step = (
    CreateCluster
    | CreateLogGroup
    | CreateTargetGroup
    | UpdateTargetGroup
    | CreateLoadBalancer
    | CreateListener
    | CreateBucket
    | PublishAssets
    | RegisterTaskDefinition
    | RunTask
    | CreateService
    | UpdateService
)


class WaveName(StrEnum):
    """The waves in the order in which they run."""

    PROVISION = "provision"
    ASSETS = "assets"
    LISTENERS = "listeners"
    REGISTER = "register"
    NEEDED = "needed services"
    TASKS = "before-deploy tasks"
    SERVICES = "services"


@dataclass(frozen=True, slots=True)
class Wave:
    """Steps that may run side by side; all must be done (services: steady) before the next.

    Only the before-deploy tasks run one after another, in the order of kaiun.yml.
    """

    name: WaveName
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What deploy would do.

    `notes` are remarks for the user (a process that is no longer in kaiun.yml, a count that
    was left alone). `in_progress` are processes that the plan leaves as they are while an
    earlier deployment of theirs still rolls. `hide` are texts that must not be shown.
    """

    waves: tuple[Wave, ...]
    notes: tuple[str, ...] = ()
    in_progress: tuple[str, ...] = ()
    hide: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def empty(self) -> bool:
        return not self.waves

    def with_steps(self, name: WaveName, steps: tuple[Step, ...]) -> Plan:
        """Return the plan with further steps in one of its waves."""
        if not steps:
            return self
        given = {wave.name: wave.steps for wave in self.waves}
        given[name] = given.get(name, ()) + steps
        return replace(self, waves=tuple(Wave(n, given[n]) for n in WaveName if n in given))

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for wave in self.waves for step in wave.steps)

    def wave(self, name: WaveName) -> tuple[Step, ...]:
        """Return the steps of one wave, () when the plan has no such wave."""
        return next((wave.steps for wave in self.waves if wave.name == name), ())


def settle(value: object, known: Mapping[Ref, str]) -> object:
    """Return `value` (a request) with those `Ref` replaced that are in `known`."""
    if isinstance(value, Ref):
        return known.get(value, value)
    if isinstance(value, Mapping):
        return {key: settle(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [settle(item, known) for item in value]
    return value


def settled(request: Request, known: Mapping[Ref, str]) -> dict[str, object]:
    """Return a request with those `Ref` replaced that are in `known`."""
    return {key: settle(item, known) for key, item in request.items()}


def request_of(step: Step, made: Mapping[Ref, str]) -> dict[str, object]:
    """Return the step's request ready for AWS.

    Raises KeyError when it needs something that no step has made: a bug of the runner.
    """
    request = settled(step.request, made)
    if left := sorted(str(ref) for ref in _refs(request)):
        raise KeyError(f"{step.name} needs {', '.join(left)}")
    return request


def _refs(value: object) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        yield from (ref for item in value.values() for ref in _refs(item))
    elif isinstance(value, list):
        yield from (ref for item in value for ref in _refs(item))
