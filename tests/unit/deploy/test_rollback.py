"""The way back, told by what ECS answers: DescribeServices moment by moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.deployed import app
from support.fake_aws import Answer, FakeAws, fake_aws

from kaiun.aws.client import Aws
from kaiun.deploy.rollback import Back, roll_back
from kaiun.deploy.touch import Touched
from kaiun.deploy.watch import Watch

Doc = dict[str, Any]
NAME = "shop-local-web"
V1, V2 = f"{NAME}:1", f"{NAME}:2"


def deployment(number: int, definition: str, state: str, running: int = 2, **more: object) -> Doc:
    return {
        "id": f"ecs-svc/{number}",
        "status": "PRIMARY",
        "taskDefinition": definition,
        "desiredCount": 2,
        "runningCount": running,
        "pendingCount": 0,
        "createdAt": 1000.0 + number,
        "rolloutState": state,
        **more,
    }


def service(*deployments: Doc) -> Doc:
    """Return a service whose first deployment is PRIMARY."""
    rest = [{**d, "status": "ACTIVE"} for d in deployments[1:]]
    found = {"deployments": [deployments[0], *rest], "events": [], "desiredCount": 2}
    return {"serviceName": NAME, "serviceArn": NAME, "status": "ACTIVE", **found}


BEFORE = service(deployment(1, V1, "COMPLETED"))
AFTER = service(deployment(2, V2, "IN_PROGRESS", 0), deployment(1, V1, "COMPLETED"))
BROKEN = service(deployment(1, V1, "FAILED", 1, rolloutStateReason="tasks failed to start"))
AGAIN = service(deployment(4, V1, "IN_PROGRESS", 0), deployment(1, V1, "FAILED"))
GOOD = service(deployment(4, V1, "COMPLETED"))


@dataclass
class Ecs:
    """Answers DescribeServices with one state after another, UpdateService with `updated`."""

    states: Sequence[Doc]
    updated: Doc
    asked: int = 0
    updates: list[Doc] = field(default_factory=list)

    def describe(self, _body: Doc) -> Answer:
        shown = self.states[min(self.asked, len(self.states) - 1)]
        self.asked += 1
        return 200, {"services": [shown], "failures": []}

    def update(self, body: Doc) -> Answer:
        self.updates.append(body)
        return 200, {"service": self.updated}

    @contextmanager
    def serve(self) -> Iterator[FakeAws]:
        operations = {
            "DescribeServices": self.describe,
            "UpdateService": self.update,
            "ListServiceDeployments": lambda _: (200, {"serviceDeployments": []}),
            "ListTasks": lambda _: (200, {"taskArns": []}),
        }
        with fake_aws(operations) as fake:
            yield fake


def went_back(ecs: Ecs) -> Back:
    """Return how undoing the update of BEFORE to AFTER ended."""
    config = app(processes={"web": {"command": "puma"}})
    request = {"cluster": "shop", "service": NAME, "taskDefinition": V2}
    touched = Touched("web", NAME, request, _read(BEFORE), _read(AFTER), {})
    with ecs.serve() as fake:
        aws = Aws(fake.caller())
        watch = Watch(
            fetch=lambda names: aws.ecs.describe_services("shop", names),
            listener=lambda _: None,
            examine=lambda _: False,
            clock=lambda: 1010.0,
            sleep=lambda _: None,
        )
        return roll_back(aws, config, [touched], watch, lambda _: None)


def _read(told: Doc) -> Any:
    """Return a service as the door to AWS reads it: with times that are times."""
    with fake_aws({"DescribeServices": lambda _: (200, {"services": [told]})}) as fake:
        return Aws(fake.caller()).ecs.describe_services("shop", [NAME])[NAME]


def test_what_ecs_has_put_back_is_only_followed() -> None:
    ecs = Ecs([service(deployment(1, V1, "IN_PROGRESS")), BEFORE], GOOD)
    assert went_back(ecs) == Back(("web",), (), {})
    assert not ecs.updates


def test_a_way_back_that_the_breaker_broke_is_begun_anew() -> None:
    ecs = Ecs([BROKEN, GOOD], AGAIN)
    assert went_back(ecs) == Back(("web",), (), {})
    assert [(u["taskDefinition"], u["forceNewDeployment"]) for u in ecs.updates] == [(V1, True)]


def test_a_way_back_that_breaks_while_it_is_followed_is_begun_anew() -> None:
    rolling = service(deployment(1, V1, "IN_PROGRESS", 1))
    ecs = Ecs([rolling, BROKEN, BROKEN, GOOD], AGAIN)
    assert went_back(ecs) == Back(("web",), (), {})
    assert len(ecs.updates) == 1


def test_a_way_back_that_keeps_breaking_is_given_up_with_its_reason() -> None:
    lost = service(deployment(4, V1, "FAILED", 1, rolloutStateReason="tasks failed to start"))
    ecs = Ecs([BROKEN, lost], AGAIN)
    assert went_back(ecs) == Back((), (), {"web": "tasks failed to start"})
    assert 1 < len(ecs.updates) <= 3


def test_somebody_elses_deployment_is_left_alone() -> None:
    other = service(deployment(9, "shop-local-web:9", "IN_PROGRESS"))
    ecs = Ecs([BROKEN, other], AGAIN)
    assert list(went_back(ecs).stuck) == ["web"]
    assert len(ecs.updates) == 1
