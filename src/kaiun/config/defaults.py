"""Fill in what depends on the environment, the app's name or another key."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from kaiun.config import assets
from kaiun.config.schema import (
    Config,
    Environment,
    Health,
    Logs,
    Network,
    Process,
    Workload,
)

MEMORY_MIB = 512
FARGATE_CPU_UNITS = 256
LOCAL_REGION = "us-east-1"
LOCAL_STATE = "s3://kaiun-state"

W = TypeVar("W", bound=Workload)


def complete(given: Environment, environment: str, root: Path) -> Config:
    """Return the configuration of one environment, nothing left open."""
    local = given.local or environment == "local"
    return Config.model_construct(
        app=given.app,
        environment=environment,
        is_local=local,
        root=root,
        image=given.image,
        assets=assets.complete(given.assets, given.region, local=local),
        start=given.start,
        processes={name: _workload(given, item) for name, item in given.processes.items()},
        tasks={name: _workload(given, item) for name, item in given.tasks.items()},
        env=given.env,
        secrets=given.secrets,
        logs=_logs(given, environment),
        region=given.region or (LOCAL_REGION if local else None),
        cluster=given.cluster or given.app,
        launch_type=given.launch_type,
        network=_network(given),
        roles=given.roles,
        service_connect=given.service_connect,
        state=given.state or (LOCAL_STATE if local else None),
        provision=given.provision if "provision" in given.model_fields_set else local,
    )


def _network(given: Environment) -> Network:
    if given.launch_type == "FARGATE" and "mode" not in given.network.model_fields_set:
        return given.network.model_copy(update={"mode": "awsvpc"})
    return given.network


def _logs(given: Environment, environment: str) -> Logs:
    group = given.logs.group or f"/kaiun/{given.app}/{environment}"
    return given.logs.model_copy(update={"group": group})


def _workload(given: Environment, item: W) -> W:
    update: dict[str, object] = {}
    if isinstance(item, Process) and item.health is not None:
        update["health"] = _health(item.health)
    if item.cpu is None and given.launch_type == "FARGATE":
        update["cpu"] = FARGATE_CPU_UNITS
    if item.memory is None and item.memory_reservation is None:
        update["memory"] = MEMORY_MIB
    if item.uses_app_image:
        secrets = {k: v for k, v in given.secrets.items() if k not in item.env}
        env = {k: v for k, v in given.env.items() if k not in item.secrets}
        update |= {"env": {**env, **item.env}, "secrets": {**secrets, **item.secrets}}
    return item.model_copy(update=update)


def _health(given: Health) -> Health:
    """Return a check whose timeout, where nobody asked for one, is below its interval."""
    if "timeout" in given.model_fields_set:
        return given
    return given.model_copy(update={"timeout": min(given.timeout, given.interval - 1)})
