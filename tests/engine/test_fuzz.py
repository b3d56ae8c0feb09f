"""Every implemented operation under requests that no sane client sends.

What is asked: the right AWS error each time, never a 500, never a hang. KAIUN_FUZZ_ROUNDS (1) says
how often each operation is gone through; a round is the seed, so a failure comes again.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.ecr import digest_of, layer, manifest
from support.engine import Engine, container, register
from support.fuzz import Pool, Requests, model_of

from kaiun.engine import operations  # noqa: F401  (registers the handlers)
from kaiun.engine.dispatch import HANDLERS

ROUNDS = int(os.environ.get("KAIUN_FUZZ_ROUNDS", "1"))
EACH = 12  # plausible, odd and unknown requests of each operation in a round
TIMEOUT_S = 10.0
_numbers = itertools.count(1)
CLIENTS = {
    "application-autoscaling": "application-autoscaling",
    "ecr": "ecr", "ecs": "ecs", "elasticloadbalancing": "elbv2", "logs": "logs",
    "monitoring": "cloudwatch", "scheduler": "scheduler",
    "servicediscovery": "servicediscovery",
}  # fmt: skip
IMPLEMENTED = sorted(HANDLERS)


def of_protocol(protocol: str) -> list[tuple[str, str]]:
    return [(s, o) for s, o in IMPLEMENTED if model_of(CLIENTS[s]).resolved_protocol == protocol]


JSON_ONES = of_protocol("json")
QUERY_ONES = of_protocol("query")
REST_ONES = of_protocol("rest-json")
# the code of what the model forbids, where it is another one
FORBIDDEN = {
    **dict.fromkeys(("monitoring", "application-autoscaling"), "ValidationException"),
    "servicediscovery": "InvalidInput",
}
NEEDED = (
    "ecs", "elbv2", "logs", "ecr", "cloudwatch", "application-autoscaling", "servicediscovery",
)  # fmt: skip
INVALID = {"missing", "enum", "length", "range"}
# what may be said of any request, beside the errors of the operation's own model
COMMON = {
    "InvalidParameterException", "SerializationException", "ClientException",
    "UnsupportedFeatureException", "ClusterNotFoundException", "RequestEntityTooLargeException",
    "ValidationError", "MalformedInput", "InvalidParameterValue", "ValidationException",
    "InvalidParameterValueException", "MissingRequiredParameterException",
    "InvalidParameterCombinationException",
}  # fmt: skip
OWN_FAULT = {
    "ServerException", "InternalFailure", "ServiceUnavailableException", "InternalServerException",
}  # fmt: skip


class Wire:
    """One connection to an engine; every request is signed unless it brings its own headers."""

    def __init__(self, engine: Engine) -> None:
        self._env = engine.env
        self._keys = Credentials(self._env["access_key"], self._env["secret_key"])
        self._connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=TIMEOUT_S)

    def close(self) -> None:
        self._connection.close()

    def headers(
        self, service: str, body: bytes, *, method: str = "POST", path: str = "/", **more: str
    ) -> dict[str, str]:
        request = AWSRequest(method, self._env["endpoint"] + path, headers=more, data=body)
        SigV4Auth(self._keys, service, self._env["region"]).add_auth(request)
        return dict(request.headers.items())

    def send(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self._connection.request("POST", "/", body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def rest(self, service: str, method: str, path: str, body: bytes) -> tuple[int, str]:
        """Return the status and the error's code ("" for a good answer) of a REST operation."""
        headers = self.headers(
            service, body, method=method, path=path, **{"Content-Type": "application/json"}
        )
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        json.loads(answer.read())
        return answer.status, answer.headers.get("x-amzn-errortype", "")

    def call(self, service: str, operation: str, body: bytes) -> tuple[int, str]:
        """Return the status and the error's code ("" for a good answer) of a JSON operation."""
        prefix = model_of(CLIENTS[service]).metadata["targetPrefix"]
        headers = self.headers(
            service,
            body,
            **{
                "X-Amz-Target": f"{prefix}.{operation}",
                "Content-Type": "application/x-amz-json-1.1",
            },
        )
        status, answer = self.send(headers, body)
        document = json.loads(answer)
        return status, "" if status == 200 else document["__type"]

    def query(self, operation: str, form: dict[str, str]) -> tuple[int, str]:
        """Return the status and the error's code ("" for a good answer) of a query operation."""
        whole = {"Action": operation, "Version": "2015-12-01", **form}
        body = urlencode(whole, errors="surrogatepass").encode()
        headers = self.headers(
            "elasticloadbalancing",
            body,
            **{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        status, answer = self.send(headers, body)
        document = ET.fromstring(answer)
        found = document.find(".//{*}Error/{*}Code")
        return status, "" if found is None else str(found.text)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine of this module alone."""
    engine = Engine(tmp_path_factory.mktemp("fuzz"))
    yield engine
    log = engine.log()
    engine.shut_down()
    assert "Traceback" not in log, log[-5000:]


@pytest.fixture
def wire(fuzzed: Engine) -> Iterator[Wire]:
    with closing(Wire(fuzzed)) as wire:
        yield wire


@pytest.fixture(scope="module")
def clients(fuzzed: Engine) -> Iterator[list[Any]]:
    """Return clients of the services that the pool has things of."""
    clients = [fuzzed.client(name) for name in NEEDED]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def pool(clients: list[Any]) -> Pool:
    """Names of things that exist, by the members that ask for them; of one test alone."""
    n = str(next(_numbers))
    ecs, elbv2, logs, ecr, watch, scaling, cloud_map = clients
    ecs.create_cluster(clusterName=n)
    definition = register(ecs, f"f{n}", container(portMappings=[{"containerPort": 80}]))
    service = ecs.create_service(
        cluster=n, serviceName="svc", taskDefinition=definition, desiredCount=1
    )["service"]["serviceArn"]
    task = ecs.run_task(cluster=n, taskDefinition=definition)["tasks"][0]["taskArn"]
    instance = ecs.list_container_instances(cluster=n)["containerInstanceArns"][0]
    deployment = ecs.list_service_deployments(cluster=n, service="svc")["serviceDeployments"][0]
    balancer = elbv2.create_load_balancer(Name=f"b{n}", Subnets=["subnet-1"])["LoadBalancers"][0]
    group = elbv2.create_target_group(Name=f"g{n}", Protocol="HTTP", Port=80)["TargetGroups"][0]
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Port=18000 + int(n),
        Protocol="HTTP",
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )["Listeners"][0]["ListenerArn"]
    rule = elbv2.describe_rules(ListenerArn=listener)["Rules"][0]["RuleArn"]
    logs.create_log_group(logGroupName=f"l{n}")
    logs.create_log_stream(logGroupName=f"l{n}", logStreamName="s")
    repository = ecr.create_repository(repositoryName=f"r-{n}")["repository"]["repositoryArn"]
    text = manifest(layer(n))
    image = ecr.put_image(repositoryName=f"r-{n}", imageManifest=text, imageTag="v1")["image"]
    policy = json.dumps({"rules": [{
        "rulePriority": 1, "action": {"type": "expire"},
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
    }]})  # fmt: skip
    upload = ecr.initiate_layer_upload(repositoryName=f"r-{n}")["uploadId"]
    return {
        "repositoryName": [f"r-{n}", f"r-{n}b"], "imageTag": ["v1", "v2"], "uploadId": [upload],
        "imageDigest": [image["imageId"]["imageDigest"]], "imageManifest": [text],
        "registryId": ["000000000000"], "layerDigest": [digest_of(layer(n))],
        "lifecyclePolicyText": [policy], "policyText": ["{}"],
        **scaled(watch, scaling, f"service/{n}/svc", f"a{n}"), **mapped(cloud_map, f"n{n}"),
        "cluster": [n], "clusterName": [n, f"{n}b"], "taskDefinition": [f"f{n}", definition],
        "service": ["svc", service], "serviceName": ["svc", "svc2"], "family": [f"f{n}"],
        "familyPrefix": [f"f{n}"], "task": [task],
        "resourceArn": [service, task, definition, repository],
        "containerInstance": [instance], "containerInstanceArn": [instance],
        "targetId": [instance], "targetGroupArn": [group["TargetGroupArn"]],
        "serviceDeploymentArn": [deployment["serviceDeploymentArn"]],
        "serviceRevisionArn": [deployment["targetServiceRevisionArn"]],
        "containerName": ["web"], "image": ["shop"], "logGroupName": [f"l{n}"],
        "logStreamName": ["s"], "Name": [f"b{n}", f"g{n}", "n"], "ResourceArn": [listener, rule],
        "LoadBalancerArn": [balancer["LoadBalancerArn"]], "ListenerArn": [listener],
        "TargetGroupArn": [group["TargetGroupArn"]], "RuleArn": [rule], "GroupName": ["default"],
        "ScheduleExpression": ["rate(1 hour)", "cron(0 9 ? * 2#1 *)", "at(2030-01-01T00:00:00)"],
        "ScheduleExpressionTimezone": ["Europe/Berlin"], "TaskDefinitionArn": [definition],
        "RoleArn": ["arn:aws:iam::000000000000:role/r"],
    }  # fmt: skip


def mapped(cloud_map: Any, name: str) -> Pool:
    """Make a namespace, a service and an instance of Cloud Map."""
    started = cloud_map.create_http_namespace(Name=name)["OperationId"]
    namespace = cloud_map.get_operation(OperationId=started)["Operation"]["Targets"]["NAMESPACE"]
    made = cloud_map.create_service(Name="web", NamespaceId=namespace)["Service"]
    cloud_map.register_instance(ServiceId=made["Id"], InstanceId="i", Attributes={"a": "b"})
    return {
        "Id": [namespace, made["Id"]], "NamespaceId": [namespace], "ServiceId": [made["Id"]],
        "InstanceId": ["i", "j"], "NamespaceName": [name], "ServiceName": ["web"],
        "OperationId": [started],
    }  # fmt: skip


def scaled(watch: Any, scaling: Any, resource: str, alarm: str) -> Pool:
    """Make a scalable target with a policy of each kind, an action and an alarm."""
    kind = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
    own = {**kind, "ResourceId": resource}
    target = scaling.register_scalable_target(**own, MinCapacity=1, MaxCapacity=2)
    step = {"AdjustmentType": "ExactCapacity", "StepAdjustments": [
        {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]}  # fmt: skip
    scaling.put_scaling_policy(
        **own, PolicyName="p", PolicyType="StepScaling", StepScalingPolicyConfiguration=step
    )
    tracked = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    scaling.put_scaling_policy(
        **own, PolicyName="t", PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 50, "PredefinedMetricSpecification": tracked},
    )  # fmt: skip
    scaling.put_scheduled_action(
        **own, ScheduledActionName="s", Schedule="rate(1 day)",
        ScalableTargetAction={"MinCapacity": 1},
    )  # fmt: skip
    watch.put_metric_alarm(
        AlarmName=alarm, Namespace="n", MetricName="m", Statistic="Sum", Period=60, Threshold=1,
        EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    return {
        **{name: [value] for name, value in own.items()}, "PolicyName": ["p", "t"],
        "ScheduledActionName": ["s"], "Schedule": ["rate(1 day)"], "AlarmName": [alarm],
        "ResourceARN": [target["ScalableTargetARN"]], "Namespace": ["n"], "MetricName": ["m"],
    }  # fmt: skip


def allowed(service: str, operation: str) -> set[str]:
    """Return the codes that this operation may answer with, by botocore's model."""
    shapes = model_of(CLIENTS[service]).operation_model(operation).error_shapes
    codes = {shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes}
    return (COMMON | codes | {shape.name for shape in shapes}) - OWN_FAULT


def check(answer: tuple[int, str], service: str, operation: str, body: Any) -> None:
    status, code = answer
    shown = f"{operation}: {status} {code} for {str(body)[:600]}"
    assert status == 200 or 400 <= status < 500, shown
    assert (status == 200) == (code == ""), shown
    assert not code or code in allowed(service, operation), shown


def packed(body: Any) -> bytes:
    return json.dumps(body).encode()


def bodies_of(service: str, operation: str, pool: Pool) -> Iterator[dict[str, Any]]:
    """Yield bodies of the right types: plausible, odd, huge ones, and with unknown members."""
    for seed in range(ROUNDS):
        requests = Requests(CLIENTS[service], operation, pool, seed)
        for _ in range(EACH):
            yield from (requests.odd(), requests.unknown(), requests.plausible())
        yield from (body for _ in range(2) if (body := requests.huge()) is not None)


@pytest.mark.parametrize(("service", "operation"), JSON_ONES)
def test_json_operation_survives_anything_of_the_right_types(
    wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    for body in bodies_of(service, operation, pool):
        check(wire.call(service, operation, packed(body)), service, operation, body)


@pytest.mark.parametrize(("service", "operation"), JSON_ONES)
def test_json_operation_names_what_the_model_forbids(
    wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    for seed in range(ROUNDS * 3):
        for wrong in Requests(CLIENTS[service], operation, pool, seed).wrong():
            forbidden = FORBIDDEN.get(service, "InvalidParameterException")
            expected = forbidden if wrong.kind in INVALID else "Serialization"
            status, code = wire.call(service, operation, packed(wrong.body))
            assert status == 400, (wrong.kind, wrong.path, wrong.body)
            assert code.startswith(expected), (wrong.kind, wrong.path, code, wrong.body)


@pytest.mark.parametrize(("service", "operation"), JSON_ONES)
def test_json_operation_refuses_what_is_no_json_object(
    wire: Wire, service: str, operation: str
) -> None:
    bodies = (b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{'a': 1}", b"[" * 50_000, b'{"a": NaN}')
    needs_none = model_of(CLIENTS[service]).operation_model(operation).input_shape is None
    for body in bodies:
        status, code = wire.call(service, operation, body)
        assert needs_none or (status, code) == (400, "SerializationException"), body[:20]


@pytest.mark.parametrize(("service", "operation"), QUERY_ONES)
def test_query_operation_survives_anything(
    wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    for body in bodies_of(service, operation, pool):
        check(wire.query(operation, flat(body)), service, operation, body)


@pytest.mark.parametrize(("service", "operation"), QUERY_ONES)
def test_query_operation_names_what_the_model_forbids(
    wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    for seed in range(ROUNDS * 3):
        for wrong in Requests("elbv2", operation, pool, seed).wrong():
            form = flat(wrong.body)
            if wrong.kind not in INVALID or not _says_parent(form, wrong.path):
                continue  # a form has neither types nor empty structures
            status, code = wire.query(operation, form)
            assert (status, code) == (400, "ValidationError"), (wrong.kind, wrong.path, wrong.body)


def _says_parent(form: dict[str, str], path: str) -> bool:
    """Return whether a form still has the structure that something is missing in."""
    steps = path.removeprefix(".").split(".")[:-1]
    parent = ".".join(f"member.{int(s) + 1}" if s.isdigit() else s for s in steps)
    return not parent or any(name.startswith(f"{parent}.") for name in form)


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Return a body as the parameters of a form."""
    if isinstance(value, dict):
        parts = [flat(item, f"{path}.{name}" if path else name) for name, item in value.items()]
        return {key: text for part in parts for key, text in part.items()}
    if isinstance(value, list):
        parts = [flat(item, f"{path}.member.{number}") for number, item in enumerate(value, 1)]
        return {key: text for part in parts for key, text in part.items()} or {path: ""}
    if isinstance(value, bool):
        return {path: str(value).lower()}
    return {path: str(value)}


LONGEST_PATH = 8000  # characters of path and query that are sent


def rested(service: str, operation: str, body: dict[str, Any]) -> tuple[str, str, bytes] | None:
    """Return method, path and body of a REST request; None where it has none."""
    model = model_of(CLIENTS[service]).operation_model(operation)
    assert model.input_shape is not None
    path, asked, rest = model.http["requestUri"], [], dict(body)
    for name, shape in model.input_shape.members.items():
        place, key = shape.serialization.get("location"), shape.serialization.get("name", name)
        if place == "uri":
            if name not in body:
                return None
            path = path.replace(f"{{{key}}}", quote(_text(rest.pop(name)), safe=""))
        elif place == "querystring" and name in rest:
            value = rest.pop(name)
            asked += [(key, _text(v)) for v in (value if isinstance(value, list) else [value])]
    path += f"?{urlencode(asked, errors='surrogatepass', quote_via=quote)}" if asked else ""
    return (model.http["method"], path, packed(rest)) if len(path) < LONGEST_PATH else None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()


@pytest.mark.parametrize(("service", "operation"), REST_ONES)
def test_rest_operation_survives_anything(
    wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    for body in bodies_of(service, operation, pool):
        if (request := rested(service, operation, body)) is not None:
            status, code = wire.rest(service, *request)
            if code != "UnknownOperationException":  # a path with an empty part
                check((status, code), service, operation, body)


@pytest.mark.parametrize(("service", "operation"), REST_ONES)
def test_rest_operation_names_what_the_model_forbids(
    wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    shape = model_of(CLIENTS[service]).operation_model(operation).input_shape
    assert shape is not None
    for seed in range(ROUNDS * 3):
        for wrong in Requests(CLIENTS[service], operation, pool, seed).wrong():
            member = shape.members[wrong.path.removeprefix(".").split(".")[0]]
            in_address = "location" in member.serialization
            request = rested(service, operation, wrong.body)
            if request is None or (in_address and wrong.kind == "type"):
                continue  # addresses have no types
            expected = "ValidationException" if wrong.kind in INVALID else "SerializationException"
            answer = wire.rest(service, *request)
            assert answer == (400, expected), (wrong.kind, wrong.path, wrong.body)


@pytest.mark.parametrize(("service", "operation"), [("ecs", "RunTask"), ("logs", "PutLogEvents")])
def test_forged_requests_are_refused_whatever_they_carry(
    fuzzed: Engine, wire: Wire, pool: Pool, service: str, operation: str
) -> None:
    prefix = model_of(CLIENTS[service]).metadata["targetPrefix"]
    for body in (Requests(service, operation, pool, seed).plausible() for seed in range(20)):
        data = packed(body)
        more = {"X-Amz-Target": f"{prefix}.{operation}"}
        headers = wire.headers(service, data, **more)
        forged = re.sub("Signature=.{8}", "Signature=00000000", headers["Authorization"])
        status, answer = wire.send({**headers, "Authorization": forged}, data)
        assert (status, json.loads(answer)["__type"]) == (400, "InvalidSignatureException")
        status, answer = wire.send({**headers, "Host": "evil.example"}, data)
        assert (status, json.loads(answer)["__type"]) == (403, "AccessDeniedException")
