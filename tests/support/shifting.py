"""A load balancer with two target groups and two listeners, and a service that shifts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.engine import until


@dataclass(frozen=True)
class Road:
    """ARNs of what a blue/green deployment needs."""

    balancer: str
    blue: str
    green: str
    production: str  # rule
    test: str  # rule

    def load_balancers(self, port: int = 80, container: str = "web") -> list[dict[str, Any]]:
        return [
            {
                "targetGroupArn": self.blue,
                "containerName": container,
                "containerPort": port,
                "advancedConfiguration": {
                    "alternateTargetGroupArn": self.green,
                    "productionListenerRule": self.production,
                    "testListenerRule": self.test,
                    "roleArn": "arn:aws:iam::000000000000:role/ecs",
                },
            }
        ]


def build_road(elbv2: Any, name: str, ports: tuple[int, int], **group: Any) -> Road:
    """Make it; `ports` are those of production and test traffic."""
    made = elbv2.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])
    balancer = str(made["LoadBalancers"][0]["LoadBalancerArn"])
    blue, green = (target_group(elbv2, f"{name}-{side}", **group) for side in ("blue", "green"))
    rules = [_default_rule(elbv2, balancer, port, blue) for port in ports]
    return Road(balancer, blue, green, rules[0], rules[1])


def target_group(elbv2: Any, name: str, **fields: Any) -> str:
    """Make a target group that checks often and drains at once; return its ARN."""
    answer = elbv2.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=80,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        **fields,
    )
    arn = str(answer["TargetGroups"][0]["TargetGroupArn"])
    elbv2.modify_target_group_attributes(
        TargetGroupArn=arn,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )
    return arn


def _default_rule(elbv2: Any, balancer: str, port: int, group: str) -> str:
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    rules = elbv2.describe_rules(ListenerArn=listener)["Rules"]
    return str(next(rule["RuleArn"] for rule in rules if rule["IsDefault"]))


def weights(elbv2: Any, rule: str) -> dict[str, int]:
    """Return a rule's weights by target group."""
    found = elbv2.describe_rules(RuleArns=[rule])["Rules"][0]
    groups = found["Actions"][-1]["ForwardConfig"]["TargetGroups"]
    return {group["TargetGroupArn"]: group["Weight"] for group in groups}


def deployment_of(ecs: Any, arn: str) -> dict[str, Any]:
    answer = ecs.describe_service_deployments(serviceDeploymentArns=[arn])
    found: dict[str, Any] = answer["serviceDeployments"][0]
    return found


def wait_for(ecs: Any, arn: str, **members: str) -> dict[str, Any]:
    """Return a service deployment once its members are these."""

    def there() -> dict[str, Any] | None:
        found = deployment_of(ecs, arn)
        return found if all(found.get(n) == value for n, value in members.items()) else None

    found = until(there)
    assert found is not None
    return found


def wait_paused(ecs: Any, arn: str, after: str = "") -> dict[str, Any]:
    """Return the hook that a deployment waits at, once it is another than `after`."""

    def waiting() -> dict[str, Any] | None:
        hooks = deployment_of(ecs, arn).get("lifecycleHookDetails", [])
        open_ = [h for h in hooks if h["status"] == "AWAITING_ACTION" and h["hookId"] != after]
        return open_[0] if open_ else None

    found = until(waiting)
    assert found is not None
    return found
