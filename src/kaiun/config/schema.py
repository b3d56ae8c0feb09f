"""The models of kaiun.yml: every key, its type, its default and what it means.

`python -m kaiun.config.schema` writes the JSON Schema. Attributes are named as the keys are;
descriptions give the unit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from pydantic import (
    Field,
    JsonValue,
    StrictBool,
)

from kaiun.config.assets import Assets, Keep
from kaiun.config.fields import (
    Address,
    Bucket,
    BuildHost,
    Cluster,
    CpuBaseline,
    Directory,
    Env,
    LogGroup,
    Name,
    Region,
    Repository,
    Role,
    Secrets,
    Text,
    Written,
)
from kaiun.config.start import Start
from kaiun.config.workload import Build, Deploy, Health, Model, Process, Task, Workload

__all__ = [
    "Assets",
    "Build",
    "Config",
    "Deploy",
    "Environment",
    "Health",
    "Image",
    "Keep",
    "Logs",
    "Model",
    "Network",
    "Process",
    "Roles",
    "Settings",
    "Start",
    "Task",
    "Workload",
]

MASK = "•••"
MASKED_MIN = 4


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
    cpu: CpuBaseline | None = Field(
        default=None,
        description="The oldest CPU that the image has to run on: a level of x86-64 (`x86-64`, "
        "`x86-64-v2`, `-v3`, `-v4`), an EC2 family or `fargate`. A build with machine code above "
        "it fails; without it such code is only told.",
        examples=["x86-64-v2", "m5", "fargate"],
    )
    cpu_allow: dict[Text, Text] = Field(
        default={},
        description="Files that may be above `cpu`: pattern of the path in the image, or of the "
        "package → the reason why that is right.",
        examples=[{"gem fast_blur *": "only the render workers load it, and they run on m5"}],
    )
    cache: Literal["registry"] | None = Field(
        default=None,
        description="Where layers are kept beside the build host: `registry` pushes them as "
        "`REPOSITORY:cache` and `:cache-STAGE`, for hosts that come and go. Whoever may pull the "
        "image may then pull its build stages.",
    )
    host: BuildHost | None = Field(
        default=None,
        description="The build host; by default the Docker Engine here.",
        examples=["ssh://builder@build.example.com"],
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
    """Who the tasks are to IAM."""

    task: Role | None = Field(default=None, description="The role that the app acts under.")
    execution: Role | None = Field(
        default=None,
        description="The role with which ECS pulls images, reads secrets and writes logs.",
    )


class Settings(Model):
    """The keys of the top level; all but `app` may stand under an environment too."""

    app: Name = Field(description="The name of the app; begins the names of all that is created.")
    image: Image = Field(description="The image of the app.")
    assets: Assets | None = Field(
        default=None,
        description="What is compiled once for all tasks, and where browsers get it; "
        "null under an environment goes without.",
    )
    start: Start = Field(
        default=Start.model_construct(),
        description="What happens in a container before its process: steps, in the order written.",
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
        "and listeners that are missing, on the local ECS the assets' bucket too; true by default "
        "for the local ECS.",
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
    file: str = "kaiun.yml"
    is_implied: bool = False  # nobody wrote this environment: it is the top level by another name
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


if __name__ == "__main__":
    from kaiun.config.jsonschema import main

    main()
