"""The models of processes and tasks: one container each, and what surrounds it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
)

from kaiun.config import values
from kaiun.config.fields import (
    Argv,
    CpuUnits,
    Directory,
    Env,
    HttpPath,
    Matcher,
    MiB,
    Name,
    OrText,
    PassThrough,
    Port,
    Reference,
    Secrets,
    TargetGroup,
    Text,
)


class Model(BaseModel):
    """The base of all: frozen, no unknown key, built when first used."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


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


class Beside(Model):
    """A process beside the main one, in the same container."""

    command: Argv = Field(description="The command, split as a shell would but not run by one.")
    signal: Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH"] = Field(
        default="TERM", description="The signal that ends it in good order."
    )


class Process(Workload):
    """A process that keeps running: an ECS service."""

    beside: dict[
        Name,
        Annotated[Beside, BeforeValidator(values.to_command), OrText("short for `{command: …}`")],
    ] = Field(
        default={},
        alias="with",
        description="Processes beside the main one in the same container, by name, for the image "
        "of the app: started after it, ended before it; when one ends, all end.",
    )

    port: Port | None = Field(default=None, description="The port that the container listens on.")
    health: (
        Annotated[Health, BeforeValidator(values.to_health), OrText("short for `{path: …}`")] | None
    ) = Field(default=None, description="The health check; a path alone is short for `{path: …}`.")
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
