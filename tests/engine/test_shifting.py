"""Blue/green, linear and canary deployments, over HTTP."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import DEADLINE_S, Engine, container, describe, messages, null, register, until
from support.shifting import Road, build_road, deployment_of, wait_for, wait_paused, weights

_ports = itertools.count(24_000)
_numbers = itertools.count(1)
WEB: dict[str, Any] = {"portMappings": [{"containerPort": 80}]}
CANARY = {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 0}


@pytest.fixture
def road(elbv2: Any) -> Iterator[Road]:
    made = build_road(elbv2, f"road-{next(_numbers)}", (next(_ports), next(_ports)))
    yield made
    elbv2.delete_load_balancer(LoadBalancerArn=made.balancer)


def pause(*stages: str, **timeout: Any) -> dict[str, Any]:
    hook: dict[str, Any] = {"targetType": "PAUSE", "lifecycleStages": list(stages)}
    return {**hook, "timeoutConfiguration": timeout} if timeout else hook


def function(name: str, *stages: str, **fields: Any) -> dict[str, Any]:
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    return {"hookTargetArn": arn, "lifecycleStages": list(stages), **fields}


def strategy(name: str, *hooks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    hooked = {"lifecycleHooks": list(hooks)} if hooks else {}
    return {"strategy": name, "bakeTimeInMinutes": 0, **hooked, **fields}


def create(ecs: Any, cluster: str, family: str, road: Road, **fields: Any) -> str:
    """Create the service on v1 and wait until it is there; return v1's task definition."""
    first = register(ecs, family, container(**WEB))
    answer = ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=first,
        desiredCount=2,
        loadBalancers=road.load_balancers(),
        **fields,
    )
    wait_for(ecs, answer["service"]["currentServiceDeployment"], status="SUCCESSFUL")
    return first


def deploy(ecs: Any, cluster: str, family: str, **labels: object) -> str:
    second = register(ecs, family, container(**WEB, dockerLabels=null(**labels)))
    answer = ecs.update_service(cluster=cluster, service="web", taskDefinition=second)
    return str(answer["service"]["currentServiceDeployment"])


def test_a_first_deployment_has_all_traffic_and_both_groups_are_used(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    create(ecs, cluster, family, road, deploymentConfiguration=strategy("BLUE_GREEN"))
    assert weights(elbv2, road.production) == {road.blue: 100, road.green: 0}
    groups = elbv2.describe_target_groups(TargetGroupArns=[road.green])["TargetGroups"]
    assert groups[0]["LoadBalancerArns"] == [road.balancer]


def test_blue_green_moves_tests_first_then_production_then_takes_blue_away(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    hooks = pause("POST_TEST_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")
    configuration = strategy("BLUE_GREEN", hooks)
    first = register(ecs, family, container(**WEB))
    made = ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=first, desiredCount=2,
        loadBalancers=road.load_balancers(), deploymentConfiguration=configuration,
    )["service"]["currentServiceDeployment"]  # fmt: skip
    hook = ""
    for _ in range(2):
        hook = wait_paused(ecs, made, after=hook)["hookId"]
        ecs.continue_service_deployment(serviceDeploymentArn=made, hookId=hook)
    wait_for(ecs, made, status="SUCCESSFUL")
    arn = deploy(ecs, cluster, family)
    hook = wait_paused(ecs, arn)["hookId"]
    found = deployment_of(ecs, arn)
    assert found["lifecycleStage"] == "POST_TEST_TRAFFIC_SHIFT"
    assert weights(elbv2, road.test) == {road.blue: 0, road.green: 100}
    assert weights(elbv2, road.production) == {road.blue: 100, road.green: 0}
    assert found["targetServiceRevision"]["requestedTestTrafficWeight"] == 100.0
    assert found["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"] == 100.0
    service = describe(ecs, cluster, "web")
    assert [d["runningCount"] for d in service["deployments"]] == [2, 2]
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook)
    hook = wait_paused(ecs, arn, after=hook)["hookId"]
    assert weights(elbv2, road.production) == {road.blue: 0, road.green: 100}
    assert describe(ecs, cluster, "web")["runningCount"] == 4
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook)
    wait_for(ecs, arn, status="SUCCESSFUL", lifecycleStage="CLEAN_UP")
    service = describe(ecs, cluster, "web")
    assert [d["rolloutState"] for d in service["deployments"]] == ["COMPLETED"]
    assert service["runningCount"] == 2


def test_revisions_take_the_target_groups_in_turn(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    create(ecs, cluster, family, road, deploymentConfiguration=strategy("BLUE_GREEN"))
    used = []
    for _ in range(2):
        wait_for(ecs, deploy(ecs, cluster, family), status="SUCCESSFUL")
        arn = describe(ecs, cluster, "web")["currentServiceRevisions"][0]["arn"]
        revision = ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"][0]
        resolved = revision["resolvedConfiguration"]["loadBalancers"]
        used.append(resolved[0]["targetGroupArn"])
        states = elbv2.describe_target_health(TargetGroupArn=used[-1])
        assert len(states["TargetHealthDescriptions"]) == 2
    assert used == [road.green, road.blue]


def test_canary_pauses_before_each_step(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    create(ecs, cluster, family, road, deploymentConfiguration=strategy("BLUE_GREEN"))
    hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT", timeoutInMinutes=10, action="CONTINUE")
    ecs.update_service(
        cluster=cluster,
        service="web",
        deploymentConfiguration=strategy("CANARY", hook, canaryConfiguration=CANARY),
    )
    arn = deploy(ecs, cluster, family)
    first = wait_paused(ecs, arn)
    assert (first["targetType"], first["timeoutAction"]) == ("PAUSE", "CONTINUE")
    assert weights(elbv2, road.production)[road.green] == 0
    ecs.continue_service_deployment(
        serviceDeploymentArn=arn, hookId=first["hookId"], action="CONTINUE"
    )
    second = wait_paused(ecs, arn, after=first["hookId"])
    assert weights(elbv2, road.production) == {road.blue: 95, road.green: 5}
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=second["hookId"])
    wait_for(ecs, arn, status="SUCCESSFUL")
    assert weights(elbv2, road.production) == {road.blue: 0, road.green: 100}


def test_a_paused_deployment_can_be_sent_back(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    first = create(ecs, cluster, family, road)
    hook = pause("POST_PRODUCTION_TRAFFIC_SHIFT")
    ecs.update_service(
        cluster=cluster, service="web", deploymentConfiguration=strategy("BLUE_GREEN", hook)
    )
    before = set(ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"])
    arn = deploy(ecs, cluster, family)
    paused = wait_paused(ecs, arn)["hookId"]
    assert weights(elbv2, road.production)[road.green] == 100
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=paused, action="ROLLBACK")
    found = wait_for(ecs, arn, status="ROLLBACK_SUCCESSFUL")
    assert found["rollback"]["serviceRevisionArn"] == found["sourceServiceRevisions"][0]["arn"]
    assert "POST_PRODUCTION_TRAFFIC_SHIFT" in found["rollback"]["reason"]
    assert weights(elbv2, road.production) == {road.blue: 100, road.green: 0}
    service = describe(ecs, cluster, "web")
    assert service["taskDefinition"] == first
    assert any("rolling back to deployment" in line for line in messages(service))
    after = set(ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"])
    assert after == before, "blue's tasks were kept"


def test_stop_service_deployment_goes_back_without_a_hook(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    create(ecs, cluster, family, road)
    linear = {"stepPercent": 30.0, "stepBakeTimeInMinutes": 5}
    ecs.update_service(
        cluster=cluster,
        service="web",
        deploymentConfiguration=strategy("LINEAR", linearConfiguration=linear),
    )
    arn = deploy(ecs, cluster, family)
    wait_for(ecs, arn, lifecycleStage="PRODUCTION_TRAFFIC_SHIFT")
    until(lambda: weights(elbv2, road.production)[road.green] == 30)
    ecs.stop_service_deployment(serviceDeploymentArn=arn)
    wait_for(ecs, arn, status="ROLLBACK_SUCCESSFUL")
    assert weights(elbv2, road.production) == {road.blue: 100, road.green: 0}
    with pytest.raises(ClientError, match="ConflictException"):
        ecs.stop_service_deployment(serviceDeploymentArn=arn)


def test_a_hook_that_is_not_waiting_cannot_be_continued(
    ecs: Any, cluster: str, family: str, road: Road
) -> None:
    create(ecs, cluster, family, road)
    arn = describe(ecs, cluster, "web")["currentServiceDeployment"]
    with pytest.raises(ClientError, match="is not awaiting an action"):
        ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId="ecs-pause-x")
    with pytest.raises(ClientError, match="ServiceDeploymentNotFoundException"):
        ecs.continue_service_deployment(serviceDeploymentArn=f"{arn}x", hookId="ecs-pause-x")


def test_a_failing_green_never_gets_production_traffic(
    ecs: Any, elbv2: Any, cluster: str, family: str, road: Road
) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    configuration = strategy("BLUE_GREEN", **breaker)
    first = create(ecs, cluster, family, road, deploymentConfiguration=configuration)
    arn = deploy(ecs, cluster, family, exit=1)
    found = wait_for(ecs, arn, status="ROLLBACK_SUCCESSFUL")
    assert found["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert weights(elbv2, road.production) == {road.blue: 100, road.green: 0}
    assert describe(ecs, cluster, "web")["taskDefinition"] == first


@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        (strategy("CANARY", canaryConfiguration={"canaryPercent": 0.05}), "multiple of 0.1"),
        (strategy("CANARY", linearConfiguration={"stepPercent": 10.0}), "only valid with"),
        (strategy("LINEAR", linearConfiguration={"stepPercent": 2.0}), "from 3.0 to 100.0"),
        (
            strategy("LINEAR", linearConfiguration={"stepBakeTimeInMinutes": 1441}),
            "0 to 1440 minutes",
        ),
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": -1}, "0 to 1440 minutes"),
        (strategy("BLUE_GREEN", pause("PRODUCTION_TRAFFIC_SHIFT")), "PAUSE hooks cannot"),
        (strategy("BLUE_GREEN", {"targetType": "PAUSE"}), "at least one lifecycle stage"),
        (strategy("BLUE_GREEN", {"lifecycleStages": ["PRE_SCALE_UP"]}), "hookTargetArn"),
        (strategy("ROLLING", pause("PRE_SCALE_UP")), "not supported with ROLLING"),
        (
            {"alarms": {"enable": True, "rollback": True, "alarmNames": []}},
            "At least one alarm name",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    ecs: Any, cluster: str, road: Road, configuration: dict[str, Any], problem: str
) -> None:
    register(ecs, "refused", container(**WEB))
    with pytest.raises(ClientError, match=f"InvalidParameterException.*{problem}"):
        ecs.create_service(
            cluster=cluster,
            serviceName="web",
            taskDefinition="refused",
            loadBalancers=road.load_balancers(),
            deploymentConfiguration=configuration,
        )


def test_a_strategy_needs_what_it_shifts_traffic_with(
    ecs: Any, cluster: str, family: str, road: Road
) -> None:
    register(ecs, family, container(**WEB))
    with pytest.raises(ClientError, match="need a load balancer or Service Connect"):
        ecs.create_service(
            cluster=cluster, serviceName="web", taskDefinition=family,
            deploymentConfiguration=strategy("CANARY"),
        )  # fmt: skip
    bare = [{k: v for k, v in road.load_balancers()[0].items() if k != "advancedConfiguration"}]
    with pytest.raises(ClientError, match="alternateTargetGroupArn is required"):
        ecs.create_service(
            cluster=cluster, serviceName="web", taskDefinition=family, loadBalancers=bare,
            deploymentConfiguration=strategy("BLUE_GREEN"),
        )  # fmt: skip


def test_the_defaults_of_a_strategy_are_shown(
    ecs: Any, cluster: str, family: str, road: Road
) -> None:
    create(ecs, cluster, family, road, deploymentConfiguration={"strategy": "CANARY"})
    shown = describe(ecs, cluster, "web")["deploymentConfiguration"]
    assert shown["canaryConfiguration"] == {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}
    ecs.update_service(
        cluster=cluster, service="web", deploymentConfiguration={"strategy": "LINEAR"}
    )
    shown = describe(ecs, cluster, "web")["deploymentConfiguration"]
    assert shown["linearConfiguration"] == {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6}
    assert "canaryConfiguration" not in shown


class _Function(BaseHTTPRequestHandler):
    """Stands for a Lambda function: answers IN_PROGRESS once, then that it succeeded."""

    seen: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        late = len(self.seen) > 1
        answer = {"hookStatus": "SUCCEEDED" if late else "IN_PROGRESS", "callBackDelay": 0}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({**answer, "hookDetails": {"tries": len(self.seen)}}).encode())

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    _Function.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Function)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_function_answers_where_hooks_json_says(
    own_engine: Engine, family: str, server: ThreadingHTTPServer
) -> None:
    ecs, elbv2 = own_engine.client("ecs"), own_engine.client("elbv2")
    ecs.create_cluster(clusterName="c")
    road = build_road(elbv2, "functions", (next(_ports), next(_ports)))
    create(ecs, "c", family, road)
    address = f"http://127.0.0.1:{server.server_port}/"
    (own_engine.home / "hooks.json").write_text(json.dumps({"check": address}))
    hook = function("check", "POST_SCALE_UP", hookDetails={"tries": 0})
    ecs.update_service(
        cluster="c", service="web", deploymentConfiguration=strategy("BLUE_GREEN", hook)
    )
    found = wait_for(ecs, deploy(ecs, "c", family), status="SUCCESSFUL")
    said = _Function.seen
    assert [call["hookDetails"]["tries"] for call in said] == [0, 1]
    assert said[0]["lifecycleStage"] == "POST_SCALE_UP"
    target = found["targetServiceRevision"]["arn"]
    source = found["sourceServiceRevisions"][0]["arn"]
    assert said[0]["productionTrafficWeights"] == {target: 0.0, source: 100.0}


def test_the_engine_ends_though_a_function_does_not_answer(own_engine: Engine, family: str) -> None:
    ecs, elbv2 = own_engine.client("ecs"), own_engine.client("elbv2")
    ecs.create_cluster(clusterName="c")
    road = build_road(elbv2, "silent", (next(_ports), next(_ports)))
    create(ecs, "c", family, road)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        (own_engine.home / "hooks.json").write_text(json.dumps({"check": address}))
        hook = function("check", "PRE_SCALE_UP")
        ecs.update_service(
            cluster="c", service="web", deploymentConfiguration=strategy("BLUE_GREEN", hook)
        )
        deploy(ecs, "c", family)
        silent.settimeout(DEADLINE_S)
        asked, _ = silent.accept()
        own_engine.shut_down()
        asked.close()


@pytest.mark.parametrize(
    "known",
    [
        None,
        {"check": {"hookStatus": "FAILED"}},
        {"check": "nowhere"},
        {"check": "http://127.0.0.1:1/"},
    ],
)
def test_a_function_that_fails_or_that_nothing_stands_for_rolls_back(
    own_engine: Engine, family: str, known: dict[str, Any] | None
) -> None:
    ecs, elbv2 = own_engine.client("ecs"), own_engine.client("elbv2")
    ecs.create_cluster(clusterName="c")
    road = build_road(elbv2, "functions", (next(_ports), next(_ports)))
    create(ecs, "c", family, road)
    if known is not None:
        (own_engine.home / "hooks.json").write_text(json.dumps(known))
    hook = function("check", "PRE_SCALE_UP")
    ecs.update_service(
        cluster="c", service="web", deploymentConfiguration=strategy("BLUE_GREEN", hook)
    )
    found = wait_for(ecs, deploy(ecs, "c", family), status="ROLLBACK_SUCCESSFUL")
    assert "lifecycle hook FAILED at PRE_SCALE_UP" in found["rollback"]["reason"]


def test_an_alarm_fails_a_deployment_but_not_one_that_was_there_before(
    own_engine: Engine, family: str
) -> None:
    ecs, elbv2 = own_engine.client("ecs"), own_engine.client("elbv2")
    alarms = own_engine.client("cloudwatch")
    for name in ("errors", "old"):
        alarms.put_metric_alarm(
            AlarmName=name, MetricName=name, Namespace="web", Period=60, EvaluationPeriods=1,
            Threshold=1.0, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )  # fmt: skip
    alarms.set_alarm_state(AlarmName="old", StateValue="ALARM", StateReason="test")
    alarms.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="test")
    ecs.create_cluster(clusterName="c")
    road = build_road(elbv2, "alarms", (next(_ports), next(_ports)))
    create(ecs, "c", family, road)
    watched = {"alarms": {"enable": True, "rollback": True, "alarmNames": ["errors", "old"]}}
    ecs.update_service(
        cluster="c",
        service="web",
        deploymentConfiguration=strategy("BLUE_GREEN", bakeTimeInMinutes=5) | watched,
    )
    arn = deploy(ecs, "c", family)
    wait_for(ecs, arn, lifecycleStage="BAKE_TIME")
    until(lambda: deployment_of(ecs, arn).get("alarms", {}).get("status") == "MONITORING")
    alarms.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
    found = wait_for(ecs, arn, status="ROLLBACK_SUCCESSFUL")
    assert found["alarms"]["triggeredAlarmNames"] == ["errors"]
    assert found["rollback"]["reason"] == "ECS deployment failed: alarm detected."


def test_an_alarm_fails_a_rolling_deployment_too(own_engine: Engine, family: str) -> None:
    ecs, alarms = own_engine.client("ecs"), own_engine.client("cloudwatch")
    alarms.put_metric_alarm(
        AlarmName="errors", MetricName="errors", Namespace="web", Period=10, EvaluationPeriods=1,
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        TreatMissingData="ignore",
    )  # fmt: skip
    ecs.create_cluster(clusterName="c")
    first = register(ecs, family)
    watched = {"alarms": {"enable": True, "rollback": True, "alarmNames": ["errors"]}}
    made = ecs.create_service(
        cluster="c", serviceName="web", taskDefinition=first, desiredCount=1,
        deploymentConfiguration=watched,
    )["service"]["currentServiceDeployment"]  # fmt: skip
    wait_for(ecs, made, status="SUCCESSFUL")
    arn = deploy(ecs, "c", family, start_ms=5_000)
    until(lambda: deployment_of(ecs, arn).get("alarms", {}).get("status") == "MONITORING")
    alarms.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
    wait_for(ecs, arn, status="ROLLBACK_SUCCESSFUL")
    assert describe(ecs, "c", "web")["taskDefinition"] == first


def test_a_deployment_goes_on_after_the_engine_was_killed(own_engine: Engine, family: str) -> None:
    ecs, elbv2 = own_engine.client("ecs"), own_engine.client("elbv2")
    ecs.create_cluster(clusterName="c")
    road = build_road(elbv2, "killed", (next(_ports), next(_ports)))
    create(ecs, "c", family, road)
    hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT")
    configuration = strategy("CANARY", hook, canaryConfiguration=CANARY)
    ecs.update_service(cluster="c", service="web", deploymentConfiguration=configuration)
    arn = deploy(ecs, "c", family)
    paused = ""
    for _ in range(2):
        paused = wait_paused(ecs, arn, after=paused)["hookId"]
        before = deployment_of(ecs, arn)
        own_engine.kill()
        own_engine.start()
        ecs, elbv2 = own_engine.client("ecs"), own_engine.client("elbv2")
        after = wait_for(ecs, arn, lifecycleStage="PRE_PRODUCTION_TRAFFIC_SHIFT")
        assert after["lifecycleHookDetails"] == before["lifecycleHookDetails"]
        ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=paused)
    wait_for(ecs, arn, status="SUCCESSFUL")
    assert weights(elbv2, road.production) == {road.blue: 0, road.green: 100}
