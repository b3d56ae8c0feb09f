"""Check what no single key can tell: names that refer to one another, pairs that ECS refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kaiun.config import assetchecks, overrides, startchecks
from kaiun.config.places import Found, Node
from kaiun.config.problems import nearest, suggestion
from kaiun.config.schema import Config, Health, Process, Workload

FARGATE_GB: dict[int, tuple[float, ...]] = {
    256: (0.5, 1, 2),
    512: tuple(range(1, 5)),
    1024: tuple(range(2, 9)),
    2048: tuple(range(4, 17)),
    4096: tuple(range(8, 31)),
    8192: tuple(range(16, 61, 4)),
    16384: tuple(range(32, 121, 8)),
}
FARGATE_STOP_MAX_S = 120
COMMAND_TIMEOUT_MAX_S = 60


def check(config: Config, tree: Node) -> Iterator[Found]:
    """Yield the problems of a configuration whose single values are all right."""
    yield from network(config, tree)
    yield from listeners(config, tree)
    yield from names(config, tree)
    yield from twice(tree)
    yield from assetchecks.assets(config, tree)
    yield from startchecks.start(config, tree)
    for name, process in config.processes.items():
        where = tree.get("processes", name)
        if where:
            yield from beside(process, where)
            yield from workload(config, process, where)
            yield from serving(process, where)
            yield from rolling(process, where)
            yield from override(where, "service", "CreateServiceRequest")
    for name, task in config.tasks.items():
        if where := tree.get("tasks", name):
            yield from workload(config, task, where)


def at(tree: Node, *path: str | int, message: str, hint: str = "") -> Found:
    """Return a problem at `path`, or at what comes nearest to it in the file."""
    node, rest = nearest(tree, path)
    place = node.place if rest or isinstance(node.value, (dict, list)) else node.at
    return Found(place, (*node.path, *rest), message, hint)


def network(config: Config, tree: Node) -> Iterator[Found]:
    """Check the network mode against the launch type and the rest of `network`."""
    given = config.network
    if config.launch_type == "FARGATE" and given.mode != "awsvpc":
        message = f"Fargate requires awsvpc, got '{given.mode}'"
        yield at(
            tree, "network", "mode", message=message, hint="write `mode: awsvpc`, or leave it out"
        )
    if config.launch_type == "FARGATE" and config.logs.driver in {"fluentd", "json-file"}:
        message = f"Fargate does not know the log driver '{config.logs.driver}'"
        yield at(tree, "logs", "driver", message=message, hint="write `driver: awslogs`")
    if given.mode == "awsvpc" and not given.subnets and not config.is_local:
        hint = "write `network: {mode: awsvpc, subnets: [subnet-…]}`"
        path = ("network", "subnets") if tree.get("network") else ("launch_type",)
        yield at(tree, *path, message="awsvpc needs subnets", hint=hint)
    for key in ("subnets", "security_groups", "public_ip"):
        if given.mode == "bridge" and getattr(given, key):
            message = "has no meaning in bridge mode"
            yield at(
                tree, "network", key, message=message, hint="write `mode: awsvpc`, or remove it"
            )


def listeners(config: Config, tree: Node) -> Iterator[Found]:
    """Check that no two processes listen on one port of the load balancer."""
    taken: dict[int, str] = {}
    for name, process in config.processes.items():
        if process.listen is None:
            continue
        other = taken.setdefault(process.listen, name)
        if other != name:
            message = f"the process '{other}' listens on {process.listen} already"
            hint = "give one of them another port"
            yield at(tree, "processes", name, "listen", message=message, hint=hint)


def names(config: Config, tree: Node) -> Iterator[Found]:
    """Check the processes that tasks need, and that tasks are not named as processes are."""
    known = list(config.processes)
    for name, task in config.tasks.items():
        if name in config.processes:
            message, hint = f"'{name}' is a process too", "give one of them another name"
            yield at(tree, "tasks", name, message=message, hint=hint)
        for index, needed in enumerate(task.needs):
            if needed not in config.processes:
                hint = suggestion(needed, known, f"there are: {', '.join(known) or 'none'}")
                message = f"there is no process '{needed}'"
                yield at(tree, "tasks", name, "needs", index, message=message, hint=hint)


def workload(config: Config, item: Workload, where: Node) -> Iterator[Found]:
    """Check what processes and tasks have in common."""
    yield from twice(where)
    hard, soft = item.memory, item.memory_reservation
    if hard and soft and soft > hard:
        message = f"a reservation of {soft} MiB is above the limit of {hard} MiB"
        yield at(where, "memory_reservation", message=message, hint="reserve less than `memory`")
    if config.launch_type == "FARGATE":
        yield from fargate(item, where)
    yield from override(where, "task_definition", "RegisterTaskDefinitionRequest")


def twice(where: Node) -> Iterator[Found]:
    """Check that no name is both a variable and a secret, which ECS refuses."""
    env, secrets = where.get("env"), where.get("secrets")
    for name in (secrets.items if secrets else {}).keys() & (env.items if env else {}).keys():
        yield at(
            where, "secrets", name, message="stands under `env` too", hint="keep one of the two"
        )


def fargate(item: Workload, where: Node) -> Iterator[Found]:
    """Check the pairs of CPU and memory that Fargate has, and its longest stop timeout.

    Source: ECS API reference, RegisterTaskDefinition, `cpu`; ContainerDefinition, `stopTimeout`.
    """
    if item.stop_timeout > FARGATE_STOP_MAX_S:
        message = f"Fargate waits at most {FARGATE_STOP_MAX_S} s, got {item.stop_timeout}"
        yield at(where, "stop_timeout", message=message, hint=f"write {FARGATE_STOP_MAX_S} or less")
    if {"cpu", "memory"} & item.task_definition.keys():
        return
    if item.cpu not in FARGATE_GB:
        sizes = ", ".join(map(str, FARGATE_GB))
        yield at(where, "cpu", message=f"Fargate has no tasks of {item.cpu} CPU units", hint=sizes)
    elif item.memory is None:
        hint = f"write `memory: {FARGATE_GB[item.cpu][0]:g} GB`"
        yield at(where, "memory", message="Fargate needs a limit of memory", hint=hint)
    elif item.memory / 1024 not in FARGATE_GB[item.cpu]:
        sizes = ", ".join(f"{size:g}" for size in FARGATE_GB[item.cpu])
        message = f"Fargate has no tasks of {item.cpu} CPU units with {item.memory} MiB"
        yield at(where, "memory", message=message, hint=f"with these CPU units: {sizes} GB")


def serving(process: Process, where: Node) -> Iterator[Found]:
    """Check what needs a port, and the health check."""
    for key in ("listen", "target_group"):
        if process.port is None and getattr(process, key) is not None:
            hint = "add `port:`, the port that the container listens on"
            yield at(where, key, message="needs a port", hint=hint)
    if process.health:
        yield from health(process, process.health, where)


def health(process: Process, given: Health, where: Node) -> Iterator[Found]:
    """Check that a health check is of one kind, and that its times fit one another."""
    here = ("health",)
    if (given.path is None) == (given.command is None):
        message = "either a path or a command"
        yield at(where, *here, message=message, hint="write `health: /up`")
    elif given.path is not None and process.port is None:
        hint = "add `port:`, or ask by `health: {command: …}`"
        yield at(where, *here, message="a path needs a port", hint=hint)
    if given.path is not None and given.timeout >= given.interval:
        message = f"a timeout of {given.timeout} s is not below the interval of {given.interval} s"
        key = "timeout" if where.get(*here, "timeout") else "interval"
        yield at(where, *here, key, message=message, hint="the load balancer refuses that")
    if given.command is not None and given.timeout > COMMAND_TIMEOUT_MAX_S:
        message = f"expected at most {COMMAND_TIMEOUT_MAX_S} with a command, got {given.timeout}"
        yield at(where, *here, "timeout", message=message)
    idle = {"start"} if given.command is None else {"healthy", "matcher"}
    for key in sorted(idle & given.model_fields_set):
        kind = "path" if given.command is None else "command"
        hint = "write `grace:` beside `health`" if key == "start" else "remove it"
        yield at(where, *here, key, message=f"has no meaning with a {kind}", hint=hint)


def beside(process: Process, where: Node) -> Iterator[Found]:
    """Check that co-processes run in the image of the app, behind kaiun's entry point."""
    for key in ("image", "entrypoint"):
        if process.beside and getattr(process, key) is not None:
            message = f"has no meaning together with `{key}`"
            hint = "only kaiun's entry point in the image of the app starts several processes"
            yield at(where, "with", message=message, hint=hint)


def rolling(process: Process, where: Node) -> Iterator[Found]:
    """Check that a rolling deployment can take its first step.

    Source: ECS API reference, DeploymentConfiguration (minimum rounded up, maximum down).
    """
    count, given = process.count, process.deploy
    lower = math.ceil(count * given.minimum / 100)
    upper = math.floor(count * given.maximum / 100)
    if count and lower >= count >= upper:
        message = f"of {count} tasks none can stop (at least {lower}), none start (at most {upper})"
        key = "minimum" if where.get("deploy", "minimum") else "maximum"
        hint = "raise `maximum`, or lower `minimum`"
        yield at(where, "deploy", key, message=message, hint=hint)


def override(where: Node, key: str, shape: str) -> Iterator[Found]:
    """Check the fields of ECS under a key, where there are any."""
    node = where.get(key)
    if node and node.items:
        yield from overrides.check(node, shape)
