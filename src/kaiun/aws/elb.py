"""Elastic Load Balancing v2: target groups, load balancers, listeners, target health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from kaiun.aws.caller import Answer, Caller, each, parallel
from kaiun.aws.types import Listener, LoadBalancer, Request, TargetGroup, TargetHealth
from kaiun.errors import AwsError

SERVICE = "elbv2"


class Elb:
    """Every method raises AwsError."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def target_groups(self, references: Sequence[str]) -> dict[str, TargetGroup]:
        """Return target groups by the name or ARN asked for; absent ones are left out.

        One call for the names and one for the ARNs; when one of several is missing, AWS
        refuses the whole call and each is asked for by itself.
        """
        arns = [item for item in references if item.startswith("arn:")]
        names = [item for item in references if not item.startswith("arn:")]
        by_arn, by_name = parallel(
            (
                lambda: self._target_groups("TargetGroupArns", arns),
                lambda: self._target_groups("Names", names),
            )
        )
        found = {group["TargetGroupArn"]: group for group in by_arn}
        return found | {group["TargetGroupName"]: group for group in by_name}

    def _target_groups(self, key: str, items: Sequence[str]) -> list[TargetGroup]:
        if not items:
            return []
        try:
            answer = self._call("describe_target_groups", {key: list(items)}, ", ".join(items))
        except AwsError as error:
            if error.code not in {"TargetGroupNotFound", "TargetGroupNotFoundException"}:
                raise
            if len(items) == 1:
                return []
            alone = each(lambda item: self._target_groups(key, [item]), items)
            return [group for groups in alone for group in groups]
        return cast("list[TargetGroup]", answer["TargetGroups"])

    def target_group_attributes(self, arn: str) -> dict[str, str]:
        params = {"TargetGroupArn": arn}
        answer = self._call("describe_target_group_attributes", params, arn)
        pairs = cast("list[dict[str, str]]", answer["Attributes"])
        return {pair["Key"]: pair["Value"] for pair in pairs}

    def create_target_group(self, request: Request, attributes: Mapping[str, str]) -> TargetGroup:
        answer = self._call("create_target_group", request, str(request.get("Name", "")))
        group = cast("list[TargetGroup]", answer["TargetGroups"])[0]
        self.modify_target_group_attributes(group["TargetGroupArn"], attributes)
        return group

    def modify_target_group(self, request: Request) -> None:
        self._call("modify_target_group", request, str(request.get("TargetGroupArn", "")))

    def modify_target_group_attributes(self, arn: str, attributes: Mapping[str, str]) -> None:
        """Set attributes; without any, do nothing."""
        if attributes:
            pairs = [{"Key": key, "Value": value} for key, value in attributes.items()]
            params = {"TargetGroupArn": arn, "Attributes": pairs}
            self._call("modify_target_group_attributes", params, arn)

    def load_balancer(self, name: str) -> LoadBalancer | None:
        """Return the load balancer with this name, None when there is none."""
        try:
            answer = self._call("describe_load_balancers", {"Names": [name]}, name)
        except AwsError as error:
            if error.code in {"LoadBalancerNotFound", "LoadBalancerNotFoundException"}:
                return None
            raise
        return next(iter(cast("list[LoadBalancer]", answer["LoadBalancers"])), None)

    def load_balancers(self) -> list[LoadBalancer]:
        """Return all load balancers of the account and region."""
        pages = self._caller.pages(SERVICE, "describe_load_balancers", {})
        return [one for page in pages for one in cast("list[LoadBalancer]", page["LoadBalancers"])]

    def create_load_balancer(self, request: Request) -> LoadBalancer:
        answer = self._call("create_load_balancer", request, str(request.get("Name", "")))
        return cast("list[LoadBalancer]", answer["LoadBalancers"])[0]

    def listeners(self, load_balancer_arn: str) -> dict[int, Listener]:
        """Return the listeners of a load balancer by port."""
        params = {"LoadBalancerArn": load_balancer_arn}
        pages = self._caller.pages(SERVICE, "describe_listeners", params, where=load_balancer_arn)
        found = [one for page in pages for one in cast("list[Listener]", page["Listeners"])]
        return {listener["Port"]: listener for listener in found}

    def create_listener(self, request: Request) -> Listener:
        answer = self._call("create_listener", request, f"port {request.get('Port', '')}")
        return cast("list[Listener]", answer["Listeners"])[0]

    def target_health(self, target_group_arn: str) -> list[TargetHealth]:
        """Return the health of every target of a group."""
        params = {"TargetGroupArn": target_group_arn}
        answer = self._call("describe_target_health", params, target_group_arn)
        return [_health(item) for item in cast("list[Answer]", answer["TargetHealthDescriptions"])]

    def _call(self, operation: str, params: Request, where: str) -> Answer:
        return self._caller.call(SERVICE, operation, params, where=where)


def _health(item: Answer) -> TargetHealth:
    target = cast("dict[str, object]", item["Target"])
    health = cast("dict[str, str]", item.get("TargetHealth", {}))
    return TargetHealth(
        id=str(target["Id"]),
        port=int(str(target.get("Port", 0))),
        state=health.get("State", ""),
        reason=health.get("Reason", ""),
        description=health.get("Description", ""),
    )
