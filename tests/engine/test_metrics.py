"""CloudWatch's metrics: put, read again, imagined of services, over boto3 and the aws CLI."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from support.awscli import aws
from support.engine import Engine, container, null, register, until, wait_rollout

MINUTE = timedelta(minutes=1)
SCALE = 600  # a minute in a tenth of a second


@pytest.fixture
def watch(engine: Engine) -> Any:
    return engine.client("cloudwatch")


def minute(ago: int = 0) -> datetime:
    """Return the beginning of a minute."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - ago * MINUTE


def read(watch: Any, space: str, name: str, *stats: str, **more: Any) -> list[dict[str, Any]]:
    asked = {"StartTime": minute(9), "EndTime": minute(-1), "Period": 60, **more}
    extended = {"ExtendedStatistics": [s for s in stats if s.startswith("p")]}
    plain = {"Statistics": [s for s in stats if not s.startswith("p")]}
    kinds = {k: v for k, v in {**plain, **extended}.items() if v}
    answer = watch.get_metric_statistics(Namespace=space, MetricName=name, **asked, **kinds)
    assert answer["Label"] == name
    found: list[dict[str, Any]] = answer["Datapoints"]
    return found


def test_what_was_put_has_its_statistics(watch: Any) -> None:
    values = [{"MetricName": "took", "Value": n, "Timestamp": minute(2)} for n in range(1, 11)]
    watch.put_metric_data(Namespace="put", MetricData=values)
    [point] = read(watch, "put", "took", "Sum", "Average", "Minimum", "Maximum", "SampleCount",
                   "p90")  # fmt: skip
    assert point.pop("Timestamp") == minute(2)
    assert point == {
        "Sum": 55, "Average": 5.5, "Minimum": 1, "Maximum": 10, "SampleCount": 10, "Unit": "None",
        "ExtendedStatistics": {"p90": 9},
    }  # fmt: skip


def test_values_with_counts_and_sums_alone_count_as_samples(watch: Any) -> None:
    at = {"Timestamp": minute(3), "Unit": "Seconds"}
    told = {"SampleCount": 2, "Sum": 8, "Minimum": 1, "Maximum": 7}
    watch.put_metric_data(
        Namespace="many",
        MetricData=[
            {"MetricName": "m", "Values": [1, 3], "Counts": [2, 1], **at},
            {"MetricName": "m", "StatisticValues": told, **at},
        ],
    )
    [point] = read(watch, "many", "m", "Sum", "SampleCount", "Maximum")
    assert (point["Sum"], point["SampleCount"], point["Maximum"]) == (13, 5, 7)
    assert point["Unit"] == "Seconds"
    assert read(watch, "many", "m", "Sum", Unit="Count") == []


def test_longer_periods_begin_where_the_question_begins(watch: Any) -> None:
    data = [{"MetricName": "m", "Value": 1, "Timestamp": minute(n)} for n in range(1, 7)]
    watch.put_metric_data(Namespace="long", MetricData=data)
    points = read(watch, "long", "m", "Sum", StartTime=minute(6), EndTime=minute(), Period=120)
    assert [(p["Timestamp"], p["Sum"]) for p in points] == [
        (minute(6), 2), (minute(4), 2), (minute(2), 2),
    ]  # fmt: skip


def test_dimensions_tell_metrics_apart_and_lists_find_them(watch: Any) -> None:
    def one(color: str) -> list[dict[str, str]]:
        return [{"Name": "Color", "Value": color}, {"Name": "App", "Value": "shop"}]

    for color in ("red", "blue"):
        datum = {"MetricName": "hits", "Dimensions": one(color), "Value": len(color)}
        watch.put_metric_data(Namespace="dims", MetricData=[datum])
    assert read(watch, "dims", "hits", "Sum", Dimensions=one("blue")[::-1])[0]["Sum"] == 4
    assert read(watch, "dims", "hits", "Sum") == []
    listed = watch.list_metrics(Namespace="dims", Dimensions=[{"Name": "Color"}])["Metrics"]
    assert [m["Dimensions"][1]["Value"] for m in listed] == ["blue", "red"]
    only = watch.list_metrics(
        Namespace="dims", RecentlyActive="PT3H", Dimensions=[{"Name": "Color", "Value": "red"}]
    )
    assert len(only["Metrics"]) == 1


def test_metric_math_calculates_what_is_returned(watch: Any) -> None:
    for name, value in (("errors", 5), ("requests", 50)):
        datum = {"MetricName": name, "Value": value, "Timestamp": minute(2)}
        watch.put_metric_data(Namespace="math", MetricData=[datum])
    queries = [
        {"Id": name[0], "ReturnData": False, "MetricStat": {
            "Metric": {"Namespace": "math", "MetricName": name}, "Period": 60, "Stat": "Sum"}}
        for name in ("errors", "requests")
    ]  # fmt: skip
    rate = {"Id": "rate", "Expression": "100 * e / r", "Label": "error rate"}
    answer = watch.get_metric_data(
        MetricDataQueries=[rate, *queries], StartTime=minute(5), EndTime=minute()
    )
    [result] = answer["MetricDataResults"]
    assert (result["Id"], result["Label"], result["Values"]) == ("rate", "error rate", [10])
    assert result["Timestamps"] == [minute(2)]


@pytest.mark.parametrize(
    ("call", "wrong", "code"),
    [
        ("put_metric_data", {"Namespace": "AWS/ECS", "MetricData": [
            {"MetricName": "m", "Value": 1}]}, "InvalidParameterValue"),
        ("put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m"}]},
         "InvalidParameterCombination"),
        ("put_metric_data", {"Namespace": "n"}, "MissingParameter"),
        ("put_metric_data", {"Namespace": "n", "MetricData": [
            {"MetricName": "m", "Value": 1, "Values": [1]}]}, "InvalidParameterValue"),
        ("put_metric_data", {"Namespace": "n", "MetricData": [
            {"MetricName": "m", "Values": [1], "Counts": [1, 2]}]}, "InvalidParameterValue"),
        ("get_metric_data", {"StartTime": minute(), "EndTime": minute(), "MetricDataQueries": [
            {"Id": "a", "Expression": "1"}]}, "ValidationError"),
        ("put_metric_data", {"Namespace": "n", "MetricData": [
            {"MetricName": "m", "Value": 1, "Timestamp": datetime(2020, 1, 1, tzinfo=UTC)}]},
         "InvalidParameterValue"),
        ("get_metric_statistics", {"Namespace": "n", "MetricName": "m", "Period": 61,
         "StartTime": minute(2), "EndTime": minute(), "Statistics": ["Sum"]},
         "InvalidParameterValue"),
        ("get_metric_statistics", {"Namespace": "n", "MetricName": "m", "Period": 60,
         "StartTime": minute(2000), "EndTime": minute(), "Statistics": ["Sum"]},
         "InvalidParameterCombination"),
        ("get_metric_data", {"StartTime": minute(2), "EndTime": minute(), "MetricDataQueries": [
            {"Id": "a", "Expression": "a + 1"}]}, "ValidationError"),
        ("get_metric_data", {"StartTime": minute(2), "EndTime": minute(), "MetricDataQueries": [
            {"Id": "A", "Expression": "1"}]}, "ValidationError"),
        ("list_metrics", {"NextToken": "?"}, "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(watch: Any, call: str, wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(watch, call)(**wrong)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def send(engine: Engine, body: bytes, path: str = "", **headers: str) -> bytes:
    """Send what boto3 would not; return the answer."""
    env = engine.env
    keys = Credentials(env["access_key"], env["secret_key"])
    request = AWSRequest("POST", f"{env['endpoint']}/{path}", headers=headers, data=body)
    SigV4Auth(keys, "monitoring", env["region"]).add_auth(request)
    ready = urllib.request.Request(
        request.url, data=body, headers=dict(request.headers.items()), method="POST"
    )
    with urllib.request.urlopen(ready) as answer:
        text: bytes = answer.read()
        return text


def test_the_query_protocol_and_compressed_json_are_understood(engine: Engine, watch: Any) -> None:
    form = {
        "Action": "PutMetricData", "Version": "2010-08-01", "Namespace": "wire",
        "MetricData.member.1.MetricName": "m", "MetricData.member.1.Value": "3",
        "MetricData.member.1.Timestamp": minute(2).isoformat(),
    }  # fmt: skip
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert b"PutMetricDataResponse" in send(engine, urlencode(form).encode(), **kind)
    datum = {"MetricName": "m", "Value": 4, "Timestamp": minute(2).timestamp()}
    body = gzip.compress(json.dumps({"Namespace": "wire", "MetricData": [datum]}).encode())
    send(engine, body, **{
        "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData",
        "Content-Type": "application/x-amz-json-1.0", "Content-Encoding": "gzip",
    })  # fmt: skip
    assert read(watch, "wire", "m", "Sum")[0]["Sum"] == 7
    asked = {"Action": "ListMetrics", "Version": "2010-08-01", "Namespace": "wire"}
    assert b"<MetricName>m</MetricName>" in send(engine, urlencode(asked).encode(), **kind)


@pytest.fixture
def in_cbor(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that speaks CBOR, as SDKs of other languages do."""
    order = ("smithy-rpc-v2-cbor",)
    monkeypatch.setattr("botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS", order)
    client = engine.client("cloudwatch")
    assert client.meta.service_model.resolved_protocol == order[0]
    return client


def test_cbor_is_understood_and_answered(in_cbor: Any) -> None:
    data = [{"MetricName": "m", "Value": n, "Timestamp": minute(2)} for n in (1, 2.5)]
    in_cbor.put_metric_data(Namespace="cbor", MetricData=data)
    [point] = read(in_cbor, "cbor", "m", "Sum", "Average", "p50")
    assert (point["Timestamp"], point["Sum"], point["Average"]) == (minute(2), 3.5, 1.75)
    assert point["ExtendedStatistics"] == {"p50": 1}
    with pytest.raises(ClientError) as refused:
        in_cbor.set_alarm_state(AlarmName="nobody", StateValue="OK", StateReason="r")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize(
    "body", [b"\xff", b"\x81" * 3000, b"\xa1\x01\x02", b"\xd8\x1e\x82\x01\x02"]
)
def test_what_is_no_cbor_document_is_refused(engine: Engine, body: bytes) -> None:
    path = "service/GraniteServiceVersion20100801/operation/ListMetrics"
    kind = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        send(engine, body, path, **kind)
    with refused.value as answer:
        assert (answer.status, b"SerializationException" in answer.read()) == (400, True)


def test_data_points_survive_kill_and_go_with_a_reset(own_engine: Engine) -> None:
    watch = own_engine.client("cloudwatch")
    datum = {"MetricName": "m", "Value": 3, "Timestamp": minute(1)}
    watch.put_metric_data(Namespace="kept", MetricData=[datum])
    own_engine.kill()
    own_engine.start()
    assert read(own_engine.client("cloudwatch"), "kept", "m", "Sum")[0]["Sum"] == 3
    own_engine.empty_out()
    own_engine.start()
    assert own_engine.client("cloudwatch").list_metrics()["Metrics"] == []


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, "null", "--time-scale", str(SCALE))
    yield engine
    engine.shut_down()


def newest(engine: Engine, space: str, name: str, stat: str, **dimensions: str) -> float | None:
    """Return the newest value of a metric, by the engine's own clock."""
    query = {"Id": "q", "MetricStat": {"Period": 60, "Stat": stat, "Metric": {
        "Namespace": space, "MetricName": name,
        "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions.items()]}}}  # fmt: skip
    span = {"StartTime": minute(60), "EndTime": minute(-24 * 60)}
    answer = engine.client("cloudwatch").get_metric_data(MetricDataQueries=[query], **span)
    values = answer["MetricDataResults"][0]["Values"]
    return float(values[0]) if values else None


def test_imagined_containers_have_the_load_that_labels_say(fast: Engine) -> None:
    ecs = fast.client("ecs")
    ecs.create_cluster(
        clusterName="c", settings=[{"name": "containerInsights", "value": "enabled"}]
    )
    definition = register(ecs, "busy", container(dockerLabels=null(cpu=35, memory=80)))
    ecs.create_service(cluster="c", serviceName="s", taskDefinition=definition, desiredCount=3)
    wait_rollout(ecs, "c", "s")
    own = {"ClusterName": "c", "ServiceName": "s"}
    until(lambda: newest(fast, "AWS/ECS", "CPUUtilization", "SampleCount", **own) == 3)
    assert newest(fast, "AWS/ECS", "CPUUtilization", "Average", **own) == 35
    assert newest(fast, "AWS/ECS", "MemoryUtilization", "Maximum", **own) == 80
    assert newest(fast, "ECS/ContainerInsights", "RunningTaskCount", "Average", **own) == 3
    listed = aws(fast, "cloudwatch", "list-metrics", "--namespace", "AWS/ECS")["Metrics"]
    names = {(m["MetricName"], len(m["Dimensions"])) for m in listed}
    assert {("CPUUtilization", 2), ("MemoryReservation", 1), ("MemoryUtilization", 1)} <= names


def test_the_load_of_a_service_is_shared_by_its_tasks(fast: Engine) -> None:
    ecs, elbv2 = fast.client("ecs"), fast.client("elbv2")
    balancer = elbv2.create_load_balancer(Name="b", Subnets=["subnet-1"])["LoadBalancers"][0]
    group = elbv2.create_target_group(Name="g", Protocol="HTTP", Port=80)["TargetGroups"][0]
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Port=80, Protocol="HTTP",
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )  # fmt: skip
    ecs.create_cluster(clusterName="c")
    web = container(portMappings=[{"containerPort": 80}])
    ecs.create_service(
        cluster="c", serviceName="s", taskDefinition=register(ecs, "web", web), desiredCount=4,
        loadBalancers=[{"targetGroupArn": group["TargetGroupArn"], "containerName": "web",
                        "containerPort": 80}],
    )  # fmt: skip
    wait_rollout(ecs, "c", "s")
    load = {"cpu": 200, "memory": 30, "requests": 1000, "response_ms": 50, "errors": 1}
    (fast.home / "load.json").write_text(json.dumps({"c/s": load}))
    own = {"ClusterName": "c", "ServiceName": "s"}
    until(lambda: newest(fast, "AWS/ECS", "CPUUtilization", "Average", **own) == 50)
    space, name = "AWS/ApplicationELB", group["TargetGroupArn"].rpartition(":")[2]
    until(lambda: newest(fast, space, "RequestCountPerTarget", "Sum", TargetGroup=name) == 250)
    whole = {"LoadBalancer": balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]}
    assert newest(fast, space, "RequestCount", "Sum", **whole) == 1000
    assert newest(fast, space, "HTTPCode_Target_5XX_Count", "Sum", **whole) == 10
    assert newest(fast, space, "TargetResponseTime", "p99", **whole) == 0.05
    assert newest(fast, space, "HealthyHostCount", "Average", **whole, TargetGroup=name) == 4
