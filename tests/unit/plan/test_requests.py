"""Every request of a plan is one that botocore would send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from support.deployed import app, everything, release

from kaiun.plan.desired import desired
from kaiun.plan.live import Live
from kaiun.plan.plan import plan
from kaiun.plan.steps import (
    CreateCluster,
    CreateListener,
    CreateLoadBalancer,
    CreateLogGroup,
    CreateService,
    CreateTargetGroup,
    Ref,
    RegisterTaskDefinition,
    RunTask,
    Step,
    UpdateService,
    UpdateTargetGroup,
    WaveName,
    request_of,
)

OPERATIONS: Mapping[type, tuple[str, str]] = {
    CreateCluster: ("ecs", "CreateCluster"),
    CreateListener: ("elbv2", "CreateListener"),
    CreateLoadBalancer: ("elbv2", "CreateLoadBalancer"),
    CreateLogGroup: ("logs", "CreateLogGroup"),
    CreateService: ("ecs", "CreateService"),
    CreateTargetGroup: ("elbv2", "CreateTargetGroup"),
    RegisterTaskDefinition: ("ecs", "RegisterTaskDefinition"),
    RunTask: ("ecs", "RunTask"),
    UpdateService: ("ecs", "UpdateService"),
    UpdateTargetGroup: ("elbv2", "ModifyTargetGroup"),
}
SESSION = Session()
MODELS = {name: SESSION.get_service_model(name) for name in ("ecs", "elbv2", "logs")}

BASE: dict[str, Any] = {
    "processes": {
        "web": {
            "command": "puma",
            "port": 3000,
            "listen": 80,
            "health": {"path": "/up", "command": "true"},
            "secrets": {"KEY": "/shop/key"},
        },
        "worker": {"memory_reservation": 64},
    },
    "tasks": {"migrate": {"command": "migrate", "run": "before-deploy", "needs": ["worker"]}},
    "roles": {"task": "shop", "execution": "ecsTaskExecutionRole"},
    "service_connect": "shop",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "bridge": {},
    "fluentd": {"logs": {"driver": "fluentd"}, "service_connect": None},
    "no logs": {"logs": {"driver": "none"}},
    "awsvpc": {"network": {"mode": "awsvpc", "subnets": ["subnet-1"], "security_groups": ["sg"]}},
    "fargate": {"launch_type": "FARGATE", "network": {"subnets": ["subnet-1"], "public_ip": True}},
}


def invalid(step: Step, made: Mapping[Ref, str]) -> str:
    service, operation = OPERATIONS[type(step)]
    shape = MODELS[service].operation_model(operation).input_shape
    report = ParamValidator().validate(request_of(step, made), shape)
    return str(report.generate_report())


@pytest.mark.parametrize("variant", VARIANTS)
def test_requests_are_valid(variant: str) -> None:
    old = desired(app(**{**BASE, **VARIANTS[variant]}), release("a"))
    processes = {name: {**p, "count": 5, "drain": 1} for name, p in BASE["processes"].items()}
    changed = {**BASE, **VARIANTS[variant], "processes": processes}
    new = desired(app(**{**changed, "service_connect": None}), release("b"))
    made: dict[Ref, str] = {}
    seen: set[type] = set()
    for live in (Live(cluster=False), everything(old)):
        found = plan(new if live.cluster else old, live)
        for step in found.steps:
            if makes := getattr(step, "makes", None):
                made[makes] = f"arn:aws:made:{makes.name}"
            seen.add(type(step))
            assert invalid(step, made) == ""
    assert {CreateService, UpdateService, RunTask, UpdateTargetGroup, CreateListener} <= seen


def test_waves_come_in_their_order() -> None:
    found = plan(desired(app(**BASE), release()), Live(cluster=False))
    assert [wave.name for wave in found.waves] == [name for name in WaveName if name != "assets"]


@pytest.mark.parametrize(("minimum", "asked"), [(100, 0), (50, 50)])
def test_a_daemon_is_asked_for_within_the_bounds_that_ecs_has_for_it(
    minimum: int, asked: int
) -> None:
    process = {"service": {"schedulingStrategy": "DAEMON"}, "deploy": {"minimum": minimum}}
    found = plan(desired(app(processes={"agent": process}), release()), Live(cluster=False))
    request = next(s.request for s in found.steps if isinstance(s, CreateService))
    assert request["deploymentConfiguration"] == {
        "minimumHealthyPercent": asked,
        "maximumPercent": 100,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }
    assert "desiredCount" not in request
