"""The answers of AWS, typed: only the members that kaiun reads, named as AWS names them.

Members are optional here as they are in botocore's service models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

Request = Mapping[str, object]


class Tag(TypedDict):
    key: str
    value: str


class Cluster(TypedDict, total=False):
    clusterArn: str
    clusterName: str
    status: str


class Attribute(TypedDict, total=False):
    name: str
    value: str


class Instance(TypedDict, total=False):
    containerInstanceArn: str
    attributes: list[Attribute]


class Event(TypedDict, total=False):
    id: str
    createdAt: datetime
    message: str


class Deployment(TypedDict, total=False):
    id: str
    status: str
    taskDefinition: str
    desiredCount: int
    pendingCount: int
    runningCount: int
    failedTasks: int
    createdAt: datetime
    updatedAt: datetime
    rolloutState: str
    rolloutStateReason: str
    serviceConnectConfiguration: Mapping[str, object]
    volumeConfigurations: list[Mapping[str, object]]


class ServiceLoadBalancer(TypedDict, total=False):
    targetGroupArn: str
    containerName: str
    containerPort: int


class Service(TypedDict, total=False):
    serviceArn: str
    serviceName: str
    clusterArn: str
    status: str
    desiredCount: int
    runningCount: int
    pendingCount: int
    launchType: str
    capacityProviderStrategy: list[Mapping[str, object]]
    platformVersion: str
    taskDefinition: str
    deploymentConfiguration: Mapping[str, object]
    deployments: list[Deployment]
    currentServiceDeployment: str
    events: list[Event]
    createdAt: datetime
    loadBalancers: list[ServiceLoadBalancer]
    serviceRegistries: list[Mapping[str, object]]
    placementConstraints: list[Mapping[str, object]]
    placementStrategy: list[Mapping[str, object]]
    networkConfiguration: Mapping[str, object]
    healthCheckGracePeriodSeconds: int
    schedulingStrategy: str
    deploymentController: Mapping[str, str]
    enableECSManagedTags: bool
    propagateTags: str
    enableExecuteCommand: bool
    availabilityZoneRebalancing: str
    tags: list[Tag]


class NetworkBinding(TypedDict, total=False):
    bindIP: str
    containerPort: int
    hostPort: int
    protocol: str


class ManagedAgent(TypedDict, total=False):
    name: str
    lastStatus: str


class TaskContainer(TypedDict, total=False):
    containerArn: str
    name: str
    image: str
    imageDigest: str
    runtimeId: str
    lastStatus: str
    exitCode: int
    reason: str
    healthStatus: str
    networkBindings: list[NetworkBinding]
    managedAgents: list[ManagedAgent]


class Task(TypedDict, total=False):
    taskArn: str
    clusterArn: str
    taskDefinitionArn: str
    enableExecuteCommand: bool
    group: str
    startedBy: str
    desiredStatus: str
    lastStatus: str
    healthStatus: str
    stopCode: str
    stoppedReason: str
    createdAt: datetime
    startedAt: datetime
    stoppingAt: datetime
    stoppedAt: datetime
    containers: list[TaskContainer]


class Failure(TypedDict, total=False):
    arn: str
    reason: str
    detail: str


class TaskDefinition(TypedDict, total=False):
    taskDefinitionArn: str
    family: str
    revision: int
    status: str
    networkMode: str
    containerDefinitions: list[Mapping[str, object]]
    volumes: list[Mapping[str, object]]
    placementConstraints: list[Mapping[str, object]]
    requiresCompatibilities: list[str]
    cpu: str
    memory: str
    taskRoleArn: str
    executionRoleArn: str
    registeredBy: str


class LifecycleHook(TypedDict, total=False):
    hookId: str
    targetType: str
    status: str
    expiresAt: datetime


class ServiceRevisionSummary(TypedDict, total=False):
    arn: str
    requestedProductionTrafficWeight: float


class ServiceDeployment(TypedDict, total=False):
    serviceDeploymentArn: str
    serviceArn: str
    status: str
    statusReason: str
    createdAt: datetime
    finishedAt: datetime
    targetServiceRevisionArn: str
    targetServiceRevision: ServiceRevisionSummary
    lifecycleStage: str
    lifecycleHookDetails: list[LifecycleHook]


class ServiceRevision(TypedDict, total=False):
    serviceRevisionArn: str
    serviceArn: str
    taskDefinition: str


class TargetGroup(TypedDict, total=False):
    TargetGroupArn: str
    TargetGroupName: str
    Protocol: str
    Port: int
    VpcId: str
    TargetType: str
    HealthCheckProtocol: str
    HealthCheckPort: str
    HealthCheckEnabled: bool
    HealthCheckIntervalSeconds: int
    HealthCheckTimeoutSeconds: int
    HealthyThresholdCount: int
    UnhealthyThresholdCount: int
    HealthCheckPath: str
    Matcher: Mapping[str, str]
    LoadBalancerArns: list[str]


class LoadBalancer(TypedDict, total=False):
    LoadBalancerArn: str
    LoadBalancerName: str
    DNSName: str
    Scheme: str
    VpcId: str


class Action(TypedDict, total=False):
    Type: str
    TargetGroupArn: str
    ForwardConfig: Mapping[str, list[Mapping[str, object]]]


class Listener(TypedDict, total=False):
    ListenerArn: str
    LoadBalancerArn: str
    Port: int
    Protocol: str
    DefaultActions: list[Action]


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """State: initial, healthy, unhealthy, unused, draining, unavailable."""

    id: str
    port: int
    state: str
    reason: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class LogEvent:
    timestamp_ms: int
    message: str
    stream: str = ""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events, oldest first, and the token that reads on from here ("" when there is none)."""

    events: tuple[LogEvent, ...]
    token: str


@dataclass(frozen=True, slots=True)
class Started:
    """What RunTask answers."""

    tasks: tuple[Task, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the state bucket; `etag` is for a later conditional write."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells it; `etag` without quotes."""

    key: str
    size: int  # bytes
    etag: str
    modified: float  # seconds since the epoch, by S3's clock


@dataclass(frozen=True, slots=True)
class Described:
    """An object without its content. `sha256` in hexadecimal digits, "" where S3 has none."""

    size: int  # bytes
    etag: str  # without quotes
    sha256: str = ""
