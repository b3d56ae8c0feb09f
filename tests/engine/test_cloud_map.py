"""Cloud Map: namespaces, service registries, and the tasks that ECS registers in them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, container, null, register, until, wait_rollout

_names = itertools.count(1)
A_RECORD = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1}


@pytest.fixture
def cloud_map(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")  # as `kaiun local env` says
    return engine.client("servicediscovery")


def namespace(cloud_map: Any, kind: str = "private_dns", **members: Any) -> dict[str, Any]:
    """Make a namespace by what clients do: create, then ask for the operation."""
    members = {"Name": f"ns{next(_names)}.local", **members}
    if kind == "private_dns":
        members = {"Vpc": "vpc-local", **members}
    started = getattr(cloud_map, f"create_{kind}_namespace")(**members)["OperationId"]
    done = cloud_map.get_operation(OperationId=started)["Operation"]
    assert (done["Type"], done["Status"]) == ("CREATE_NAMESPACE", "SUCCESS")
    found: dict[str, Any] = cloud_map.get_namespace(Id=done["Targets"]["NAMESPACE"])["Namespace"]
    return found


def registry(cloud_map: Any, name: str = "web", **members: Any) -> dict[str, Any]:
    """Make a service in a namespace of its own."""
    if "NamespaceId" not in members:
        members["NamespaceId"] = namespace(cloud_map)["Id"]
    made: dict[str, Any] = cloud_map.create_service(Name=name, **members)["Service"]
    return made


def code_of(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**members)
    return str(refused.value.response["Error"]["Code"])


def serve(ecs: Any, cluster: str, definition: str, entry: dict[str, Any], **more: Any) -> None:
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=definition,
        serviceRegistries=[entry],
        **{"desiredCount": 2, **more},
    )


def instances(cloud_map: Any, made: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the attributes of all instances, by id."""
    pages = cloud_map.get_paginator("list_instances").paginate(ServiceId=made["Id"])
    return {i["Id"]: i["Attributes"] for page in pages for i in page["Instances"]}


def running(ecs: Any, cluster: str) -> list[str]:
    arns = ecs.list_tasks(cluster=cluster, serviceName="web", desiredStatus="RUNNING")["taskArns"]
    return sorted(arn.rpartition("/")[2] for arn in arns)


def test_tasks_of_a_service_are_the_instances_of_its_registry(
    engine: Engine, ecs: Any, cloud_map: Any, cluster: str, family: str
) -> None:
    space = namespace(cloud_map)
    made = registry(
        cloud_map, NamespaceId=space["Id"], DnsConfig=A_RECORD, HealthCheckCustomConfig={}
    )
    web = container(portMappings=[{"containerPort": 8080}])
    definition = register(ecs, family, web, networkMode="awsvpc")
    entry = {"registryArn": made["Arn"], "containerName": "web", "containerPort": 8080}
    serve(ecs, cluster, definition, entry, networkConfiguration=NETWORK)
    wait_rollout(ecs, cluster, "web")

    tasks = running(ecs, cluster)
    found = instances(cloud_map, made)
    assert sorted(found) == tasks
    assert cloud_map.get_service(Id=made["Id"])["Service"]["InstanceCount"] == 2
    [task] = ecs.describe_tasks(cluster=cluster, tasks=tasks[:1])["tasks"]
    machine = ecs.describe_container_instances(
        cluster=cluster, containerInstances=[task["containerInstanceArn"]]
    )["containerInstances"][0]
    address = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    assert found[tasks[0]] == {
        "AVAILABILITY_ZONE": task["availabilityZone"],
        "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        "AWS_INSTANCE_IPV4": address,
        "AWS_INSTANCE_PORT": "8080",
        "EC2_INSTANCE_ID": machine["ec2InstanceId"],
        "ECS_CLUSTER_NAME": cluster,
        "ECS_SERVICE_NAME": "web",
        "ECS_TASK_DEFINITION_FAMILY": family,
        "REGION": "us-east-1",
    }
    discovered = cloud_map.discover_instances(
        NamespaceName=space["Name"], ServiceName="web", HealthStatus="HEALTHY"
    )
    assert sorted(i["InstanceId"] for i in discovered["Instances"]) == tasks
    assert {i["HealthStatus"] for i in discovered["Instances"]} == {"HEALTHY"}

    assert code_of(cloud_map.delete_service, Id=made["Id"]) == "ResourceInUse"
    ecs.update_service(cluster=cluster, service="web", desiredCount=1)
    until(lambda: len(instances(cloud_map, made)) == 1)
    assert list(instances(cloud_map, made)) == running(ecs, cluster)
    now = cloud_map.discover_instances_revision(NamespaceName=space["Name"], ServiceName="web")
    assert now["InstancesRevision"] > discovered["InstancesRevision"]
    ecs.delete_service(cluster=cluster, service="web", force=True)
    until(lambda: not instances(cloud_map, made))
    cloud_map.delete_service(Id=made["Id"])
    cloud_map.delete_namespace(Id=space["Id"])
    assert code_of(cloud_map.get_namespace, Id=space["Id"]) == "NamespaceNotFound"


def test_a_task_leaves_before_its_containers_are_stopped(
    ecs: Any, cloud_map: Any, cluster: str, family: str
) -> None:
    made = registry(cloud_map, DnsConfig=A_RECORD)
    slow = container(dockerLabels=null(stop_ms=8_000), stopTimeout=120)
    serve(ecs, cluster, register(ecs, family, slow), {"registryArn": made["Arn"]}, desiredCount=1)
    wait_rollout(ecs, cluster, "web")
    [(task, attributes)] = instances(cloud_map, made).items()
    assert "AWS_INSTANCE_PORT" not in attributes
    assert "AWS_INIT_HEALTH_STATUS" not in attributes  # the registry has no health of its own
    ecs.update_service(cluster=cluster, service="web", desiredCount=0)
    until(lambda: not instances(cloud_map, made))
    [seen] = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
    assert seen["lastStatus"] != "STOPPED"


@pytest.mark.parametrize("says", ["HEALTHY", "UNHEALTHY"])
def test_an_instance_is_as_healthy_as_its_containers(
    ecs: Any, cloud_map: Any, cluster: str, family: str, says: str
) -> None:
    made = registry(cloud_map, DnsConfig=A_RECORD, HealthCheckCustomConfig={"FailureThreshold": 1})
    labels = null(health=says, health_ms=300)
    web = container(dockerLabels=labels, healthCheck=CHECK)
    serve(
        ecs, cluster, register(ecs, family, web), {"registryArn": made["Arn"]},
        desiredCount=1, healthCheckGracePeriodSeconds=3600,
    )  # fmt: skip

    def known() -> bool:
        listed = cloud_map.get_instances_health_status(ServiceId=made["Id"])["Status"]
        return list(listed.values()) == [says]

    until(known)
    [attributes] = instances(cloud_map, made).values()
    assert attributes["AWS_INIT_HEALTH_STATUS"] in ("UNHEALTHY", says)


def test_what_is_registered_outlives_a_killed_engine(own_engine: Engine) -> None:
    ecs = own_engine.client("ecs")
    cloud_map = own_engine.client("servicediscovery")
    ecs.create_cluster(clusterName="c")
    made = registry(cloud_map, DnsConfig=A_RECORD)
    serve(ecs, "c", register(ecs, "web"), {"registryArn": made["Arn"]})
    wait_rollout(ecs, "c", "web")
    before = instances(cloud_map, made)
    own_engine.kill()
    own_engine.start()
    cloud_map = own_engine.client("servicediscovery")
    assert instances(cloud_map, made) == before
    assert cloud_map.get_service(Id=made["Id"])["Service"] == made | {"InstanceCount": 2}


def test_namespaces_are_listed_filtered_changed_and_tagged(cloud_map: Any) -> None:
    private = namespace(cloud_map, Description="old", Tags=[{"Key": "a", "Value": "1"}])
    http = namespace(cloud_map, "http")
    public = namespace(cloud_map, "public_dns")
    assert private["Properties"]["DnsProperties"]["SOA"] == {"TTL": 15}
    assert "DnsProperties" not in http["Properties"]
    assert http["Properties"]["HttpProperties"]["HttpName"] == http["Name"]

    def listed(name: str, *values: str, condition: str = "EQ") -> list[str]:
        wanted = {"Name": name, "Values": list(values), "Condition": condition}
        pages = cloud_map.get_paginator("list_namespaces").paginate(
            Filters=[wanted], PaginationConfig={"PageSize": 1}
        )
        return [n["Id"] for page in pages for n in page["Namespaces"]]

    assert listed("NAME", private["Name"]) == [private["Id"]]
    assert listed("NAME", private["Name"], http["Name"], condition="IN") == [
        private["Id"], http["Id"],
    ]  # fmt: skip
    assert public["Id"] in listed("TYPE", "DNS_PUBLIC")
    assert private["Id"] not in listed("TYPE", "DNS_PUBLIC")
    change = {"Description": "new", "Properties": {"DnsProperties": {"SOA": {"TTL": 60}}}}
    cloud_map.update_private_dns_namespace(Id=private["Id"], Namespace=change)
    changed = cloud_map.get_namespace(Id=private["Arn"])["Namespace"]
    assert changed["Description"] == "new"
    assert changed["Properties"]["DnsProperties"]["SOA"] == {"TTL": 60}
    wrong = {"Id": http["Id"], "Namespace": change}
    assert code_of(cloud_map.update_private_dns_namespace, **wrong) == "InvalidInput"

    cloud_map.tag_resource(ResourceARN=private["Arn"], Tags=[{"Key": "b", "Value": "2"}])
    cloud_map.untag_resource(ResourceARN=private["Arn"], TagKeys=["a"])
    tags = cloud_map.list_tags_for_resource(ResourceARN=private["Arn"])["Tags"]
    assert tags == [{"Key": "b", "Value": "2"}]
    nothing = private["Arn"] + "x"
    unknown = code_of(cloud_map.list_tags_for_resource, ResourceARN=nothing)
    assert unknown == "ResourceNotFoundException"


def test_a_request_that_comes_again_makes_nothing_twice(cloud_map: Any) -> None:
    first = {"Name": "twice.local", "Vpc": "v", "CreatorRequestId": "one"}
    started = cloud_map.create_private_dns_namespace(**first)
    assert cloud_map.create_private_dns_namespace(**first)["OperationId"] == started["OperationId"]
    again = first | {"CreatorRequestId": "two"}
    refused = code_of(cloud_map.create_private_dns_namespace, **again)
    assert refused == "NamespaceAlreadyExists"
    made = registry(cloud_map, CreatorRequestId="one")
    known = {"Name": "web", "NamespaceId": made["NamespaceId"]}
    assert cloud_map.create_service(**known, CreatorRequestId="one")["Service"] == made
    assert code_of(cloud_map.create_service, **known) == "ServiceAlreadyExists"


def test_a_service_is_read_back_as_it_was_made_and_changed(cloud_map: Any) -> None:
    space = namespace(cloud_map)
    made = registry(
        cloud_map, NamespaceId=space["Id"], DnsConfig=A_RECORD, HealthCheckCustomConfig={}
    )
    assert made["DnsConfig"] == {
        "NamespaceId": space["Id"], "RoutingPolicy": "MULTIVALUE", **A_RECORD,
    }  # fmt: skip
    assert (made["Type"], made["HealthCheckCustomConfig"]) == ("DNS_HTTP", {"FailureThreshold": 1})
    [listed] = cloud_map.list_services(
        Filters=[{"Name": "NAMESPACE_ID", "Values": [space["Id"]]}]
    )["Services"]  # fmt: skip
    assert (listed["Id"], listed["InstanceCount"]) == (made["Id"], 0)
    assert cloud_map.get_namespace(Id=space["Id"])["Namespace"]["ServiceCount"] == 1
    slower = {"DnsRecords": [{"Type": "A", "TTL": 60}]}
    cloud_map.update_service(Id=made["Id"], Service={"Description": "d", "DnsConfig": slower})
    changed = cloud_map.get_service(Id=made["Id"])["Service"]
    assert changed["DnsConfig"]["DnsRecords"] == slower["DnsRecords"]
    assert code_of(cloud_map.delete_namespace, Id=space["Id"]) == "ResourceInUse"
    cloud_map.update_service_attributes(ServiceId=made["Id"], Attributes={"owner": "me"})
    told = cloud_map.get_service_attributes(ServiceId=made["Id"])["ServiceAttributes"]
    assert (told["ServiceArn"], told["Attributes"]) == (made["Arn"], {"owner": "me"})


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("http", {"DnsConfig": A_RECORD}),
        ("private_dns", {"HealthCheckConfig": {"Type": "HTTP"}}),
        ("private_dns", {"DnsConfig": {"DnsRecords": [{"Type": "CNAME", "TTL": 1}]}}),
    ],
)
def test_a_service_that_its_namespace_cannot_have_is_refused(
    cloud_map: Any, kind: str, members: dict[str, Any]
) -> None:
    whole = {"Name": "web", "NamespaceId": namespace(cloud_map, kind)["Id"], **members}
    assert code_of(cloud_map.create_service, **whole) == "InvalidInput"


def test_what_is_registered_by_hand_is_found_by_attributes_and_health(cloud_map: Any) -> None:
    space = namespace(cloud_map, "http")
    made = registry(cloud_map, NamespaceId=space["Id"], HealthCheckCustomConfig={})
    for name, zone in (("one", "a"), ("two", "a"), ("three", "b")):
        attributes = {"AWS_INSTANCE_IPV4": "10.0.0.1", "zone": zone, "name": name}
        cloud_map.register_instance(
            ServiceId=made["Id"], InstanceId=name, Attributes=attributes
        )  # fmt: skip

    def found(**members: Any) -> list[str]:
        answer = cloud_map.discover_instances(
            NamespaceName=space["Name"], ServiceName="web", **members
        )
        return sorted(i["InstanceId"] for i in answer["Instances"])

    def set_health(name: str, status: str) -> None:
        cloud_map.update_instance_custom_health_status(
            ServiceId=made["Id"], InstanceId=name, Status=status
        )

    assert found(QueryParameters={"zone": "a"}) == ["one", "two"]
    assert found(OptionalParameters={"name": "three"}) == ["three"]
    assert found(OptionalParameters={"name": "four"}) == ["one", "three", "two"]
    set_health("one", "UNHEALTHY")
    assert found(HealthStatus="HEALTHY") == ["three", "two"]
    assert found(HealthStatus="UNHEALTHY") == ["one"]
    query = {"QueryParameters": {"name": "one"}}
    assert found(HealthStatus="HEALTHY_OR_ELSE_ALL", **query) == ["one"]
    assert found(HealthStatus="HEALTHY", **query) == []
    assert len(found(MaxResults=2)) == 2
    asked = {"ServiceId": made["Id"], "Instances": ["one", "two"]}
    assert cloud_map.get_instances_health_status(**asked)["Status"] == {
        "one": "UNHEALTHY", "two": "HEALTHY",
    }  # fmt: skip
    cloud_map.deregister_instance(ServiceId=made["Id"], InstanceId="one")
    gone = {"ServiceId": made["Id"], "InstanceId": "one"}
    assert code_of(cloud_map.get_instance, **gone) == "InstanceNotFound"
    bare = registry(cloud_map, NamespaceId=space["Id"], name="bare")
    cloud_map.register_instance(ServiceId=bare["Id"], InstanceId="x", Attributes={"a": "b"})
    refused = {"ServiceId": bare["Id"], "InstanceId": "x", "Status": "HEALTHY"}
    call = cloud_map.update_instance_custom_health_status
    assert code_of(call, **refused) == "CustomHealthNotFound"


def test_an_instance_needs_what_the_records_of_its_service_tell(cloud_map: Any) -> None:
    made = registry(cloud_map, DnsConfig={"DnsRecords": [{"Type": "SRV", "TTL": 1}]})
    whole = {"ServiceId": made["Id"], "InstanceId": "x", "Attributes": {"a": "b"}}
    assert code_of(cloud_map.register_instance, **whole) == "InvalidInput"
