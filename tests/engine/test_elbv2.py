"""Load balancers, target groups, listeners, rules and target health, over HTTP."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import container, messages, null, register, until, wait_rollout
from support.shifting import target_group

_ports = itertools.count(20_000)
_numbers = itertools.count(1)


@pytest.fixture
def balancer(elbv2: Any) -> Iterator[str]:
    name = f"lb-{next(_numbers)}"
    answer = elbv2.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])
    arn = str(answer["LoadBalancers"][0]["LoadBalancerArn"])
    yield arn
    elbv2.delete_load_balancer(LoadBalancerArn=arn)


def group(elbv2: Any, **fields: Any) -> str:
    return target_group(elbv2, f"group-{next(_numbers)}", **fields)


def listen(elbv2: Any, balancer: str, *groups: str) -> str:
    targets = [{"TargetGroupArn": arn, "Weight": 1} for arn in groups]
    answer = elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=next(_ports),
        DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": targets}}],
    )
    return str(answer["Listeners"][0]["ListenerArn"])


def test_load_balancer_is_created_described_and_deleted(elbv2: Any) -> None:
    answer = elbv2.create_load_balancer(Name="shop", Subnets=["subnet-a", "subnet-b"])
    created = answer["LoadBalancers"][0]
    arn = created["LoadBalancerArn"]
    assert (created["State"]["Code"], created["Type"]) == ("provisioning", "application")
    elbv2.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn])
    elbv2.get_waiter("load_balancer_exists").wait(Names=["shop"])
    elbv2.delete_load_balancer(LoadBalancerArn=arn)
    elbv2.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn])
    with pytest.raises(ClientError) as caught:
        elbv2.describe_load_balancers(Names=["shop"])
    assert caught.value.response["Error"]["Code"] == "LoadBalancerNotFound"


def test_what_is_no_arn_of_its_kind_is_told_from_what_is_not_there(elbv2: Any) -> None:
    account = "arn:aws:elasticloadbalancing:us-east-1:000000000000"
    gone = {
        "LoadBalancer": f"{account}:loadbalancer/app/gone/0123456789abcdef",
        "TargetGroup": f"{account}:targetgroup/gone/0123456789abcdef",
        "Listener": f"{account}:listener/app/gone/0123456789abcdef/0123456789abcdef",
        "Rule": f"{account}:listener-rule/app/gone/0123456789abcdef/0123456789abcdef/01",
    }
    ask = {
        "LoadBalancer": lambda arn: elbv2.describe_load_balancers(LoadBalancerArns=[arn]),
        "TargetGroup": lambda arn: elbv2.describe_target_health(TargetGroupArn=arn),
        "Listener": lambda arn: elbv2.describe_listeners(ListenerArns=[arn]),
        "Rule": lambda arn: elbv2.delete_rule(RuleArn=arn),
    }
    for kind, arn in gone.items():
        with pytest.raises(ClientError, match=f"{kind}NotFound"):
            ask[kind](arn)
        for wrong in ("gone", arn.replace("elasticloadbalancing", "ecs"), arn.replace("/", ":")):
            with pytest.raises(ClientError, match=r"ValidationError.*is not a valid .* ARN"):
                ask[kind](wrong)


def test_same_name_with_other_settings_is_refused(elbv2: Any, balancer: str) -> None:
    name = balancer.split("/")[2]
    same = elbv2.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])
    assert same["LoadBalancers"][0]["LoadBalancerArn"] == balancer
    with pytest.raises(ClientError, match="DuplicateLoadBalancerName"):
        elbv2.create_load_balancer(Name=name, Subnets=["subnet-c"])


def test_target_group_in_use_is_not_deleted(elbv2: Any, balancer: str) -> None:
    arn = group(elbv2)
    listener = listen(elbv2, balancer, arn)
    with pytest.raises(ClientError, match="ResourceInUse"):
        elbv2.delete_target_group(TargetGroupArn=arn)
    found = elbv2.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"]
    assert [(g["TargetGroupArn"], g["LoadBalancerArns"]) for g in found] == [(arn, [balancer])]
    elbv2.delete_listener(ListenerArn=listener)
    elbv2.delete_target_group(TargetGroupArn=arn)


def test_attributes_are_read_back(elbv2: Any, balancer: str) -> None:
    arn = group(elbv2)
    found = elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    values = {a["Key"]: a["Value"] for a in found}
    assert values["deregistration_delay.timeout_seconds"] == "0"
    with pytest.raises(ClientError, match="InvalidConfigurationRequest"):
        elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=balancer, Attributes=[{"Key": "coffee", "Value": "1"}]
        )


def test_rules_have_priorities(elbv2: Any, balancer: str) -> None:
    arn = group(elbv2)
    listener = listen(elbv2, balancer, arn)
    actions = [{"Type": "forward", "TargetGroupArn": arn}]

    def make(priority: int, path: str) -> str:
        answer = elbv2.create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=actions,
        )
        return str(answer["Rules"][0]["RuleArn"])

    second, first = make(20, "/b/*"), make(10, "/a/*")
    with pytest.raises(ClientError, match="PriorityInUse"):
        make(10, "/c/*")
    rules = elbv2.describe_rules(ListenerArn=listener)["Rules"]
    assert [r["Priority"] for r in rules] == ["10", "20", "default"]
    assert rules[0]["Conditions"][0]["PathPatternConfig"]["Values"] == ["/a/*"]
    elbv2.set_rule_priorities(
        RulePriorities=[{"RuleArn": first, "Priority": 20}, {"RuleArn": second, "Priority": 10}]
    )
    rules = elbv2.describe_rules(ListenerArn=listener)["Rules"]
    assert [r["RuleArn"] for r in rules[:2]] == [second, first]
    elbv2.delete_rule(RuleArn=first)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        elbv2.delete_rule(RuleArn=rules[2]["RuleArn"])


def test_two_listeners_cannot_share_a_port(elbv2: Any, balancer: str) -> None:
    actions = [
        {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}},
    ]
    fields = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": next(_ports)}
    elbv2.create_listener(**fields, DefaultActions=actions)
    with pytest.raises(ClientError, match="DuplicateListener"):
        elbv2.create_listener(**fields, DefaultActions=actions)


def test_fixed_response_has_a_type_of_a_page(elbv2: Any, balancer: str) -> None:
    response = {"StatusCode": "200", "ContentType": "image/png", "MessageBody": "-"}
    with pytest.raises(ClientError, match=r"InvalidLoadBalancerAction.*one of:'text/html'"):
        elbv2.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=next(_ports),
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": response}],
        )


CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/1"
OTHER = "arn:aws:acm:us-east-1:000000000000:certificate/2"


def test_https_listener_has_a_certificate_and_a_policy(elbv2: Any, balancer: str) -> None:
    arn = group(elbv2)
    request = {
        "LoadBalancerArn": balancer,
        "Protocol": "HTTPS",
        "Port": next(_ports),
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": arn}],
    }
    with pytest.raises(ClientError, match="A certificate must be specified"):
        elbv2.create_listener(**request)
    made = elbv2.create_listener(**request, Certificates=[{"CertificateArn": CERTIFICATE}])
    listener = made["Listeners"][0]
    assert listener["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert listener["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    own = {"ListenerArn": listener["ListenerArn"]}
    elbv2.add_listener_certificates(**own, Certificates=[{"CertificateArn": OTHER}])
    found = elbv2.describe_listener_certificates(**own)["Certificates"]
    assert [(c["CertificateArn"], c["IsDefault"]) for c in found] == [
        (CERTIFICATE, True),
        (OTHER, False),
    ]
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        elbv2.remove_listener_certificates(**own, Certificates=[{"CertificateArn": CERTIFICATE}])
    elbv2.remove_listener_certificates(**own, Certificates=[{"CertificateArn": OTHER}])
    assert len(elbv2.describe_listener_certificates(**own)["Certificates"]) == 1
    plain = elbv2.modify_listener(**own, Protocol="HTTP")["Listeners"][0]
    assert "SslPolicy" not in plain
    assert not plain.get("Certificates")
    with pytest.raises(ClientError, match="only be specified for an HTTPS listener"):
        elbv2.modify_listener(**own, Certificates=[{"CertificateArn": OTHER}])


def test_ports_of_one_address_are_targets_of_their_own(elbv2: Any, balancer: str) -> None:
    arn = group(elbv2, TargetType="ip")
    listen(elbv2, balancer, arn)
    targets = [{"Id": "192.0.2.7", "Port": port} for port in (8001, 8002)]
    elbv2.register_targets(TargetGroupArn=arn, Targets=targets)

    def states(*wanted: dict[str, Any]) -> dict[int, str]:
        asked = {"Targets": list(wanted)} if wanted else {}
        answer = elbv2.describe_target_health(TargetGroupArn=arn, **asked)
        return {
            d["Target"]["Port"]: d["TargetHealth"]["State"]
            for d in answer["TargetHealthDescriptions"]
        }

    until(lambda: states() == {8001: "healthy", 8002: "healthy"})
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=targets[:1])
    until(lambda: states() == {8002: "healthy"})
    assert states(targets[0]) == {8001: "unused"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("source_ip", "Stickiness type 'source_ip' is not supported for target groups with the"),
        ("source_ip_dest_ip", r"must be one of \[app_cookie, lb_cookie, source_ip\]"),
    ],
)
def test_stickiness_is_by_cookie_alone(elbv2: Any, kind: str, said: str) -> None:
    wanted = [{"Key": "stickiness.type", "Value": kind}]
    with pytest.raises(ClientError, match=said) as refused:
        elbv2.modify_target_group_attributes(TargetGroupArn=group(elbv2), Attributes=wanted)
    assert refused.value.response["Error"]["Code"] == "InvalidConfigurationRequest"


def test_listeners_speak_http_alone(elbv2: Any, balancer: str) -> None:
    forward = [{"Type": "forward", "TargetGroupArn": group(elbv2)}]
    with pytest.raises(ClientError, match="'TCP' must be one of 'HTTP, HTTPS'"):
        elbv2.create_listener(
            LoadBalancerArn=balancer, Protocol="TCP", Port=next(_ports), DefaultActions=forward
        )


def test_tags_come_and_go(elbv2: Any, balancer: str) -> None:
    elbv2.add_tags(ResourceArns=[balancer], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    elbv2.remove_tags(ResourceArns=[balancer], TagKeys=["a"])
    found = elbv2.describe_tags(ResourceArns=[balancer])["TagDescriptions"]
    assert found == [{"ResourceArn": balancer, "Tags": [{"Key": "b", "Value": ""}]}]


def test_target_groups_are_listed_page_by_page(elbv2: Any) -> None:
    arns = {group(elbv2) for _ in range(5)}
    pages = elbv2.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 2})
    assert arns <= {g["TargetGroupArn"] for p in pages for g in p["TargetGroups"]}


def test_registered_target_becomes_healthy_and_a_deregistered_one_is_gone(
    elbv2: Any, balancer: str
) -> None:
    arn = group(elbv2, TargetType="ip")
    target = [{"Id": "127.0.0.1", "Port": 8001}]
    elbv2.register_targets(TargetGroupArn=arn, Targets=target)
    health = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert health[0]["TargetHealth"]["Reason"] == "Target.NotInUse"
    listen(elbv2, balancer, arn)
    elbv2.get_waiter("target_in_service").wait(
        TargetGroupArn=arn, Targets=target, WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=target)
    elbv2.get_waiter("target_deregistered").wait(
        TargetGroupArn=arn, Targets=target, WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    with pytest.raises(ClientError):
        elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": "not an address"}])


def test_service_registers_its_tasks_and_waits_for_their_health(
    ecs: Any, elbv2: Any, balancer: str, cluster: str, family: str
) -> None:
    arn = group(elbv2)
    listen(elbv2, balancer, arn)
    register(ecs, family, container(portMappings=[{"containerPort": 80}]))
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=2,
        loadBalancers=[{"targetGroupArn": arn, "containerName": "web", "containerPort": 80}],
    )
    service = wait_rollout(ecs, cluster, "web")
    told = rf"^\(service web\) registered (\d+) targets in \(target-group {arn}\)$"
    counts = [int(found[1]) for text in messages(service) if (found := re.match(told, text))]
    assert sum(counts) == 2  # in one event where both started within one turn of the engine
    health = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert [h["TargetHealth"]["State"] for h in health] == ["healthy", "healthy"]
    ecs.update_service(cluster=cluster, service="web", desiredCount=1)
    until(
        lambda: (
            len(elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]) == 1
        )
    )


def test_task_that_fails_its_target_checks_never_completes_the_deployment(
    ecs: Any, elbv2: Any, balancer: str, cluster: str, family: str
) -> None:
    arn = group(elbv2, UnhealthyThresholdCount=2)
    elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckIntervalSeconds=5)
    listen(elbv2, balancer, arn)
    labels = null(target="unhealthy")
    register(ecs, family, container(portMappings=[{"containerPort": 80}], dockerLabels=labels))
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        loadBalancers=[{"targetGroupArn": arn, "containerName": "web", "containerPort": 80}],
    )

    def complaint() -> bool:
        found = ecs.describe_services(cluster=cluster, services=["web"])["services"][0]
        assert found["deployments"][0]["rolloutState"] != "COMPLETED"
        return any(f"is unhealthy in (target-group {arn})" in m for m in messages(found))

    until(complaint)
    ecs.delete_service(cluster=cluster, service="web", force=True)


def test_target_group_without_a_load_balancer_is_refused_by_a_service(
    ecs: Any, elbv2: Any, cluster: str, family: str
) -> None:
    arn = group(elbv2)
    register(ecs, family, container(portMappings=[{"containerPort": 80}]))
    with pytest.raises(ClientError, match="does not have an associated load balancer"):
        ecs.create_service(
            cluster=cluster,
            serviceName="web",
            taskDefinition=family,
            loadBalancers=[{"targetGroupArn": arn, "containerName": "web", "containerPort": 80}],
        )
