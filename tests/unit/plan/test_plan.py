"""From what is wanted and what is live to the steps between them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.deployed import app, everything, registered, release

from kaiun.errors import ConfigErrors
from kaiun.plan.desired import Desired, desired
from kaiun.plan.live import Live
from kaiun.plan.plan import plan
from kaiun.plan.steps import (
    CreateService,
    Kind,
    Ref,
    RegisterTaskDefinition,
    RunTask,
    UpdateService,
    UpdateTargetGroup,
    WaveName,
    request_of,
)

if TYPE_CHECKING:
    from kaiun.aws.types import Service

SHOP: dict[str, Any] = {
    "processes": {
        "web": {"port": 3000, "health": "/up", "listen": 8080, "count": 2, "drain": 5},
        "worker": {"command": "sidekiq"},
        "postgres": {"image": {"context": "docker/postgres"}, "port": 5432},
    },
    "tasks": {
        "migrate": {"command": "rails db:migrate", "run": "before-deploy", "needs": ["postgres"]},
        "console": {"command": "rails console"},
    },
    "logs": {"driver": "awslogs"},
    "service_connect": "shop",
}


def wants(sha: str = "a", environment: str = "local", **keys: Any) -> Desired:
    config = app(environment, **{**SHOP, **keys})
    return desired(config, release(sha, postgres="localhost:5000/shop-postgres@sha256:p"))


def changed(live: Live, process: str, **members: object) -> Live:
    service = cast("Service", {**live.services[process], **members})
    return replace(live, services={**live.services, process: service})


def titles(wanted: Desired, live: Live) -> list[str]:
    found = plan(wanted, live)
    return [f"{w.name}: {type(s).__name__} {s.name}" for w in found.waves for s in w.steps]


def problems(wanted: Desired, live: Live) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        plan(wanted, live)
    return [str(problem) for problem in caught.value.problems]


def updates(wanted: Desired, live: Live) -> dict[str, UpdateService]:
    return {step.name: step for step in plan(wanted, live).steps if isinstance(step, UpdateService)}


def test_unchanged_service_plans_nothing() -> None:
    found = plan(wants(), everything(wants()))
    assert (found.empty, found.waves, found.notes, found.in_progress) == (True, (), (), ())


def test_first_deploy_makes_everything_in_order() -> None:
    assert titles(wants(), Live(cluster=False)) == [
        "provision: CreateCluster shop",
        "provision: CreateLogGroup /kaiun/shop/local",
        "provision: CreateTargetGroup shop-local-web",
        "provision: CreateLoadBalancer shop-local",
        "listeners: CreateListener shop-local:8080",
        "register: RegisterTaskDefinition web",
        "register: RegisterTaskDefinition worker",
        "register: RegisterTaskDefinition postgres",
        "register: RegisterTaskDefinition migrate",
        "register: RegisterTaskDefinition console",
        "needed services: CreateService postgres",
        "before-deploy tasks: RunTask migrate",
        "services: CreateService web",
        "services: CreateService worker",
    ]


def test_new_commit_touches_what_runs_the_app_only() -> None:
    assert titles(wants("b"), everything(wants("a"))) == [
        "register: RegisterTaskDefinition web",
        "register: RegisterTaskDefinition worker",
        "register: RegisterTaskDefinition migrate",
        "register: RegisterTaskDefinition console",
        "before-deploy tasks: RunTask migrate",
        "services: UpdateService web",
        "services: UpdateService worker",
    ]


def test_new_task_definition_is_a_reference_until_it_is_registered() -> None:
    step = updates(wants("b"), everything(wants("a")))["web"]
    assert step.request["taskDefinition"] == Ref(Kind.TASK_DEFINITION, "web")
    assert request_of(step, {Ref(Kind.TASK_DEFINITION, "web"): "arn:2"}) == {
        "cluster": "shop",
        "service": "shop-local-web",
        "taskDefinition": "arn:2",
    }
    assert step.deploys
    assert step.previous.endswith("task-definition/shop-local-web:1")


def test_step_is_not_run_before_what_it_needs_is_there() -> None:
    step = updates(wants("b"), everything(wants("a")))["web"]
    with pytest.raises(KeyError, match="web needs"):
        request_of(step, {})


def test_registering_tells_what_differs_from_what_runs() -> None:
    found = plan(wants("b"), everything(wants("a"))).steps[0]
    assert isinstance(found, RegisterTaskDefinition)
    assert {change.path for change in found.changes} == {
        "containers.web.image",
        "containers.web.environment.KAIUN_REVISION",
    }


def test_going_back_to_what_still_runs_registers_nothing() -> None:
    newest = registered(wants("b").task_definitions["web"], revision=2)
    live = everything(wants("a"))
    both = {**live.task_definitions, "web": (newest, *live.task_definitions["web"])}
    assert plan(wants("a"), replace(live, task_definitions=both)).empty


def test_definition_that_a_failed_deploy_registered_is_used_again() -> None:
    live = everything(wants("a"))
    newest = {
        name: (registered(request, revision=2), *live.task_definitions[name])
        for name, request in wants("b").task_definitions.items()
    }
    found = updates(wants("b"), replace(live, task_definitions=newest))
    assert str(found["web"].request["taskDefinition"]).endswith("shop-local-web:2")
    assert "before-deploy tasks: RunTask migrate" in titles(
        wants("b"), replace(live, task_definitions=newest)
    )


def test_deregistered_definition_is_not_used_again() -> None:
    live = everything(wants("a"))
    gone = {**registered(wants("a").task_definitions["console"]), "status": "INACTIVE"}
    both = {**live.task_definitions, "console": (gone,)}
    found = plan(wants("a"), replace(live, task_definitions=cast("Any", both)))
    assert [type(s).__name__ for s in found.steps] == ["RegisterTaskDefinition", "RunTask"]


def test_count_that_was_scaled_by_hand_is_left_alone() -> None:
    assert plan(wants(), changed(everything(wants()), "web", desiredCount=7)).empty


def test_count_is_applied_when_kaiun_yml_changes_it() -> None:
    processes = {**SHOP["processes"], "web": {**SHOP["processes"]["web"], "count": 3}}
    live = changed(everything(wants()), "web", desiredCount=7)
    found = plan(wants(processes=processes), live)
    (step,) = found.steps
    assert isinstance(step, UpdateService)
    assert step.request == {"cluster": "shop", "service": "shop-local-web", "desiredCount": 3}
    assert step.tags == {"kaiun:count": "3"}
    assert not step.deploys
    assert [(c.path, c.old, c.new) for c in step.changes] == [("desiredCount", 7, 3)]


def test_service_that_kaiun_did_not_make_keeps_its_count_with_a_note() -> None:
    live = changed(everything(wants()), "web", desiredCount=7, tags=[])
    found = plan(wants(), live)
    assert found.empty
    assert found.notes == (
        "processes/web/count is 2, but the service has 7: left as it is, since kaiun did not set"
        " it (`kaiun scale web=2`)",
    )


def test_adopted_service_of_the_same_count_gets_the_tags_with_its_next_update() -> None:
    live = changed(everything(wants("a")), "web", tags=[])
    assert plan(wants("a"), live).empty
    assert updates(wants("b"), live)["web"].tags["kaiun:count"] == "2"


def test_setting_that_left_kaiun_yml_goes_back_to_the_default() -> None:
    strategy = [{"type": "spread", "field": "instanceId"}]
    live = changed(everything(wants()), "worker", placementStrategy=strategy)
    step = updates(wants(), live)["worker"]
    assert step.request["placementStrategy"] == []
    assert not step.deploys


def test_change_of_a_setting_that_starts_no_deployment_runs_no_task() -> None:
    deploy = {"maximum": 150}
    processes = {**SHOP["processes"], "web": {**SHOP["processes"]["web"], "deploy": deploy}}
    found = plan(wants(processes=processes), everything(wants()))
    (step,) = found.steps
    assert isinstance(step, UpdateService)
    assert [(c.path, c.old, c.new) for c in step.changes] == [
        ("deploymentConfiguration.maximumPercent", None, 150)
    ]


def test_service_connect_is_compared_with_the_primary_deployment() -> None:
    live = everything(wants(service_connect=None))
    assert plan(wants(service_connect=None), live).empty
    step = updates(wants(), live)["worker"]
    assert step.request["serviceConnectConfiguration"] == {"enabled": True, "namespace": "shop"}
    assert step.deploys


def test_service_whose_deployment_failed_is_deployed_again() -> None:
    live = everything(wants())
    failed = {**live.services["web"]["deployments"][0], "rolloutState": "FAILED"}
    found = plan(wants(), changed(live, "web", deployments=[failed]))
    assert [type(step) for step in found.steps] == [RunTask, UpdateService]
    assert found.steps[1].request["forceNewDeployment"] is True


def test_rollout_that_is_under_way_is_told() -> None:
    live = everything(wants())
    rolling = {**live.services["web"]["deployments"][0], "rolloutState": "IN_PROGRESS"}
    found = plan(wants(), changed(live, "web", deployments=[rolling]))
    assert found.empty
    assert found.in_progress == ("web",)


def test_service_that_left_kaiun_yml_is_noted_and_kept() -> None:
    found = plan(wants(), replace(everything(wants()), other_services=("shop-local-cron",)))
    assert found.empty
    assert found.notes == (
        "service shop-local-cron is not in kaiun.yml (any more): it is left as it is",
    )


def test_inactive_service_is_made_anew() -> None:
    live = changed(everything(wants()), "worker", status="INACTIVE")
    assert [type(s) for s in plan(wants(), live).wave(WaveName.SERVICES)] == [CreateService]


def test_drain_time_and_health_check_are_kept_up_to_date() -> None:
    web = {**SHOP["processes"]["web"], "drain": 9, "health": {"path": "/health"}}
    processes = {**SHOP["processes"], "web": web}
    (step,) = plan(wants(processes=processes), everything(wants())).steps
    assert isinstance(step, UpdateTargetGroup)
    assert step.request["HealthCheckPath"] == "/health"
    assert step.attributes == {"deregistration_delay.timeout_seconds": "9"}
    assert [c.path for c in step.changes] == [
        "HealthCheckPath",
        "deregistration_delay.timeout_seconds",
    ]


def test_everything_that_is_missing_is_told_at_once_without_provision() -> None:
    wanted = wants(environment="staging", cluster="staging")
    assert problems(wanted, Live(cluster=False)) == [
        "cluster: there is no cluster 'staging' here",
        "logs/group: there is no log group '/kaiun/shop/staging'",
        "processes/web/target_group: there is no target group 'shop-staging-web'",
    ]


def test_target_group_must_suit_the_tasks_and_have_a_load_balancer() -> None:
    wanted = wants(environment="staging", network={"mode": "awsvpc"})
    live = everything(wanted)
    group: Any = {
        **live.target_groups["shop-staging-web"],
        "TargetType": "instance",
        "LoadBalancerArns": [],
    }
    assert problems(wanted, replace(live, target_groups={"shop-staging-web": group})) == [
        "processes/web/target_group: target group 'shop-staging-web' has targets of type"
        " 'instance', the tasks are 'ip'",
        "processes/web/target_group: no load balancer forwards to target group 'shop-staging-web'",
    ]


def test_listener_that_belongs_to_something_else_is_not_taken() -> None:
    live = everything(wants())
    other: Any = {8080: {"DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn:other"}]}}
    assert problems(wants(), replace(live, listeners=other)) == [
        "processes/web/listen: the listener shop-local:8080 forwards to another target group"
    ]


def test_two_processes_cannot_listen_on_one_port() -> None:
    processes = {**SHOP["processes"], "admin": {"port": 4000, "listen": 8080}}
    assert problems(wants(processes=processes), Live(cluster=True)) == [
        "processes/admin/listen: web listens on 8080 already"
    ]


def test_what_ecs_cannot_change_is_told() -> None:
    live = everything(wants())
    blue = changed(live, "worker", deploymentController={"type": "CODE_DEPLOY"})
    fargate = changed(blue, "web", launchType="FARGATE")
    draining = changed(fargate, "postgres", status="DRAINING")
    assert problems(wants(), draining) == [
        "processes/web: launchType of service shop-local-web is FARGATE and cannot become EC2",
        "processes/worker: service shop-local-worker is deployed by CODE_DEPLOY, not by ECS itself",
        "processes/postgres: service shop-local-postgres is being deleted",
    ]


def spot(weight: int) -> Desired:
    strategy = [{"capacityProvider": "spot", "weight": weight}]
    worker = {"command": "sidekiq", "service": {"capacityProviderStrategy": strategy}}
    return wants(processes={"worker": worker}, tasks={})


def test_capacity_providers_take_the_place_of_the_launch_type() -> None:
    assert "launchType" not in spot(1).services["worker"]
    filled = [{"capacityProvider": "spot", "weight": 1, "base": 0}]
    live = changed(everything(spot(1)), "worker", capacityProviderStrategy=filled)
    assert plan(spot(1), live).empty
    step = updates(spot(2), live)["worker"]
    assert step.request["forceNewDeployment"] is True
    assert [(c.path, c.old, c.new) for c in step.changes] == [
        ("capacityProviderStrategy.spot.weight", 1, 2)
    ]
