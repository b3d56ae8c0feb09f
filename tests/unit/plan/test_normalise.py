"""What ECS fills in makes no difference; what people change does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.deployed import app, described, registered, release

from kaiun.plan import normalise, normalise_service, service
from kaiun.plan.diff import changes
from kaiun.plan.steps import settled
from kaiun.plan.taskdef import render

ANSWERS = Path(__file__).with_name("answers")

names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True)
texts = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), max_size=12)
ports = st.integers(1, 65535)
healths = st.one_of(
    st.none(),
    st.just("/up"),
    st.fixed_dictionaries(
        {"command": st.lists(st.sampled_from(["true", "-q"]), min_size=1, max_size=2)},
        optional={
            "interval": st.sampled_from([5, 10, 30]),
            "timeout": st.sampled_from([2, 5]),
            "unhealthy": st.sampled_from([2, 3]),
            "start": st.sampled_from([0, 30]),
        },
    ),
)
passed = st.fixed_dictionaries(
    {},
    optional={
        "volumes": st.sampled_from(
            [
                [{"name": "data"}],
                [{"name": "data", "host": {"sourcePath": "/data"}}],
                [{"name": "data", "dockerVolumeConfiguration": {"scope": "shared"}}],
            ]
        ),
        "containerDefinitions": st.sampled_from(
            [
                [{"name": "sidecar", "image": "envoy:1", "memory": 64}],
                [{"name": "web", "mountPoints": [{"sourceVolume": "data", "containerPath": "/d"}]}],
                [{"name": "web", "linuxParameters": {"initProcessEnabled": True}}],
                [{"name": "web", "portMappings": [{"containerPort": 9000}]}],
                [{"name": "web", "cpu": 0, "links": [], "dockerLabels": {"empty": ""}}],
            ]
        ),
        "taskRoleArn": st.sampled_from(["app", "arn:aws:iam::123456789012:role/app"]),
        "placementConstraints": st.just([]),
    },
)
processes = st.fixed_dictionaries(
    {},
    optional={
        "command": st.lists(texts.filter(bool), min_size=1, max_size=3),
        "port": ports,
        "health": healths,
        "cpu": st.integers(2, 4096),
        "memory": st.integers(6, 4096),
        "env": st.dictionaries(names, texts, max_size=4),
        "secrets": st.dictionaries(names, texts.filter(str.strip), max_size=3),
        "stop_timeout": st.integers(0, 120),
        "task_definition": passed,
    },
)
apps = st.fixed_dictionaries(
    {},
    optional={
        "logs": st.sampled_from([{"driver": "fluentd"}, {"driver": "none"}, {"driver": "awslogs"}]),
        "service_connect": st.just("shop"),
        "launch_type": st.sampled_from(["EC2", "FARGATE"]),
        "network": st.just({"mode": "awsvpc", "subnets": ["subnet-2", "subnet-1"]}),
        "roles": st.just({"execution": "ecsTaskExecutionRole"}),
    },
)


@settings(deadline=None)
@given(process=processes, keys=apps)
def test_what_ecs_fills_in_makes_no_difference(process: Any, keys: Any) -> None:
    request = render(app(processes={"web": process}, **keys), "web", release())
    ours, theirs = (
        normalise.task_definition(request),
        normalise.task_definition(registered(request)),
    )
    assert changes(theirs, ours) == ()
    assert ours == theirs


@settings(deadline=None)
@given(process=processes, keys=apps, count=st.integers(0, 5))
def test_what_ecs_fills_in_for_a_service_makes_no_difference(
    process: Any, keys: Any, count: int
) -> None:
    config = app(processes={"web": {**process, "count": count}}, **keys)
    request = settled(service.render(config, "web"), {})
    live = normalise_service.of_live(described(request))
    ours = normalise_service.comparable(request, request)
    assert changes(normalise_service.comparable(live, request), ours) == ()


def test_sizes_are_compared_as_numbers() -> None:
    one = {"family": "a", "cpu": "1 vCPU", "memory": "1 GB", "containerDefinitions": []}
    other = {"family": "a", "cpu": "1024", "memory": "1024", "containerDefinitions": []}
    assert normalise.task_definition(one) == normalise.task_definition(other)


def test_an_empty_variable_is_not_a_missing_one() -> None:
    def env(*pairs: dict[str, str]) -> dict[str, object]:
        containers = [{"name": "web", "image": "i", "environment": list(pairs)}]
        return normalise.task_definition({"family": "a", "containerDefinitions": containers})

    (change,) = changes(env(), env({"name": "A", "value": ""}))
    assert (change.path, change.new) == ("containers.web.environment", {"A": ""})


def test_answer_of_the_real_service_equals_the_request_that_made_it() -> None:
    made = json.loads((ANSWERS / "task_definition.json").read_text())
    assert (
        changes(
            normalise.task_definition(made["described"]),
            normalise.task_definition(made["registered"]),
        )
        == ()
    )


def test_described_service_equals_the_request_that_made_it() -> None:
    made = json.loads((ANSWERS / "service.json").read_text())
    live = normalise_service.of_live(made["described"])
    asked = made["created"]
    assert (
        changes(
            normalise_service.comparable(live, asked), normalise_service.comparable(asked, asked)
        )
        == ()
    )


def test_differences_are_named_by_container_and_variable() -> None:
    def request(value: str) -> dict[str, object]:
        config = app(processes={"web": {"env": {"RAILS_ENV": value}}})
        return normalise.task_definition(render(config, "web", release()))

    (change,) = changes(request("staging"), request("production"))
    assert change.path == "containers.web.environment.RAILS_ENV"
    assert (change.old, change.new) == ("staging", "production")
