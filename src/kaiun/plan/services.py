"""Plan for each process whether its service is made, changed or left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.errors import ConfigError
from kaiun.plan import normalise_service as forms
from kaiun.plan.diff import changes
from kaiun.plan.merge import Json
from kaiun.plan.service import COUNT_TAG
from kaiun.plan.steps import Change, CreateService, Ref, UpdateService, settled

if TYPE_CHECKING:
    from kaiun.aws.types import Service
    from kaiun.plan.desired import Desired
    from kaiun.plan.live import Live


@dataclass(slots=True)
class Services:
    """Steps by process name, in the order of kaiun.yml."""

    steps: dict[str, CreateService | UpdateService] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    in_progress: list[str] = field(default_factory=list)
    problems: list[ConfigError] = field(default_factory=list)


def services(desired: Desired, live: Live, known: Mapping[Ref, str]) -> Services:
    """Return what to do with every service; `known`: ARNs of what exists already."""
    found = Services()
    for name, request in desired.services.items():
        wanted = settled(request, known)
        service = live.services.get(name)
        if service is None or service.get("status") == "INACTIVE":
            found.steps[name] = CreateService(name, desired.wanted.services[name], wanted)
        elif problems := _impossible(name, wanted, service):
            found.problems.extend(problems)
        else:
            _existing(desired, name, wanted, service, found)
    found.notes.extend(
        f"service {other} is not in kaiun.yml (any more): it is left as it is"
        for other in live.other_services
    )
    return found


def _existing(desired: Desired, name: str, wanted: Json, service: Service, found: Services) -> None:
    step = _update(desired, name, wanted, service)
    if step is not None:
        found.steps[name] = step
    elif (forms.primary(service) or {}).get("rolloutState") == "IN_PROGRESS":
        found.in_progress.append(name)
    if note := _count_note(name, wanted, service):
        found.notes.append(note)


def _update(desired: Desired, name: str, wanted: Json, service: Service) -> UpdateService | None:
    request, differences = _differences(wanted, service)
    deploys = bool(forms.DEPLOYING & set(request)) or "forceNewDeployment" in request
    tags = _tags_to_set(desired.tags[name], service, counted="desiredCount" in wanted)
    if tags and _count_tag(service) is not None:
        request["desiredCount"] = wanted["desiredCount"]
        differences.append(_count_change(wanted, service))
    if not request:
        return None
    named = {"cluster": desired.wanted.cluster, "service": desired.wanted.services[name]}
    return UpdateService(
        name=name,
        service=desired.wanted.services[name],
        arn=service.get("serviceArn", ""),
        request={**named, **request},
        changes=tuple(differences),
        deploys=deploys,
        previous=forms.task_definition_of(service),
        tags=tags,
    )


def _differences(wanted: Json, service: Service) -> tuple[Json, list[Change]]:
    """Return the members of UpdateService that differ, and the differences in detail."""
    old = forms.comparable(forms.of_live(service), wanted)
    new = forms.comparable(wanted, wanted)
    keys = [key for key in new if old[key] != new[key]]
    request: Json = {key: wanted.get(key, forms.ABSENT.get(key)) for key in keys}
    differences = [change for key in keys for change in changes(old[key], new[key], key)]
    if "capacityProviderStrategy" in keys:
        request["forceNewDeployment"] = True
    if _failed(service) and not forms.DEPLOYING & set(keys):
        request["forceNewDeployment"] = True
        differences.append(Change("rolloutState", "FAILED", "a new deployment"))
    return request, differences


def _count_change(wanted: Json, service: Service) -> Change:
    count, runs = wanted["desiredCount"], service.get("desiredCount")
    if runs != count:
        return Change("desiredCount", runs, count)
    return Change(f"tags.{COUNT_TAG}", _count_tag(service), str(count))


def _failed(service: Service) -> bool:
    return (forms.primary(service) or {}).get("rolloutState") == "FAILED"


def _count_tag(service: Service) -> str | None:
    found = {tag["key"]: tag["value"] for tag in service.get("tags", [])}
    return found.get(COUNT_TAG)


def _tags_to_set(
    wanted: Mapping[str, str], service: Service, *, counted: bool
) -> Mapping[str, str]:
    """Return the tags to set: kaiun:count when kaiun.yml changed its count, or all of them
    when a service without the tag happens to have the count of kaiun.yml."""
    tag = _count_tag(service)
    if not counted or tag == wanted[COUNT_TAG]:
        return {}
    if tag is not None:
        return {COUNT_TAG: wanted[COUNT_TAG]}
    return wanted if str(service.get("desiredCount")) == wanted[COUNT_TAG] else {}


def _count_note(name: str, wanted: Json, service: Service) -> str:
    count, runs = wanted.get("desiredCount"), service.get("desiredCount")
    if count is None or _count_tag(service) is not None or runs == count:
        return ""
    return (
        f"processes/{name}/count is {count}, but the service has {runs}: left as it is, since"
        f" kaiun did not set it (`kaiun scale {name}={count}`)"
    )


def _impossible(name: str, wanted: Json, service: Service) -> list[ConfigError]:
    key, title = f"processes/{name}", service.get("serviceName", name)
    problems = []
    if service.get("status") == "DRAINING":
        message = f"service {title} is being deleted"
        problems.append(ConfigError(f"{key}: {message}", hint="deploy again when it is gone"))
    controller = service.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        message = f"service {title} is deployed by {controller}, not by ECS itself"
        problems.append(ConfigError(f"{key}: {message}", hint="make a service of another name"))
    for field_name, default in forms.FIXED.items():
        has = str(service.get(field_name) or "")
        asked = str(wanted.get(field_name, has or default))
        if has and asked != has:
            message = f"{field_name} of service {title} is {has} and cannot become {asked}"
            problems.append(ConfigError(f"{key}: {message}", hint="delete the service first"))
    return problems
