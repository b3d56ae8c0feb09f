"""Random calls against an engine and a simple model of what ECS promises, for hypothesis.

The model knows what was asked for: which services with how many tasks of which definition, which
one-off tasks and how they end, which instances; all services are in one registry of Cloud Map. Each
call is checked by what the model expects, errors too; `settle` waits until the engine has made
everything true and compares.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from botocore.exceptions import ClientError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.engine import Engine, container, null, until
from support.fleet_truth import External, Seen, Service, differences, wait_true

_numbers = itertools.count(1)
BEHAVIOURS: dict[str, dict[str, object]] = {
    "steady": {},
    "slow": {"start_ms": 2000, "stop_ms": 1000},  # of the engine's clock
    "checked": {"health_ms": 1000},
    "exits 0": {"exit": 0},
    "exits 7": {"exit": 7, "run_ms": 500},
    "crashes": {"oom": 1, "run_ms": 0},
}
ENDS = {"exits 0": 0, "exits 7": 7, "crashes": 137}
SERVING = ("steady", "slow", "checked")
SERVICES = st.sampled_from([f"s{number}" for number in range(4)])
PICK = st.integers(0, 1000)
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@contextmanager
def refused(*codes: str) -> Iterator[None]:
    """Expect one of these error codes."""
    try:
        yield
    except ClientError as error:
        assert error.response["Error"]["Code"] in codes, error
    else:
        raise AssertionError(f"not refused with {codes}")


class Fleet(RuleBasedStateMachine):
    """One cluster of a shared engine; subclass it with `engine` set."""

    engine: ClassVar[Engine]
    steps: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        self.cluster = f"model-{next(_numbers)}"
        self.registry = self._make_registry()
        self._connect()
        self.definitions: dict[str, str] = {}  # ARN → behaviour, those that are ACTIVE
        self.retired: list[str] = []
        self.services: dict[str, Service] = {}
        self.external: External | None = None
        self.tasks: dict[str, int | None] = {}  # one-off: exit code that it ends with
        self.protected: set[str] = set()
        self.instances: dict[str, str] = {}  # declared ones → ACTIVE | DRAINING
        self.killed = False
        self.ecs.create_cluster(clusterName=self.cluster)
        for behaviour in ("steady", "exits 7"):
            self.register(behaviour)

    def _make_registry(self) -> str:
        """Return the ARN of a registry of this cluster alone."""
        cloud_map = self.engine.client("servicediscovery")
        started = cloud_map.create_http_namespace(Name=self.cluster)["OperationId"]
        done = cloud_map.get_operation(OperationId=started)["Operation"]
        made = cloud_map.create_service(
            Name="all", NamespaceId=done["Targets"]["NAMESPACE"], HealthCheckCustomConfig={}
        )
        cloud_map.close()
        return str(made["Service"]["Arn"])

    def _definition(self, pick: int, behaviours: tuple[str, ...] = SERVING) -> str:
        fitting = [arn for arn, own in self.definitions.items() if own in behaviours]
        return fitting[pick % len(fitting)]

    @rule(behaviour=st.sampled_from(sorted(BEHAVIOURS)))
    def register(self, behaviour: str) -> None:
        own = container(dockerLabels=null(**BEHAVIOURS[behaviour]))
        if behaviour == "checked":
            own["healthCheck"] = {"command": ["CMD", "true"]}
        answer = self.ecs.register_task_definition(
            family=f"{self.cluster}-{behaviour.replace(' ', '-')}", containerDefinitions=[own]
        )
        self.definitions[answer["taskDefinition"]["taskDefinitionArn"]] = behaviour

    @precondition(lambda self: sum(b == "steady" for b in self.definitions.values()) > 1)
    @rule(pick=PICK)
    def retire(self, pick: int) -> None:
        arn = self._definition(pick, ("steady",))
        self.ecs.deregister_task_definition(taskDefinition=arn)
        del self.definitions[arn]
        self.retired.append(arn)

    @precondition(lambda self: self.retired)
    @rule(pick=PICK)
    def use_retired(self, pick: int) -> None:
        arn = self.retired[pick % len(self.retired)]
        with refused("ClientException"):
            self.ecs.run_task(cluster=self.cluster, taskDefinition=arn)

    @rule(name=SERVICES, desired=st.integers(0, 5), pick=PICK, daemon=st.booleans())
    def create(self, name: str, desired: int, pick: int, daemon: bool) -> None:
        definition = self._definition(pick)
        kind = {"schedulingStrategy": "DAEMON"} if daemon else {"desiredCount": desired}
        call = {"cluster": self.cluster, "serviceName": name, "taskDefinition": definition}
        if name in self.services:
            with refused("InvalidParameterException"):
                self.ecs.create_service(**call, **kind, enableExecuteCommand=True)
            return
        self._gone(name)
        configuration = {} if daemon else {"deploymentConfiguration": BREAKER}
        registries = [{"registryArn": self.registry}]
        self.ecs.create_service(**call, **kind, **configuration, serviceRegistries=registries)
        self.services[name] = Service(definition, desired, daemon)

    def _gone(self, name: str) -> None:
        """Wait until a service that was deleted lets its name be used again."""
        until(lambda: all(s["status"] == "INACTIVE" for s in self.seen.services([name])))

    @rule(name=SERVICES, desired=st.integers(0, 6))
    def scale(self, name: str, desired: int) -> None:
        if name not in self.services:
            with refused("ServiceNotFoundException", "ServiceNotActiveException"):
                self.ecs.update_service(cluster=self.cluster, service=name, desiredCount=desired)
            return
        own = self.services[name]
        if own.daemon:
            with refused("InvalidParameterException"):
                self.ecs.update_service(cluster=self.cluster, service=name, desiredCount=desired)
            return
        self.ecs.update_service(cluster=self.cluster, service=name, desiredCount=desired)
        own.desired = desired

    @precondition(lambda self: self.services)
    @rule(pick=PICK, force=st.booleans())
    def deploy(self, pick: int, force: bool) -> None:
        name = self._service(pick)
        definition = self._definition(pick)
        self.ecs.update_service(
            cluster=self.cluster, service=name, taskDefinition=definition, forceNewDeployment=force
        )
        self.services[name].definition = definition

    def _service(self, pick: int) -> str:
        return sorted(self.services)[pick % len(self.services)]

    @precondition(lambda self: self.services)
    @rule(pick=PICK)
    def deploy_what_crashes(self, pick: int) -> None:
        """The breaker brings back what was there; nothing changes in the model."""
        self.register("crashes")
        name = self._service(pick)
        own = self.services[name]
        if own.daemon or own.desired == 0:
            return
        self.settle()
        bad = self._definition(pick, ("crashes",))
        self.ecs.update_service(cluster=self.cluster, service=name, taskDefinition=bad)

    @precondition(lambda self: self.services)
    @rule(pick=PICK, force=st.booleans())
    def delete(self, pick: int, force: bool) -> None:
        name = self._service(pick)
        own = self.services[name]
        call = {"cluster": self.cluster, "service": name}
        if own.desired and not own.daemon and not force:
            with refused("InvalidParameterException"):
                self.ecs.delete_service(**call)
            return
        self.ecs.delete_service(**call, force=force)
        del self.services[name]

    @rule(pick=PICK, count=st.integers(1, 3))
    def run(self, pick: int, count: int) -> None:
        definition = self._definition(pick, tuple(BEHAVIOURS))
        answer = self.ecs.run_task(
            cluster=self.cluster, taskDefinition=definition, count=count, startedBy="model"
        )
        assert (len(answer["tasks"]), answer["failures"]) == (count, [])
        end = ENDS.get(self.definitions[definition])
        self.tasks |= {task["taskArn"]: end for task in answer["tasks"]}

    @precondition(lambda self: None in self.tasks.values())
    @rule(pick=PICK)
    def stop(self, pick: int) -> None:
        running = [arn for arn, end in self.tasks.items() if end is None]
        arn = running[pick % len(running)]
        self.ecs.stop_task(cluster=self.cluster, task=arn, reason="enough")
        del self.tasks[arn]

    @precondition(lambda self: self.services)
    @rule(pick=PICK)
    def protect(self, pick: int) -> None:
        arns = self.ecs.list_tasks(cluster=self.cluster, serviceName=self._service(pick))
        chosen = arns["taskArns"][:2]
        if chosen:
            self._protect(chosen, on=True)
            self.protected |= set(chosen)

    def _protect(self, arns: list[str], *, on: bool) -> None:
        answer = self.ecs.update_task_protection(
            cluster=self.cluster, tasks=arns, protectionEnabled=on
        )
        reasons = {failure["reason"] for failure in answer["failures"]}
        assert reasons <= {"TASK_NOT_VALID", "MISSING"}

    @precondition(lambda self: self.services)
    @rule(pick=PICK, value=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8))
    def tag(self, pick: int, value: str) -> None:
        name = self._service(pick)
        (shown,) = self.seen.services([name])
        arn = shown["serviceArn"]
        own = self.services[name].tags
        own[f"k{pick % 3}"] = value
        self.ecs.tag_resource(resourceArn=arn, tags=[{"key": f"k{pick % 3}", "value": value}])
        found = self.ecs.list_tags_for_resource(resourceArn=arn)["tags"]
        assert {tag["key"]: tag["value"] for tag in found} == own

    @precondition(lambda self: len(self.instances) < 3)
    @rule()
    def declare(self) -> None:
        answer = self.ecs.register_container_instance(
            cluster=self.cluster,
            totalResources=[
                {"name": name, "type": "INTEGER", "integerValue": 100_000}
                for name in ("CPU", "MEMORY")
            ],
        )
        self.instances[answer["containerInstance"]["containerInstanceArn"]] = "ACTIVE"

    @precondition(lambda self: self.instances)
    @rule(pick=PICK, status=st.sampled_from(["ACTIVE", "DRAINING"]))
    def change_instance(self, pick: int, status: str) -> None:
        arn = sorted(self.instances)[pick % len(self.instances)]
        self.ecs.update_container_instances_state(
            cluster=self.cluster, containerInstances=[arn], status=status
        )
        self.instances[arn] = status

    @precondition(lambda self: "DRAINING" in self.instances.values())
    @rule()
    def remove_instance(self) -> None:
        """It is refused while something runs there. In the end the instance is gone, wherever
        tasks were put: what can be done next must not depend on that."""
        self.settle()
        arn = next(arn for arn, status in self.instances.items() if status == "DRAINING")
        call = {"cluster": self.cluster, "containerInstance": arn}
        if self.ecs.list_tasks(cluster=self.cluster, containerInstance=arn)["taskArns"]:
            with refused("InvalidParameterException"):
                self.ecs.deregister_container_instance(**call)
        for task in [task for task, end in self.tasks.items() if end is None]:
            self.ecs.stop_task(cluster=self.cluster, task=task)
            del self.tasks[task]
        wait_true(lambda: self.seen.check_empty(arn))
        self.ecs.deregister_container_instance(**call)
        del self.instances[arn]

    @rule(desired=st.integers(0, 5), scale=st.integers(0, 100), pick=PICK)
    def add_task_set(self, desired: int, scale: int, pick: int) -> None:
        call = {"cluster": self.cluster, "service": "external"}
        if self.external is None:
            self._gone("external")
            self.ecs.create_service(
                cluster=self.cluster,
                serviceName="external",
                desiredCount=desired,
                deploymentController={"type": "EXTERNAL"},
            )
            self.external = External(desired)
        self.ecs.update_service(**call, desiredCount=desired)
        self.external.desired = desired
        if len(self.external.scales) < 3:
            answer = self.ecs.create_task_set(
                **call,
                taskDefinition=self._definition(pick),
                scale={"value": scale, "unit": "PERCENT"},
                serviceRegistries=[{"registryArn": self.registry}],
            )
            self.external.scales[answer["taskSet"]["id"]] = scale

    @precondition(lambda self: self.external and self.external.scales)
    @rule(pick=PICK)
    def remove_task_set(self, pick: int) -> None:
        assert self.external is not None
        own = self.external.scales
        task_set = sorted(own)[pick % len(own)]
        call = {"cluster": self.cluster, "service": "external"}
        self.ecs.delete_task_set(**call, taskSet=task_set, force=True)
        del own[task_set]
        if not own:
            self.ecs.delete_service(**call, force=True)
            self.external = None

    @precondition(lambda self: not self.killed)
    @rule()
    def kill_under_way(self) -> None:
        """Once in a run: killed whatever is going on, it finishes that when it comes back."""
        self.killed = True
        self._restart()

    def _restart(self) -> None:
        self.engine.kill()
        self.engine.start()
        self._disconnect()
        self._connect()

    def _connect(self) -> None:
        self.ecs = self.engine.client("ecs")
        self.cloud_map = self.engine.client("servicediscovery")
        self.seen = Seen(self.ecs, self.cluster, self.cloud_map, self.registry)

    def _disconnect(self) -> None:
        self.ecs.close()
        self.cloud_map.close()

    @rule()
    def settle(self) -> None:
        """Everything that was asked for comes true, and nothing else does."""
        if self.protected:
            for arn in self.protected:
                self._protect([arn], on=False)
            self.protected.clear()
        wait_true(lambda: self.seen.check_services(self.services, self._machines()))
        wait_true(lambda: self.seen.check_external(self.external))
        wait_true(lambda: self.seen.check_tasks(self.tasks))
        wait_true(lambda: self.seen.check_registered(self._names()))

    def _names(self) -> list[str]:
        return [*sorted(self.services), *(["external"] if self.external else [])]

    def _machines(self) -> int:
        """Return how many instances take tasks: this machine and those that are not drained."""
        return 1 + sum(status == "ACTIVE" for status in self.instances.values())

    @invariant()
    def shows_what_was_asked_for(self) -> None:
        if not hasattr(self, "services"):
            return  # before `begin`
        type(self).steps += 1
        for service in self.seen.services(sorted(self.services)):
            own = self.services[service["serviceName"]]
            assert service["status"] == "ACTIVE"
            assert own.daemon or service["desiredCount"] == own.desired
            assert sum(d["status"] == "PRIMARY" for d in service["deployments"]) == 1
            running = sum(d["runningCount"] for d in service["deployments"])
            assert running <= service["runningCount"]

    def teardown(self) -> None:
        if not hasattr(self, "services"):
            return
        self.settle()
        names = self._names()
        wait_true(lambda: self.seen.check_rest(names))
        before = self.seen.everything(names)
        self._restart()
        assert not (found := list(differences(before, self.seen.everything(names)))), found
        self._disconnect()
