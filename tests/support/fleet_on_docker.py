"""Two services with real containers, and everything that has to be true of them between rollouts.

`web` is a bridge service behind HAProxy, `api` an awsvpc one with a container health check and
targets of its own addresses.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaiun.engine.balancer.haproxy import log_socket
from kaiun.engine.balancer.haproxy_cli import Cli
from kaiun.engine.child import free_port
from support.containers import docker
from support.engine import Engine, container, describe, register
from support.mayhem import Box, boxes, children, door, process_id
from support.processes import named

Hit = set[tuple[str, str]]  # task, container

CLUSTER = "c"
PORT = 8080
COUNTS = {"web": 3, "api": 2}
STOPPED_BY_SIGTERM, KILLED = 7, 137
PAUSE = "~internal~ecs~pause"
CHECK_EVERY_S = 5
MOST_CLOSED = max(COUNTS.values())
# ends with its own code on SIGTERM, once it has got as far as the trap
SCRIPT = (
    f"trap 'exit {STOPPED_BY_SIGTERM}' TERM; echo {{version}} > /www/index.html;"
    f" httpd -f -p {PORT} -h /www & wait"
)
HEALTH = {
    "command": ["CMD-SHELL", f"wget -q -O /dev/null http://127.0.0.1:{PORT}/"],
    "interval": CHECK_EVERY_S,
    "timeout": 3,
    "retries": 3,
}


@dataclass
class Footprint:
    """What an engine's process holds."""

    descriptors: int
    memory_kib: int


@dataclass
class Fleet:
    """The services, and the version that each should have."""

    engine: Engine
    engine_id: str
    image: str
    ports: dict[str, int] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.engine.client(service)

    def build(self) -> None:
        self.client("ecs").create_cluster(clusterName=CLUSTER)
        balancer = self.client("elbv2").create_load_balancer(Name="soak", Subnets=["subnet-a"])
        arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        for name in COUNTS:
            self._road(name, arn)
            self.define(name, "0")
            self._create(name)

    def _road(self, name: str, balancer: str) -> None:
        elbv2 = self.client("elbv2")
        group = elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=PORT,
            TargetType="ip" if name == "api" else "instance",
            HealthCheckIntervalSeconds=CHECK_EVERY_S,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        elbv2.modify_target_group_attributes(
            TargetGroupArn=group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}],
        )
        self.groups[name], self.ports[name] = group, free_port()
        elbv2.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=self.ports[name],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )

    def define(self, name: str, version: str) -> None:
        """Register a task definition whose containers answer with this version."""
        fields: dict[str, Any] = {
            "image": self.image,
            "command": ["sh", "-c", SCRIPT.format(version=version)],
            "stopTimeout": 2,
            "portMappings": [{"containerPort": PORT}],
            "mountPoints": [{"sourceVolume": "kept", "containerPath": "/kept"}],
        }
        shared = {"scope": "shared", "autoprovision": True}
        volume = {"name": "kept", "dockerVolumeConfiguration": shared}
        extra: dict[str, Any] = {"volumes": [volume]}
        if name == "api":
            fields["healthCheck"] = HEALTH
            extra["networkMode"] = "awsvpc"
        arn = register(self.client("ecs"), name, container(**fields), **extra)
        self.definitions[name], self.versions[name] = arn, version

    def _create(self, name: str) -> None:
        network = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
        self.client("ecs").create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=self.definitions[name],
            desiredCount=COUNTS[name],
            loadBalancers=[
                {
                    "targetGroupArn": self.groups[name],
                    "containerName": "web",
                    "containerPort": PORT,
                }
            ],
            **({"networkConfiguration": network} if name == "api" else {}),
        )

    def update(self, name: str) -> None:
        self.client("ecs").update_service(
            cluster=CLUSTER, service=name, taskDefinition=self.definitions[name]
        )

    # -- what is seen

    def tasks(self, *, status: str = "RUNNING") -> list[dict[str, Any]]:
        ecs = self.client("ecs")
        arns = [
            arn
            for page in ecs.get_paginator("list_tasks").paginate(
                cluster=CLUSTER, desiredStatus=status
            )
            for arn in page["taskArns"]
        ]
        parts = [arns[i : i + 100] for i in range(0, len(arns), 100)]
        answers = [ecs.describe_tasks(cluster=CLUSTER, tasks=part) for part in parts]
        return [task for answer in answers for task in answer["tasks"]]

    def excess(self) -> str:
        """Return what there is too much of, at any moment: nothing, but for a mistake."""
        seen = boxes(self.engine_id)
        doubles = [k for k, n in Counter((b.task, b.container) for b in seen).items() if n > 1]
        if doubles:
            return f"containers twice: {doubles}"
        groups = Counter(task["group"] for task in self.tasks())
        most = {f"service:{name}": 2 * count for name, count in COUNTS.items()}
        over = {name: n for name, n in groups.items() if n > most[name]}
        return f"too many tasks: {over}" if over else ""

    def disorder(self) -> str:
        """Return the first thing that is not as it should be once all has come to rest."""
        tasks = self.tasks()
        seen = boxes(self.engine_id)
        checks = (
            self._services(),
            self._definitions(tasks),
            _containers(tasks, seen),
            self._targets(seen),
            self._servers(),
            self._answers(),
            self._rest(),
            self._processes(),
        )
        return next((said for said in checks if said), "")

    def _services(self) -> str:
        for name, count in COUNTS.items():
            service = describe(self.client("ecs"), CLUSTER, name)
            states = [d["rolloutState"] for d in service["deployments"]]
            numbers = (service["desiredCount"], service["runningCount"], service["pendingCount"])
            if states != ["COMPLETED"] or numbers != (count, count, 0):
                return f"service {name}: {states}, desired, running, pending: {numbers}"
            if service["taskDefinition"] != self.definitions[name]:
                return f"service {name} is at {service['taskDefinition']}"
        return ""

    def _definitions(self, tasks: list[dict[str, Any]]) -> str:
        wanted = Counter({self.definitions[name]: count for name, count in COUNTS.items()})
        there = Counter(task["taskDefinitionArn"] for task in tasks)
        running = {task["lastStatus"] for task in tasks}
        if there != wanted or running != {"RUNNING"}:
            return f"tasks: {dict(there)}, {running}"
        leaving = [t for t in self.tasks(status="STOPPED") if t["lastStatus"] != "STOPPED"]
        return f"tasks that have not stopped: {leaving}" if leaving else ""

    def _targets(self, seen: list[Box]) -> str:
        pauses = {box.task: box.address for box in seen if box.container == PAUSE}
        wanted = {
            "web": sorted(str(port) for box in seen for port in box.ports),
            "api": sorted(pauses.values()),
        }
        for name, group in self.groups.items():
            health = self.client("elbv2").describe_target_health(TargetGroupArn=group)
            found = health["TargetHealthDescriptions"]
            states = {target["TargetHealth"]["State"] for target in found}
            places = sorted(str(t["Target"]["Port" if name == "web" else "Id"]) for t in found)
            if states != {"healthy"} or places != wanted[name]:
                return f"targets of {name}: {states}, {places} instead of {wanted[name]}"
        return ""

    def _servers(self) -> str:
        """HAProxy's own account: as many servers as targets, and no worker but the one. One that
        a request still hung on when it was taken out is deleted at the next change."""
        cli = Cli(str(log_socket(self.engine.home).with_name("haproxy-master.sock")))

        async def ask() -> tuple[dict[str, dict[str, bool]], int]:
            processes = await cli.processes()
            assert processes.current is not None
            return await cli.servers(processes.current), len(processes.leaving)

        try:
            backends, leaving = asyncio.run(ask())
        except (OSError, TimeoutError, AssertionError) as problem:
            return f"HAProxy does not answer: {problem!r}"
        ready = sorted(sum(servers.values()) for servers in backends.values())
        closed = sum(not is_open for servers in backends.values() for is_open in servers.values())
        if ready != sorted(COUNTS.values()) or closed > MOST_CLOSED or leaving:
            return f"HAProxy's servers: {backends}, workers that leave: {leaving}"
        return ""

    def _answers(self) -> str:
        for name, port in self.ports.items():
            for _ in range(2 * COUNTS[name]):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                        said = answer.read().decode().strip()
                except OSError as problem:
                    return f"{name} does not answer: {problem}"
                if said != self.versions[name]:
                    return f"{name} answers {said} instead of {self.versions[name]}"
        return ""

    def _rest(self) -> str:
        mark = f"kaiun-{self.engine_id[:8]}"
        networks = docker("network", "ls", "--format={{.Name}}", f"--filter=name={mark}").split()
        volumes = docker("volume", "ls", "--quiet", f"--filter=name={mark}").split()
        if networks != [mark] or volumes != [f"{mark}-kept"]:
            return f"networks {networks}, volumes {volumes}"
        ours = f"--filter=label=kaiun.engine={self.engine_id}"
        states = docker("ps", "--all", "--format={{.Names}} {{.State}}", ours).splitlines()
        others = [state for state in states if not state.startswith("ecs-")]
        if others != [f"{door(self.engine_id)} running"]:
            return f"containers that are no task's: {others}"
        return ""

    def _processes(self) -> str:
        """One engine, one registry, one HAProxy with its worker; nothing else of this home."""
        haproxy = process_id(self.engine, "haproxy")
        wanted = {self.engine.process.pid, process_id(self.engine, "registry"), haproxy}
        wanted |= set(children(haproxy))
        found = {pid for pid, _ in named(str(self.engine.home))}
        return f"processes {found} instead of {wanted}" if found != wanted else ""

    def wrong_endings(self, killed: Hit, removed: Hit) -> list[str]:
        """Return what stopped tasks say of their end and is not true."""
        wrong = []
        for task in self.tasks(status="STOPPED"):
            task_id = task["taskArn"].rpartition("/")[2]
            if (task_id, "web") in removed or (task_id, PAUSE) in removed | killed:
                continue
            code = task["containers"][0].get("exitCode")
            hit = (task_id, "web") in killed
            # one that was told to stop before it had set its trap is killed after stopTimeout
            if "startedAt" in task and code not in (STOPPED_BY_SIGTERM, KILLED):
                wrong.append(f"{task_id} exited with {code}, {task['stoppedReason']}")
            if hit and code != KILLED and task["stopCode"] == "EssentialContainerExited":
                wrong.append(f"{task_id} was killed and says {code}")
        return wrong

    def footprint(self) -> Footprint:
        """Return what the engine's process holds now."""
        root = Path(f"/proc/{self.engine.process.pid}")
        status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines())
        return Footprint(len(list((root / "fd").iterdir())), int(status["VmRSS"].split()[0]))


def _containers(tasks: list[dict[str, Any]], seen: list[Box]) -> str:
    """Every container of a task that runs, and its namespace's holder; nothing else."""
    wanted = set()
    for task in tasks:
        task_id = task["taskArn"].rpartition("/")[2]
        wanted |= {(task_id, c["name"]) for c in task["containers"]}
        if task["attachments"]:
            wanted.add((task_id, PAUSE))
    found = {(box.task, box.container) for box in seen}
    if found != wanted:
        return f"orphans {found - wanted}, missing {wanted - found}"
    stopped = [box for box in seen if box.state != "running"]
    return f"not running: {stopped}" if stopped else ""
