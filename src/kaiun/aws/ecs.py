"""Amazon ECS: clusters, task definitions, services, tasks, service deployments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from kaiun.aws.caller import Answer, Caller, batches, each
from kaiun.aws.types import (
    Cluster,
    Failure,
    Instance,
    Request,
    Service,
    ServiceDeployment,
    ServiceRevision,
    Started,
    Tag,
    Task,
    TaskDefinition,
)
from kaiun.errors import AwsError
from kaiun.session.ticket import Ticket, ticket

SERVICES_A_CALL = 10
TASKS_A_CALL = 100
REVISIONS_A_CALL = 20
INSTANCES_A_CALL = 100
INSTANCE_TYPE = "ecs.instance-type"


class Ecs:
    """Every method raises AwsError."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def describe_cluster(self, cluster: str) -> Cluster | None:
        """Return the cluster, None when it does not exist or is INACTIVE."""
        answer = self._call("describe_clusters", {"clusters": [cluster]}, cluster)
        found = cast("list[Cluster]", answer.get("clusters", []))
        return next((item for item in found if item.get("status") != "INACTIVE"), None)

    def list_clusters(self) -> list[str]:
        """Return the names of all clusters (100 a call)."""
        pages = self._caller.pages("ecs", "list_clusters", {})
        found = [arn for page in pages for arn in cast("list[str]", page["clusterArns"])]
        return [arn.rpartition("/")[2] for arn in found]

    def create_cluster(self, request: Request) -> Cluster:
        answer = self._call("create_cluster", request, _name(request, "clusterName"))
        return cast("Cluster", answer["cluster"])

    def list_services(self, cluster: str) -> list[str]:
        """Return the ARNs of all services of a cluster (100 a call)."""
        params = {"cluster": cluster, "maxResults": 100}
        pages = self._caller.pages("ecs", "list_services", params, where=cluster)
        return [arn for page in pages for arn in cast("list[str]", page["serviceArns"])]

    def describe_services(self, cluster: str, names: Sequence[str]) -> dict[str, Service]:
        """Return services with their tags by name; those that do not exist are left out.

        10 a call, the calls side by side.
        """

        def describe(some: Sequence[str]) -> Answer:
            params = {"cluster": cluster, "services": list(some), "include": ["TAGS"]}
            return self._call("describe_services", params, ", ".join(some))

        split = batches(names, SERVICES_A_CALL)
        answers = each(describe, split)
        found = [one for item in answers for one in cast("list[Service]", item["services"])]
        return {service["serviceName"]: service for service in found}

    def create_service(self, request: Request) -> Service:
        answer = self._call("create_service", request, _name(request, "serviceName"))
        return cast("Service", answer["service"])

    def update_service(self, request: Request) -> Service:
        answer = self._call("update_service", request, _name(request, "service"))
        return cast("Service", answer["service"])

    def delete_service(self, cluster: str, service: str, *, force: bool = False) -> None:
        params = {"cluster": cluster, "service": service, "force": force}
        self._call("delete_service", params, service)

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Set tags on a service, task definition, … (TagResource)."""
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        self._call("tag_resource", {"resourceArn": arn, "tags": pairs}, arn)

    def describe_task_definition(self, reference: str) -> TaskDefinition | None:
        """Return a task definition by ARN, family:revision or family (then its newest).

        None when there is none: ECS says so with a ClientException.
        """
        answer = self._task_definition({"taskDefinition": reference}, reference)
        return cast("TaskDefinition", answer["taskDefinition"]) if answer else None

    def describe_tagged_task_definition(
        self, reference: str
    ) -> tuple[TaskDefinition, dict[str, str]] | None:
        """Return a task definition with its tags, None when there is none."""
        params = {"taskDefinition": reference, "include": ["TAGS"]}
        answer = self._task_definition(params, reference)
        if answer is None:
            return None
        tags = cast("list[Tag]", answer.get("tags", []))
        definition = cast("TaskDefinition", answer["taskDefinition"])
        return definition, {tag["key"]: tag["value"] for tag in tags}

    def _task_definition(self, params: Request, reference: str) -> Answer | None:
        try:
            return self._call("describe_task_definition", params, reference)
        except AwsError as error:
            if error.code == "ClientException" and "nable to describe" in error.message:
                return None
            raise

    def register_task_definition(self, request: Request) -> TaskDefinition:
        answer = self._call("register_task_definition", request, _name(request, "family"))
        return cast("TaskDefinition", answer["taskDefinition"])

    def run_task(self, request: Request) -> Started:
        answer = self._call("run_task", request, _name(request, "taskDefinition"))
        return Started(
            tuple(cast("list[Task]", answer.get("tasks", []))),
            tuple(cast("list[Failure]", answer.get("failures", []))),
        )

    def stop_task(self, cluster: str, task: str, reason: str) -> Task:
        params = {"cluster": cluster, "task": task, "reason": reason}
        return cast("Task", self._call("stop_task", params, task)["task"])

    def execute_command(self, cluster: str, task: str, container: str, command: str) -> Ticket:
        """Have a command run in a container; return what opens the session with it."""
        params = {
            "cluster": cluster,
            "task": task,
            "container": container,
            "command": command,
            "interactive": True,
        }
        answer = self._call("execute_command", params, task)
        return ticket(cast("Mapping[str, object]", answer["session"]))

    def list_tasks(
        self,
        cluster: str,
        *,
        service: str | None = None,
        family: str | None = None,
        started_by: str | None = None,
        status: str = "RUNNING",
    ) -> list[str]:
        """Return the ARNs of tasks whose desired status is `status` (RUNNING or STOPPED)."""
        params: dict[str, object] = {"cluster": cluster, "desiredStatus": status}
        chosen = {"serviceName": service, "family": family, "startedBy": started_by}
        params.update({key: value for key, value in chosen.items() if value is not None})
        pages = self._caller.pages("ecs", "list_tasks", params, where=service or family or cluster)
        return [arn for page in pages for arn in cast("list[str]", page["taskArns"])]

    def describe_tasks(self, cluster: str, tasks: Sequence[str]) -> list[Task]:
        """Return the tasks that (still) exist, 100 a call, the calls side by side."""

        def describe(some: Sequence[str]) -> Answer:
            params = {"cluster": cluster, "tasks": list(some)}
            return self._call("describe_tasks", params, cluster)

        split = batches(tasks, TASKS_A_CALL)
        answers = each(describe, split)
        return [task for item in answers for task in cast("list[Task]", item["tasks"])]

    def list_service_deployments(
        self, cluster: str, service: str, statuses: Sequence[str] = ()
    ) -> list[ServiceDeployment]:
        """Return the brief records of a service's deployments, newest first (first page)."""
        params: dict[str, object] = {"cluster": cluster, "service": service}
        if statuses:
            params["status"] = list(statuses)
        answer = self._call("list_service_deployments", params, service)
        return cast("list[ServiceDeployment]", answer["serviceDeployments"])

    def describe_service_deployments(self, arns: Sequence[str]) -> list[ServiceDeployment]:
        params = {"serviceDeploymentArns": list(arns)}
        answer = self._call("describe_service_deployments", params, ", ".join(arns))
        return cast("list[ServiceDeployment]", answer["serviceDeployments"])

    def describe_service_revisions(self, arns: Sequence[str]) -> list[ServiceRevision]:
        """Return what service deployments brought or bring, 20 a call, the calls side by side."""

        def describe(some: Sequence[str]) -> Answer:
            params = {"serviceRevisionArns": list(some)}
            return self._call("describe_service_revisions", params, ", ".join(some))

        answers = each(describe, batches(arns, REVISIONS_A_CALL))
        return [
            one
            for item in answers
            for one in cast("list[ServiceRevision]", item["serviceRevisions"])
        ]

    def instance_types(self, cluster: str) -> list[str]:
        """Return the instance types of the cluster's EC2 instances, each once; [] without any.

        Source: ECS developer guide, attribute `ecs.instance-type` of container instances.
        """
        params = {"cluster": cluster}
        pages = self._caller.pages("ecs", "list_container_instances", params, where=cluster)
        arns = [arn for page in pages for arn in cast("list[str]", page["containerInstanceArns"])]

        def describe(some: Sequence[str]) -> Answer:
            wanted = {"cluster": cluster, "containerInstances": list(some)}
            return self._call("describe_container_instances", wanted, cluster)

        answers = each(describe, batches(arns, INSTANCES_A_CALL))
        found = [
            one for item in answers for one in cast("list[Instance]", item["containerInstances"])
        ]
        attributes = (pair for instance in found for pair in instance.get("attributes", []))
        types = {pair.get("value", "") for pair in attributes if pair["name"] == INSTANCE_TYPE}
        return sorted(types - {""})

    def stop_service_deployment(self, arn: str, *, rollback: bool = True) -> None:
        """Stop a deployment (StopServiceDeployment): ROLLBACK, else ABORT."""
        params = {"serviceDeploymentArn": arn, "stopType": "ROLLBACK" if rollback else "ABORT"}
        self._call("stop_service_deployment", params, arn)

    def _call(self, operation: str, params: Request, where: str) -> Answer:
        return self._caller.call("ecs", operation, params, where=where)


def _name(request: Request, key: str) -> str:
    return str(request.get(key, ""))
