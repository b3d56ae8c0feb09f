"""Tasks find a service by its names of Service Connect and of Cloud Map, in both network modes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.engine import Engine, container, register, until, wait_rollout, wait_stopped

pytestmark = pytest.mark.docker

WEB = ["sh", "-c", "echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}


@pytest.fixture
def machine(tmp_path: Path, image: str) -> Iterator[Engine]:
    engine = Engine(tmp_path, runtime="docker")
    yield engine
    engine.empty_out()


def namespace(engine: Engine, name: str, kind: str = "private") -> str:
    """Make a namespace of Cloud Map; return its id."""
    cloud_map = engine.client("servicediscovery")
    if kind == "http":
        cloud_map.create_http_namespace(Name=name)
    else:
        cloud_map.create_private_dns_namespace(Name=name, Vpc="vpc-local")
    listed = cloud_map.list_namespaces()["Namespaces"]
    return str(next(found["Id"] for found in listed if found["Name"] == name))


def registry(engine: Engine, name: str, namespace_id: str) -> dict[str, str]:
    """Make a service of Cloud Map; return an entry of serviceRegistries."""
    dns = {} if name == "bare" else {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 10}]}}
    made = engine.client("servicediscovery").create_service(
        Name=name, NamespaceId=namespace_id, **dns
    )
    return {"registryArn": made["Service"]["Arn"]}


def instance(engine: Engine, entry: dict[str, str]) -> dict[str, str]:
    """Return the attributes of the only instance of a registry."""
    listed = engine.client("servicediscovery").list_instances(
        ServiceId=entry["registryArn"].rpartition("/")[2]
    )
    [found] = listed["Instances"]
    attributes: dict[str, str] = found["Attributes"]
    return attributes


def serve(engine: Engine, image: str, name: str, mode: str, **fields: Any) -> None:
    port = {"containerPort": 8080, "name": "http"}
    web = container(image=image, command=WEB, portMappings=[port], stopTimeout=2)
    ecs = engine.client("ecs")
    network = {"networkConfiguration": NETWORK} if mode == "awsvpc" else {}
    ecs.create_service(
        cluster="c",
        serviceName=name,
        taskDefinition=register(ecs, name, web, networkMode=mode),
        desiredCount=1,
        **network,
        **fields,
    )
    wait_rollout(ecs, "c", name)


def fetch(engine: Engine, image: str, host: str, mode: str) -> int:
    """Return the exit code of a task that asks a name for a page."""
    ecs = engine.client("ecs")
    ask = container(image=image, command=["wget", "-q", "-O", "-", f"http://{host}:8080/"])
    network = {"networkConfiguration": NETWORK} if mode == "awsvpc" else {}
    definition = register(ecs, "ask", ask, networkMode=mode)
    task = ecs.run_task(cluster="c", taskDefinition=definition, **network)["tasks"][0]
    return int(wait_stopped(ecs, "c", task["taskArn"])["containers"][0]["exitCode"])


@pytest.mark.parametrize("mode", ["bridge", "awsvpc"])
def test_a_service_has_the_names_of_service_connect_and_of_its_registries(
    machine: Engine, image: str, mode: str
) -> None:
    machine.client("ecs").create_cluster(clusterName="c")
    named, bare = namespace(machine, "shop.local"), namespace(machine, "plain", "http")
    alias = {"portName": "http", "clientAliases": [{"port": 8080, "dnsName": "web.internal"}]}
    entry = registry(machine, "web", named)
    serve(
        machine,
        image,
        "web",
        mode,
        serviceRegistries=[entry],
        serviceConnectConfiguration={"enabled": True, "services": [alias]},
    )
    serve(machine, image, "nameless", mode, serviceRegistries=[registry(machine, "bare", bare)])
    for other in ("bridge", "awsvpc"):
        assert fetch(machine, image, "web.shop.local", other) == 0
        assert fetch(machine, image, "web.internal", other) == 0
        assert fetch(machine, image, "bare.plain", other) != 0
        assert fetch(machine, image, instance(machine, entry)["AWS_INSTANCE_IPV4"], other) == 0


def test_a_registry_that_is_not_there_keeps_the_task_from_starting(
    machine: Engine, image: str
) -> None:
    ecs = machine.client("ecs")
    ecs.create_cluster(clusterName="c")
    missing = "arn:aws:servicediscovery:us-east-1:000000000000:service/srv-gone"
    definition = register(ecs, "web", container(image=image, command=["sleep", "100"]))
    ecs.create_service(
        cluster="c",
        serviceName="web",
        taskDefinition=definition,
        desiredCount=1,
        serviceRegistries=[{"registryArn": missing}],
    )

    def stopped() -> Any:
        arns = ecs.list_tasks(cluster="c", desiredStatus="STOPPED")["taskArns"]
        return ecs.describe_tasks(cluster="c", tasks=arns)["tasks"] if arns else []

    task = until(stopped)[0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: unable to find service")
    assert "ServiceNotFound" in task["stoppedReason"]
