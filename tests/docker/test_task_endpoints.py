"""What a container may ask at 169.254.170.2: metadata, its role's credentials, the whole API."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.containers import docker
from support.engine import Engine, register, until
from support.real_tasks import CLUSTER, Ran, shell, start

import kaiun

pytestmark = pytest.mark.docker

ROLE = "arn:aws:iam::123456789012:role/path/web"
DOOR = "http://169.254.170.2"
WGET = ("timeout", "10", "wget", "-O-")
MODES = ["bridge", "awsvpc", "host"]


@dataclass
class Inside:
    """A running container, from inside."""

    ran: Ran
    id: str

    def env(self) -> dict[str, str]:
        lines = docker("exec", self.id, "env").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def get(self, url: str) -> Any:
        return json.loads(docker("exec", self.id, *WGET, url))

    def metadata(self, path: str = "", version: str = "_V4") -> Any:
        return self.get(self.env()[f"ECS_CONTAINER_METADATA_URI{version}"] + path)

    def credentials(self) -> dict[str, str]:
        env = self.env()
        full = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        found: dict[str, str] = self.get(
            full or DOOR + env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        )
        return found

    def refuses(self, url: str) -> str:
        done = subprocess.run(
            ["docker", "exec", self.id, *WGET, url],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode, done.stdout
        return done.stderr


def inside(engine: Engine, image: str, family: str, **definition: Any) -> Inside:
    """Start a task of one long container, with a role; return it once it runs."""
    app = shell(
        image,
        "exec sleep 1000",
        dockerLabels={"team": "blue"},
        portMappings=[{"containerPort": 8080}],
        cpu=64,
    )
    run = {"tags": [{"key": "owner", "value": "us"}]}
    ran = start(engine, family, app, run=run, **{"taskRoleArn": ROLE, **definition})

    def running() -> str:
        ecs = engine.client("ecs")
        task = ecs.describe_tasks(cluster=CLUSTER, tasks=[ran.arn])["tasks"][0]
        assert task["lastStatus"] != "STOPPED", task
        return str(task["containers"][0]["runtimeId"]) if task["lastStatus"] == "RUNNING" else ""

    return Inside(ran, until(running))


@pytest.fixture(scope="module")
def by_mode(real: Engine, image: str) -> dict[str, Inside]:
    return {mode: inside(real, image, f"ask-{mode}", networkMode=mode) for mode in MODES}


@pytest.fixture
def own(by_mode: dict[str, Inside]) -> Inside:
    return by_mode["bridge"]


@pytest.fixture(params=MODES)
def any_mode(request: pytest.FixtureRequest, by_mode: dict[str, Inside]) -> Inside:
    return by_mode[request.param]


def test_container_learns_of_itself(any_mode: Inside) -> None:
    mode = any_mode.ran.family.removeprefix("ask-")
    found = any_mode.metadata()
    assert (found["Name"], found["DockerId"]) == ("app", any_mode.id)
    assert found["DockerName"] == docker("inspect", "-f", "{{.Name}}", any_mode.id)[1:]
    assert found["ImageID"] == docker("inspect", "-f", "{{.Image}}", any_mode.id)
    assert (found["DesiredStatus"], found["KnownStatus"]) == ("RUNNING", "RUNNING")
    assert found["Limits"] == {"CPU": 64, "Memory": 64}
    assert found["Type"] == "NORMAL"
    assert found["CreatedAt"] < found["StartedAt"]
    assert found["Labels"]["team"] == "blue"
    assert found["Labels"]["com.amazonaws.ecs.task-arn"] == any_mode.ran.arn
    assert not [name for name in found["Labels"] if name.startswith("kaiun.")]
    assert found["ContainerARN"].startswith("arn:aws:ecs:us-east-1:000000000000:container/real/")
    (network,) = found["Networks"]
    assert network["NetworkMode"] == mode
    if mode == "bridge":
        (port,) = found["Ports"]
        assert (port["ContainerPort"], port["Protocol"], port["HostIp"]) == (
            8080, "tcp", "127.0.0.1",
        )  # fmt: skip
    if mode == "awsvpc":
        (address,) = network["IPv4Addresses"]
        assert network["IPv4SubnetCIDRBlock"].rpartition("/")[0].split(".")[0] in address
        assert {"MACAddress", "PrivateDNSName", "SubnetGatewayIpv4Address"} <= network.keys()


def test_task_is_told_whole(any_mode: Inside) -> None:
    found = any_mode.metadata("/task")
    assert (found["Cluster"], found["TaskARN"]) == (CLUSTER, any_mode.ran.arn)
    assert (found["Family"], found["Revision"]) == (any_mode.ran.family, "1")
    assert (found["KnownStatus"], found["LaunchType"]) == ("RUNNING", "EC2")
    assert found["PullStartedAt"] <= found["PullStoppedAt"]
    assert [c["DockerId"] for c in found["Containers"]] == [any_mode.id]
    assert "TaskTags" not in found


def test_tags_are_told_where_asked_for(own: Inside) -> None:
    assert own.metadata("/taskWithTags")["TaskTags"] == {"owner": "us"}


def test_statistics_are_dockers(any_mode: Inside) -> None:
    found = any_mode.metadata("/stats")
    assert found["memory_stats"]["limit"] == 64 * 1024 * 1024
    assert found["cpu_stats"]["system_cpu_usage"] > found["precpu_stats"]["system_cpu_usage"]
    assert any_mode.metadata("/task/stats").keys() == {any_mode.id}


def test_network_of_a_whole_task_is_in_the_statistics(by_mode: dict[str, Inside]) -> None:
    assert by_mode["awsvpc"].metadata("/stats")["networks"]["eth0"]["rx_bytes"] > 0


def test_version_3_tells_what_it_told(own: Inside) -> None:
    found = own.metadata("/task", version="")
    assert "ServiceName" not in found
    assert "ContainerARN" not in found["Containers"][0]
    assert found["Containers"][0]["Networks"][0]["NetworkMode"] == "bridge"


@pytest.mark.parametrize(
    "path",
    [
        "/v4/" + "0" * 32 + "-" + "0" * 20,
        "/v4/",
        "/v2/credentials/00000000-0000-0000-0000-000000000000",
        "/v2/credentials/",
        "/v4/../v4",
    ],
)
def test_what_nobody_was_told_is_not_there(own: Inside, path: str) -> None:
    assert "404" in own.refuses(DOOR + path)


def test_who_knows_a_task_cannot_ask_for_it(own: Inside, by_mode: dict[str, Inside]) -> None:
    other = by_mode["awsvpc"].env()["ECS_CONTAINER_METADATA_URI_V4"]
    assert "404" in own.refuses(other[:-1] + ("0" if other[-1] != "0" else "1"))
    assert "404" in own.refuses(other.rpartition("-")[0])


def test_credentials_are_of_the_role_and_stay_the_same(any_mode: Inside) -> None:
    found = any_mode.credentials()
    assert found["RoleArn"] == ROLE
    assert found["AccessKeyId"].startswith("ASIA")
    assert found.keys() == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert any_mode.credentials() == found


def test_task_without_a_role_has_no_credentials(real: Engine, image: str) -> None:
    env = inside(real, image, "roleless", taskRoleArn="").env()
    assert "ECS_CONTAINER_METADATA_URI_V4" in env
    assert not [name for name in env if name.startswith("AWS_") and name != "AWS_EXECUTION_ENV"]


def with_python(engine: Engine, image: str, script: str, mode: str) -> list[str]:
    """Run a script by this machine's Python, with its packages, in a container."""
    package = str(Path(kaiun.__file__).parents[1])
    folders = {"/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix, package}
    names = {f"m{n}": folder for n, folder in enumerate(sorted(folders))}
    app = shell(
        image,
        "",
        entryPoint=[sys.executable, "-c"],
        command=[script],
        memory=256,
        mountPoints=[
            {"sourceVolume": name, "containerPath": folder, "readOnly": True}
            for name, folder in names.items()
        ],
    )
    volumes = [
        {"name": name, "host": {"sourcePath": str(Path(folder).resolve())}}
        for name, folder in names.items()
    ]
    family = f"python-{mode}"
    return start(
        engine, family, app, volumes=volumes, networkMode=mode, taskRoleArn=ROLE
    ).said()  # fmt: skip


SCRIPT = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"].rpartition("/")[0])
s3 = boto3.client("s3")
s3.create_bucket(Bucket="made-by-BUCKET")
s3.put_object(Bucket="made-by-BUCKET", Key="a/b", Body=b"x" * 100_000)
print(len(s3.get_object(Bucket="made-by-BUCKET", Key="a/b")["Body"].read()))
print(boto3.client("ecs").describe_clusters(clusters=["real"])["clusters"][0]["clusterName"])
"""


@pytest.mark.parametrize("mode", MODES)
def test_boto3_finds_its_keys_and_the_api_by_itself(real: Engine, image: str, mode: str) -> None:
    said = with_python(real, image, SCRIPT.replace("BUCKET", mode), mode)
    assert said == ["arn:aws:sts::000000000000:assumed-role/web", "100000", "real"]
    kept = real.client("s3").get_object(Bucket=f"made-by-{mode}", Key="a/b")
    assert kept["ContentLength"] == 100_000


ENTRY = """
from kaiun.entry.aws import Aws
from kaiun.entry.http import Line
aws = Aws("", Line(10, 1))
print(aws.object("for-the-entry", "a b/file.txt").decode())
print(aws.call("ssm", "GetParameter", {"Name": "/for/entry"})["Parameter"]["Value"])
"""


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_entry_of_an_image_fetches_with_the_keys_of_the_role(
    real: Engine, image: str, mode: str
) -> None:
    s3, ssm = real.client("s3"), real.client("ssm")
    s3.create_bucket(Bucket="for-the-entry")
    s3.put_object(Bucket="for-the-entry", Key="a b/file.txt", Body=b"from S3")
    ssm.put_parameter(Name="/for/entry", Value="from SSM", Type="String", Overwrite=True)
    assert with_python(real, image, ENTRY, mode) == ["from S3", "from SSM"]


def as_task(own: Inside, service: str, **changes: str) -> Any:
    """Return a client that has the credentials of a task."""
    found = {**own.credentials(), **changes}
    return boto3.client(
        service,
        endpoint_url=own.ran.engine.env["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["Token"],
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Token": "of somebody else"}, "UnrecognizedClientException"),
        ({"AccessKeyId": "ASIA0000000000000000"}, "UnrecognizedClientException"),
        ({"SecretAccessKey": "0" * 40}, "InvalidSignatureException"),
    ],
)
def test_keys_of_a_task_are_checked(own: Inside, changes: dict[str, str], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        as_task(own, "ecs", **changes).list_clusters()
    assert refused.value.response["Error"]["Code"] == code


def test_task_cannot_have_containers_made_as_it_likes(own: Inside) -> None:
    ecs = as_task(own, "ecs")
    assert ecs.list_clusters()["clusterArns"]
    with pytest.raises(ClientError, match="not authorized to perform: ecs:RegisterTaskDefinition"):
        ecs.register_task_definition(
            family="escape",
            containerDefinitions=[shell("x", "", privileged=True)],
        )
    with pytest.raises(ClientError, match="not authorized"):
        as_task(own, "batch").describe_job_definitions()


def test_door_is_open_to_the_tasks_of_this_engine_alone(own: Inside, image: str) -> None:
    """Not to containers elsewhere, nor at the door's other address, nor at one of this machine."""
    url = own.env()["ECS_CONTAINER_METADATA_URI_V4"]
    elsewhere = subprocess.run(
        ["docker", "run", "--rm", image, *WGET, url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert elsewhere.returncode
    network = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", own.id))
    (name,) = network
    door = docker(
        "inspect", "-f", "{{(index .NetworkSettings.Networks \"" + name + "\").IPAddress}}",
        f"{name}-door",
    )  # fmt: skip
    assert "refused" in own.refuses(f"http://{door}/")
    assert "refused" in own.refuses("http://169.254.169.254/latest/meta-data/")


def test_protection_of_a_task_of_its_own_is_no_service(own: Inside) -> None:
    url = own.env()["ECS_AGENT_URI"] + "/task-protection/v1/state"
    assert own.get(url)["failure"]["Reason"] == "TASK_NOT_VALID"


def test_task_protects_itself(real: Engine, image: str) -> None:
    ecs = real.client("ecs")
    register(ecs, "protects", shell(image, "exec sleep 1000"), networkMode="host")
    ecs.create_service(
        cluster=CLUSTER, serviceName="protects", taskDefinition="protects", desiredCount=1
    )
    mark = "label=com.amazonaws.ecs.task-definition-family=protects"
    until(lambda: docker("ps", "-q", "--filter", mark))
    env = dict(
        line.split("=", 1)
        for line in docker("exec", docker("ps", "-q", "--filter", mark), "env").splitlines()
    )
    url = env["ECS_AGENT_URI"] + "/task-protection/v1/state"
    try:
        assert ask(url)["protection"]["ProtectionEnabled"] is False
        wish = {"ProtectionEnabled": True, "ExpiresInMinutes": 5}
        own = ask(url, wish)["protection"]
        assert own.keys() == {"ProtectionEnabled", "ExpirationDate", "TaskArn"}
        (shown,) = ecs.get_task_protection(cluster=CLUSTER, tasks=[own["TaskArn"]])[
            "protectedTasks"
        ]
        assert shown["protectionEnabled"]
        assert (
            f"{shown['expirationDate'].astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
            in (own["ExpirationDate"])
        )
        assert ask(url, {"ExpiresInMinutes": 5})["error"]["Code"] == "InvalidParameterException"
        assert ask(url, {"ProtectionEnabled": False})["protection"]["ExpirationDate"] is None
    finally:
        ecs.delete_service(cluster=CLUSTER, service="protects", force=True)


def ask(url: str, wish: Mapping[str, object] | None = None) -> Any:
    """GET, or PUT of a wish; return the answer whatever its status."""
    data = None if wish is None else json.dumps(wish).encode()
    request = urllib.request.Request(url, data, method="GET" if wish is None else "PUT")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as problem:
        return json.load(problem)


def test_door_that_is_taken_away_is_made_anew(own: Inside) -> None:
    name = docker("inspect", "-f", "{{.HostConfig.NetworkMode}}", own.id)
    docker("rm", "-f", f"{name}-door")
    url = own.env()["ECS_CONTAINER_METADATA_URI_V4"]
    until(lambda: answers(own, url))
    assert "making another" in own.ran.engine.log()


def answers(own: Inside, url: str) -> bool:
    asked = ["docker", "exec", own.id, *WGET, url]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def test_next_engine_serves_the_same_door_and_knows_the_keys(own: Inside) -> None:
    before = own.credentials()
    own.ran.engine.kill()
    own.ran.engine.start()
    url = own.env()["ECS_CONTAINER_METADATA_URI_V4"]
    until(lambda: answers(own, url))
    assert own.credentials() == before
    assert as_task(own, "ecs").list_clusters()["clusterArns"]


def test_keys_of_a_task_end_with_it(real: Engine, image: str) -> None:
    gone = inside(real, image, "gone")
    ecs = as_task(gone, "ecs")
    url = gone.env()["ECS_CONTAINER_METADATA_URI_V4"]
    real.client("ecs").stop_task(cluster=CLUSTER, task=gone.ran.arn)
    gone.ran.stopped()
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        ecs.list_clusters()
    assert "404" in inside(real, image, "still").refuses(url)
