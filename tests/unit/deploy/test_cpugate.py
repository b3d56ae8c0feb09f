"""Images are judged by their label against the machines of the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.deployed import app
from support.fake_aws import FakeAws, fake_aws
from support.fake_registry import FakeRegistry

from kaiun.aws.client import Aws
from kaiun.cpu import levels
from kaiun.cpu.levels import LEVELS, Baseline, named
from kaiun.cpu.report import Need
from kaiun.deploy.cpugate import CpuGate, machines, refusals
from kaiun.deploy.events import Note
from kaiun.errors import ImageError
from kaiun.image import Built, Registry

V3 = LEVELS["x86-64-v3"]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        yield fake


@dataclass
class Cluster:
    """150 instances of each of these types, so that there are several pages."""

    types: list[str]
    asked: list[int] = field(default_factory=list)

    def operations(self) -> dict[str, Any]:
        return {"ListContainerInstances": self.pages, "DescribeContainerInstances": self.describe}

    def pages(self, body: dict[str, Any]) -> tuple[int, object]:
        start = int(body.get("nextToken", 0))
        arns = [f"arn:{kind}:{n}" for kind in self.types for n in range(150)]
        more = {"nextToken": str(start + 100)} if start + 100 < len(arns) else {}
        return 200, {"containerInstanceArns": arns[start : start + 100], **more}

    def describe(self, body: dict[str, Any]) -> tuple[int, object]:
        self.asked.append(len(body["containerInstances"]))
        found = [
            {
                "attributes": [
                    {"name": "ecs.instance-type", "value": arn.split(":")[1]},
                    {"name": "x"},
                ]
            }
            for arn in body["containerInstances"]
        ]
        return 200, {"containerInstances": found, "failures": []}


def image(registry: FakeRegistry, features: frozenset[str] | None) -> Built:
    """Put an image into the registry that says it needs these features."""
    label = {} if features is None else {"kaiun.cpu": _label(features)}
    config = json.dumps({"config": {"Labels": label}}).encode()
    digest = registry.put("shop", {"config": {"digest": registry.put_blob("shop", config)}})
    name = f"{registry.host}/shop"
    return Built(name, digest, f"{name}@{digest}", tag="a" * 40)


def _label(features: frozenset[str]) -> str:
    return json.dumps({"level": "", "features": sorted(features)})


def judged(
    fake: FakeAws, built: Built, *, allow: str = "", **keys: object
) -> tuple[str, list[str]]:
    said: list[str] = []
    config = app("production", region="us-east-1", **keys)
    gate = CpuGate(Aws(fake.caller()), config, Registry, allow)
    reason = gate({"web": built}, lambda e: said.append(e.text) if isinstance(e, Note) else None)
    return reason, said


def test_image_above_an_instance_type_is_refused(registry: FakeRegistry) -> None:
    cluster = Cluster(["m5.large", "t2.micro"])
    with fake_aws(cluster.operations()) as fake, pytest.raises(ImageError) as caught:
        judged(fake, image(registry, V3))
    assert "would crash on t2, which lacks avx2 bmi1 bmi2" in caught.value.message
    assert "--allow-cpu REASON" in caught.value.hint
    assert max(cluster.asked) == 100


def test_image_that_every_instance_type_can_run_passes(registry: FakeRegistry) -> None:
    with fake_aws(Cluster(["m5.large", "m6a.large"]).operations()) as fake:
        assert judged(fake, image(registry, V3)) == ("", [])


def test_reason_lets_it_pass_and_is_told(registry: FakeRegistry) -> None:
    with fake_aws(Cluster(["t2.micro"]).operations()) as fake:
        reason, said = judged(fake, image(registry, V3), allow="t2 is drained")
    assert reason == "t2 is drained"
    assert "which lacks" in said[0]
    assert said[0].endswith("; allowed: t2 is drained")


def test_fargate_is_taken_as_v2_and_nobody_is_asked(registry: FakeRegistry) -> None:
    with fake_aws({}) as fake, pytest.raises(ImageError, match="would crash on fargate"):
        judged(fake, image(registry, V3), launch_type="FARGATE")
    with fake_aws({}) as fake:
        v2 = image(registry, LEVELS["x86-64-v2"])
        assert judged(fake, v2, launch_type="FARGATE") == ("", [])
        assert fake.requests == []


def test_image_that_needs_nothing_asks_nobody(registry: FakeRegistry) -> None:
    with fake_aws({}) as fake:
        assert judged(fake, image(registry, frozenset())) == ("", [])
        assert fake.requests == []


def test_image_without_the_label_passes_with_a_note(registry: FakeRegistry) -> None:
    with fake_aws({}) as fake:
        reason, said = judged(fake, image(registry, None))
    assert reason == ""
    assert said[0].endswith("was never scanned for its CPU")


def test_capacity_provider_of_fargate_is_fargate() -> None:
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    web = {"command": "puma", "service": {"capacityProviderStrategy": strategy}}
    with fake_aws({}) as fake:
        found = machines(Aws(fake.caller()), app("production", processes={"web": web}))
    assert [each.name for each in found] == ["fargate", "fargate-arm64"]


def test_local_ecs_is_this_machine() -> None:
    with fake_aws({}) as fake:
        found = machines(Aws(fake.caller()), app("local"))
    assert [each.name for each in found] == ["this machine"]


def test_machine_of_another_architecture_is_not_judged() -> None:
    arm = Baseline("m7g", "aarch64", frozenset())
    assert refusals({"shop": Need("x86-64-v3", V3)}, [arm, named("x86-64-v3")]) == []


def test_image_for_arm_is_judged_by_machines_of_arm() -> None:
    needs = {"shop": Need("graviton3", frozenset({"sve"}), levels.ARM)}
    available = [named("x86-64-v2"), levels.parse("m6g"), levels.parse("m7g")]
    assert refusals(needs, available) == ["shop would crash on m6g, which lacks sve"]
