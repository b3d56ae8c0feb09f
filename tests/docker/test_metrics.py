"""CloudWatch metrics of real containers and of HAProxy, against what they really do."""

from __future__ import annotations

import itertools
import math
import os
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.awscli import aws
from support.containers import docker
from support.engine import Engine, container, describe, register, until, wait_rollout

from kaiun.engine.child import free_port

pytestmark = pytest.mark.docker

RESERVED = 512  # CPU units
LONGEST_S = 130.0  # until a whole minute of the engine is told
BUSY = ["sh", "-c", "while :; do :; done"]
WEB = ["sh", "-c", "echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]


def points(engine: Engine, space: str, name: str, stat: str, **dimensions: str) -> list[Any]:
    """Return what the aws command line finds, oldest first."""
    now = datetime.now(UTC)
    found = aws(
        engine, "cloudwatch", "get-metric-statistics", "--namespace", space, "--metric-name", name,
        "--start-time", (now - timedelta(minutes=15)).isoformat(), "--end-time", now.isoformat(),
        "--period", "60", "--statistics", stat, "--dimensions",
        *(f"Name={key},Value={value}" for key, value in dimensions.items()),
    )  # fmt: skip
    return [point[stat] for point in sorted(found["Datapoints"], key=lambda p: p["Timestamp"])]


def cpu_s(container_id: str) -> float:
    """Return the CPU time of a container's first process, as the kernel tells it of processes."""
    pid = docker("inspect", "-f", "{{.State.Pid}}", container_id)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_busy_loop_is_seen_as_what_it_uses_and_scales_its_service(
    machine: Engine, image: str
) -> None:
    ecs = machine.client("ecs")
    ecs.create_cluster(clusterName="c")
    register(ecs, "busy", container(image=image, command=BUSY, cpu=RESERVED, stopTimeout=2))
    ecs.create_service(cluster="c", serviceName="busy", taskDefinition="busy", desiredCount=1)
    wait_rollout(ecs, "c", "busy")
    arn = ecs.list_tasks(cluster="c")["taskArns"][0]
    task = ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
    started, runtime_id = task["startedAt"].timestamp(), task["containers"][0]["runtimeId"]
    if 60 - time.time() % 60 < 10:  # too short a time to measure
        until(lambda: time.time() % 60 < 10, 20)
    ends = math.ceil(time.time() / 60) * 60
    until(lambda: time.time() >= ends, 70)
    expected = cpu_s(runtime_id) / (time.time() - started) * 1024 / RESERVED * 100
    own = {"ClusterName": "c", "ServiceName": "busy"}
    until(lambda: points(machine, "AWS/ECS", "CPUUtilization", "Average", **own), 20)
    measured = points(machine, "AWS/ECS", "CPUUtilization", "Average", **own)
    assert measured[-1] == pytest.approx(expected, rel=0.15)
    counted = points(machine, "AWS/ECS", "CPUUtilization", "SampleCount", **own)
    assert set(counted) == {1}
    memory = points(machine, "AWS/ECS", "MemoryUtilization", "Maximum", **own)[-1]
    assert 0 < memory < 20  # a shell, of 64 MiB
    scale_out_above(machine, 5.0)
    until(lambda: describe(ecs, "c", "busy")["runningCount"] == 2, LONGEST_S)
    [activity] = aws(
        machine, "application-autoscaling", "describe-scaling-activities",
        "--service-namespace", "ecs",
    )["ScalingActivities"]  # fmt: skip
    assert activity["Cause"] == "monitor alarm busy in state ALARM triggered policy out"


def scale_out_above(engine: Engine, percent: float) -> None:
    """Have one more task run when the service's CPU is above so much for a minute."""
    scaling, own = engine.client("application-autoscaling"), {
        "ServiceNamespace": "ecs", "ResourceId": "service/c/busy",
        "ScalableDimension": "ecs:service:DesiredCount",
    }  # fmt: skip
    scaling.register_scalable_target(**own, MinCapacity=1, MaxCapacity=2)
    policy = scaling.put_scaling_policy(
        **own, PolicyName="out", PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]},
    )["PolicyARN"]  # fmt: skip
    names = {"ClusterName": "c", "ServiceName": "busy"}
    engine.client("cloudwatch").put_metric_alarm(
        AlarmName="busy", Namespace="AWS/ECS", MetricName="CPUUtilization", Statistic="Average",
        Dimensions=[{"Name": n, "Value": v} for n, v in names.items()], Period=60,
        EvaluationPeriods=1, Threshold=percent, ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[policy],
    )  # fmt: skip


def test_requests_are_counted_exactly_through_reloads_and_changes(
    machine: Engine, image: str
) -> None:
    ecs, elbv2 = machine.client("ecs"), machine.client("elbv2")
    ecs.create_cluster(clusterName="c")
    mapping = {"containerPort": 8080, "hostPort": 0}
    register(ecs, "web", container(image=image, command=WEB, portMappings=[mapping], stopTimeout=2))
    group = elbv2.create_target_group(
        Name="web", Protocol="HTTP", Port=80, HealthCheckIntervalSeconds=6
    )["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_target_group_attributes(
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )
    balancer = elbv2.create_load_balancer(Name="web", Subnets=["subnet-1"])["LoadBalancers"][0]
    listener = {
        "LoadBalancerArn": balancer["LoadBalancerArn"], "Protocol": "HTTP",
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
    }  # fmt: skip
    port = free_port()
    elbv2.create_listener(Port=port, **listener)
    ecs.create_service(
        cluster="c", serviceName="web", taskDefinition="web", desiredCount=2,
        loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}],
    )  # fmt: skip
    wait_rollout(ecs, "c", "web")
    sent, missed = send(port, 100), send(port, 7, "/nothing-here", status=404)
    elbv2.create_listener(Port=free_port(), **listener)  # a reload
    sent += send(port, 50)
    ecs.update_service(cluster="c", service="web", forceNewDeployment=True)
    wait_rollout(ecs, "c", "web")
    sent += send(port, 50)
    short = group.rpartition(":")[2]
    whole = {"LoadBalancer": balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]}
    both = {**whole, "TargetGroup": short}

    def count(name: str, **dimensions: str) -> float:
        found = points(machine, "AWS/ApplicationELB", name, "Sum", **dimensions)
        return float(sum(found))

    until(lambda: count("RequestCount", **both) >= sent + missed, LONGEST_S)
    assert count("RequestCount", **both) == sent + missed == 207
    assert count("RequestCount", **whole) == 207
    assert count("HTTPCode_Target_2XX_Count", **both) == sent
    assert count("HTTPCode_Target_4XX_Count", **whole) == missed
    assert points(machine, "AWS/ApplicationELB", "HealthyHostCount", "Maximum", **both)[-1] == 2
    each = points(machine, "AWS/ApplicationELB", "RequestCountPerTarget", "Sum", TargetGroup=short)
    assert sum(each) >= 207 / 4  # never more than four targets were healthy


def send(port: int, count: int, path: str = "/", *, status: int = 200) -> int:
    """Send requests, each over a connection of its own; return how many were answered."""
    opener = urllib.request.build_opener(NoError())
    for _ in itertools.repeat(None, count):
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            answer.read()
            assert answer.status == status
    return count


class NoError(urllib.request.HTTPErrorProcessor):
    """Takes any status for an answer."""

    def http_response(self, request: Any, response: Any) -> Any:
        del request
        return response
