"""The models of kaiun.yml: every key, its type, its default and what it means.

`python -m kaiun.config.schema` writes the JSON Schema. Attributes are named as the keys are;
descriptions give the unit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    Tag,
)

from kaiun.config import values
from kaiun.config.fields import (
    Address,
    Argv,
    Bucket,
    BuildHost,
    Cluster,
    CpuUnits,
    Directory,
    Env,
    HttpPath,
    LogGroup,
    Matcher,
    MiB,
    Name,
    PassThrough,
    Port,
    Reference,
    Region,
    Repository,
    Role,
    Secrets,
    TargetGroup,
    Text,
    Written,
)

MASK = "•••"
MASKED_MIN = 4


class Model(BaseModel):
    """The base of all: frozen, no unknown key, built when first used."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Image(Model):
    """The image of the app: one for every environment and process, named by its commit."""

    repository: Repository = Field(
        description="Where the image is pushed: host[:port]/path, without tag or digest. "
        "The tag is the full commit SHA; what is deployed is named by digest.",
        examples=["registry.example.com/shop"],
    )
    dockerfile: Directory = Field(
        default="Dockerfile", description="The Dockerfile, relative to `context`."
    )
    context: Directory = Field(
        default=".", description="The directory of the commit that is sent to the build."
    )
    target: Text | None = Field(
        default=None, description="The stage of the Dockerfile to build; its last one by default."
    )
    args: Env = Field(
        default={}, description="Build arguments. Not for secrets: they stay in the image."
    )
    cpu: Literal["x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"] | None = Field(
        default=None, description="The newest CPU level that the image may need."
    )
    host: BuildHost | None = Field(
        default=None,
        description="The build host; by default the Docker Engine here.",
        examples=["ssh://builder@build.example.com"],
    )


class Build(Model):
    """An image of its own for one process, built from a directory of the commit."""

    context: Directory = Field(description="The directory of the commit that is sent to the build.")
    dockerfile: Directory = Field(
        default="Dockerfile", description="The Dockerfile, relative to `context`."
    )
    target: Text | None = Field(
        default=None, description="The stage of the Dockerfile to build; its last one by default."
    )
    args: Env = Field(
        default={}, description="Build arguments. Not for secrets: they stay in the image."
    )


OwnImage = Annotated[
    Annotated[Reference, Tag("<reference>")] | Annotated[Build, Tag("<build>")],
    Discriminator(values.is_mapping),
]


class Health(Model):
    """How a task is asked whether it is well: by the load balancer, or by a command inside."""

    path: HttpPath | None = Field(
        default=None, description="The path that the load balancer asks for."
    )
    command: Argv | None = Field(
        default=None,
        description="The command that is run in the container; exit code 0 is healthy.",
    )
    interval: Annotated[StrictInt, Field(ge=5, le=300)] = Field(
        default=10, description="Time between two checks, in seconds."
    )
    timeout: Annotated[StrictInt, Field(ge=2, le=120)] = Field(
        default=5, description="Time after which a check without an answer has failed, in seconds."
    )
    healthy: Annotated[StrictInt, Field(ge=2, le=10)] = Field(
        default=2,
        description="Checks in a row that must pass before a target is healthy (path only).",
    )
    unhealthy: Annotated[StrictInt, Field(ge=2, le=10)] = Field(
        default=3, description="Checks in a row that must fail before it is unhealthy."
    )
    start: Annotated[StrictInt, Field(ge=0, le=300)] = Field(
        default=0,
        description="Time after the start in which failures do not count, in seconds "
        "(command only).",
    )
    matcher: Matcher = Field(default="200-399", description="Status codes that pass (path only).")


class Deploy(Model):
    """How far a rolling deployment may go below and above the count."""

    minimum: Annotated[StrictInt, Field(ge=0, le=100)] = Field(
        default=100,
        description="Healthy tasks to keep, in percent of the count, rounded up.",
    )
    maximum: Annotated[StrictInt, Field(ge=100, le=1000)] = Field(
        default=200,
        description="Tasks to have at most, in percent of the count, rounded down.",
    )
    breaker: StrictBool = Field(
        default=True, description="ECS rolls back by itself when the new tasks do not get healthy."
    )


class Workload(Model):
    """What processes and tasks have in common: one container and what surrounds it."""

    command: Argv | None = Field(
        default=None,
        description="The command, split as a shell would but not run by one; "
        "by default that of the image.",
    )
    entrypoint: Argv | None = Field(
        default=None, description="The entry point; by default that of the image."
    )
    image: OwnImage | None = Field(
        default=None,
        description="An image of its own: a reference, or a directory of the commit to build; "
        "by default the image of the app.",
    )
    cpu: CpuUnits | None = Field(
        default=None,
        description="CPU units, 1024 to a vCPU, or '<n> vCPU'; 256 by default on Fargate, "
        "else no reservation.",
    )
    memory: MiB | None = Field(
        default=None,
        description="Hard limit of memory in MiB, or '<n> GB'; 512 by default where "
        "`memory_reservation` is not given either.",
    )
    memory_reservation: MiB | None = Field(
        default=None, description="Soft limit of memory in MiB, or '<n> GB'."
    )
    env: Env = Field(
        default={},
        description="Environment variables. Those of the top level are inherited where the image "
        "of the app runs.",
    )
    secrets: Secrets = Field(
        default={},
        description="Environment variables that ECS reads from SSM or Secrets Manager "
        "when a task starts: "
        "name → ARN, or name of the SSM parameter.",
    )
    stop_timeout: Annotated[StrictInt, Field(ge=0, le=86400)] = Field(
        default=30, description="Time between SIGTERM and SIGKILL, in seconds."
    )
    task_definition: PassThrough = Field(
        default={},
        description="Fields of ECS RegisterTaskDefinition, deep-merged into the request.",
    )

    @property
    def uses_app_image(self) -> bool:
        """Whether the image of the app runs here."""
        return self.image is None


class Process(Workload):
    """A process that keeps running: an ECS service."""

    port: Port | None = Field(default=None, description="The port that the container listens on.")
    health: Annotated[Health, BeforeValidator(values.to_health)] | None = Field(
        default=None, description="The health check; a path alone is short for `{path: …}`."
    )
    count: Annotated[StrictInt, Field(ge=0, le=5000)] = Field(
        default=1, description="How many tasks to run."
    )
    listen: Port | None = Field(
        default=None, description="The port of the load balancer's listener; needs `port`."
    )
    target_group: TargetGroup | None = Field(
        default=None, description="The target group, by name or ARN; needs `port`."
    )
    drain: Annotated[StrictInt, Field(ge=0, le=3600)] = Field(
        default=30,
        description="Time that a target keeps its connections after it was deregistered, "
        "in seconds.",
    )
    grace: Annotated[StrictInt, Field(ge=0, le=2147483647)] = Field(
        default=60,
        description="Time after a task's start in which failed health checks do not count, "
        "in seconds.",
    )
    deploy: Deploy = Field(default=Deploy.model_construct(), description="The rolling deployment.")
    service: PassThrough = Field(
        default={}, description="Fields of ECS CreateService, deep-merged into the request."
    )


class Task(Workload):
    """A command that ends: run once before a deploy, or by hand."""

    command: Argv = Field(description="The command, split as a shell would but not run by one.")
    run: Literal["before-deploy", "manual"] = Field(
        default="manual", description="When it runs: before the services change, or by `kaiun run`."
    )
    needs: tuple[str, ...] = Field(
        default=(),
        description="Processes whose services must be deployed and steady before it runs.",
    )
    timeout: Annotated[StrictInt, Field(ge=1, le=86400)] = Field(
        default=600, description="Time after which it is stopped and has failed, in seconds."
    )


class Logs(Model):
    """Where the output of the containers goes."""

    driver: Literal["awslogs", "fluentd", "json-file", "none"] = Field(
        default="awslogs", description="The log driver of the containers."
    )
    address: Address = Field(
        default="127.0.0.1:24224", description="The address of the fluentd (fluentd only)."
    )
    group: LogGroup = Field(
        default="", description="The log group; `/kaiun/APP/ENVIRONMENT` by default."
    )
    options: dict[Text, Written] = Field(
        default={}, description="Further options of the log driver."
    )


class Network(Model):
    """How the tasks are on the network."""

    mode: Literal["bridge", "awsvpc"] = Field(
        default="bridge", description="The network mode; awsvpc by default on Fargate."
    )
    subnets: tuple[Text, ...] = Field(default=(), description="Subnets of the tasks (awsvpc).")
    security_groups: tuple[Text, ...] = Field(
        default=(), description="Security groups of the tasks (awsvpc)."
    )
    public_ip: StrictBool = Field(
        default=False, description="Whether each task gets a public address (awsvpc)."
    )


class Roles(Model):
    """The IAM roles of the tasks."""

    task: Role | None = Field(default=None, description="The role that the app acts under.")
    execution: Role | None = Field(
        default=None,
        description="The role with which ECS pulls images, reads secrets and writes logs.",
    )


class Settings(Model):
    """The keys of the top level; all but `app` may stand under an environment too."""

    app: Name = Field(description="The name of the app; begins the names of all that is created.")
    image: Image = Field(description="The image of the app.")
    start: PassThrough = Field(
        default={}, description="What happens in a container before its process; passed through."
    )
    processes: dict[Name, Process] = Field(
        default={}, description="The processes that keep running, each an ECS service, by name."
    )
    tasks: dict[Name, Task] = Field(
        default={}, description="The commands that end, each an ECS task, by name."
    )
    env: Env = Field(
        default={},
        description="Environment variables of every process and task that runs the image "
        "of the app.",
    )
    secrets: Secrets = Field(
        default={},
        description="Secrets of every process and task that runs the image of the app: "
        "name → ARN, or name of the SSM parameter.",
    )
    logs: Logs = Field(default=Logs.model_construct(), description="The log driver and log group.")
    region: Region | None = Field(
        default=None, description="The AWS region; by default what the AWS SDK finds."
    )
    cluster: Cluster = Field(
        default="", description="The ECS cluster; the name of the app by default."
    )
    launch_type: Literal["EC2", "FARGATE"] = Field(
        default="EC2", description="Where ECS runs the tasks."
    )
    network: Network = Field(
        default=Network.model_construct(), description="The network of the tasks."
    )
    roles: Roles = Field(default=Roles.model_construct(), description="The IAM roles of the tasks.")
    service_connect: Text | None = Field(
        default=None,
        description="The Service Connect namespace in which processes find one another.",
    )
    state: Bucket | None = Field(
        default=None,
        description="Where history and lock are kept; without it there are none "
        "(`s3://kaiun-state` for the local ECS).",
    )
    provision: StrictBool = Field(
        default=False,
        description="Whether deploy creates the cluster, log group, target groups, load balancer "
        "and listeners that are missing; true by default for the local ECS.",
    )


class Environment(Settings):
    """One environment, deep-merged over the top level; a null takes a key away."""

    local: StrictBool = Field(
        default=False,
        description="Whether it is the local ECS; always true for the environment named `local`.",
    )


class Config(Settings):
    """kaiun.yml for one environment: merged, interpolated, with every default in place."""

    environment: str
    is_local: bool
    root: Path
    unresolved: tuple[str, ...] = ()
    sensitive: frozenset[str] = Field(default=frozenset(), exclude=True, repr=False)

    def mask(self, text: str) -> str:
        """Return text without the values that came from SSM and Secrets Manager."""
        for value in sorted(self.sensitive, key=len, reverse=True):
            text = text.replace(value, MASK) if len(value) >= MASKED_MIN else text
        return text

    def dump(self) -> dict[str, JsonValue]:
        """Return everything as plain JSON values, secret ones masked."""
        return cast("dict[str, JsonValue]", _plain(self.model_dump(mode="json"), self.mask))


def _plain(value: JsonValue, mask: Callable[[str], str]) -> JsonValue:
    if isinstance(value, dict):
        return {key: _plain(each, mask) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, mask) for each in value]
    return mask(value) if isinstance(value, str) else value
