"""ECR with the real docker: login, push, pull, tasks, and what ECR refuses."""

from __future__ import annotations

import http.client
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.awscli import printed
from support.cli_app import work_tree
from support.containers import docker as host_docker
from support.ecr import MANIFEST, Docker, digest_of, layer, manifest
from support.engine import Engine, container, register, until, wait_stopped
from support.images import programs

from kaiun.local import process
from kaiun.local.home import LocalEnv, engine_home

pytestmark = pytest.mark.docker
PART = 1024 * 1024


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("machine"), runtime="docker")
    yield engine
    engine.empty_out()


@pytest.fixture
def ecr(machine: Engine) -> Any:
    return machine.client("ecr")


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path / "docker-settings")


@pytest.fixture
def tagged(ecr: Any, image: str) -> Iterator[str]:
    """A repository, and an image of this machine that is tagged for it: its URI with :v1."""
    name = f"team/{uuid.uuid4().hex[:12]}"
    uri = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    host_docker("tag", image, f"{uri}:v1")
    yield f"{uri}:v1"
    host_docker("image", "rm", "--force", f"{uri}:v1")


def name_of(image: str) -> str:
    return image.partition("/")[2].rpartition(":")[0]


def log_in(machine: Engine, docker: Docker) -> None:
    """Log in as ECR's documentation says, with the aws CLI as it is."""
    password = printed(machine, "ecr", "get-login-password").strip()
    host = f"localhost:{machine.port}"
    said = docker("login", "--username", "AWS", "--password-stdin", host, data=password)
    assert "Login Succeeded" in said


def test_image_is_pushed_seen_by_the_api_and_pulled(
    machine: Engine, ecr: Any, docker: Docker, wire: Wire, tagged: str
) -> None:
    log_in(machine, docker)
    pushed = re.search(r"digest: (sha256:\w+)", docker("push", tagged))
    assert pushed
    (found,) = ecr.describe_images(repositoryName=name_of(tagged))["imageDetails"]
    assert (found["imageDigest"], found["imageTags"]) == (pushed[1], ["v1"])
    assert "lastRecordedPullTime" not in found
    docker("image", "rm", tagged)
    docker("pull", tagged)
    # docker asks for no more than the digest where it has the image under another name
    assert wire.ask("GET", f"/{name_of(tagged)}/manifests/v1", Accept=MANIFEST)[0] == 200
    (found,) = ecr.describe_images(repositoryName=name_of(tagged))["imageDetails"]
    assert "lastRecordedPullTime" in found
    ecr.batch_delete_image(
        repositoryName=name_of(tagged), imageIds=[{"imageDigest": found["imageDigest"]}]
    )
    assert "manifest unknown" in docker.failing("pull", tagged)


def test_push_is_told_of_on_eventbridge(machine: Engine, docker: Docker, tagged: str) -> None:
    log_in(machine, docker)
    logs, events = machine.client("logs"), machine.client("events")
    logs.create_log_group(logGroupName="pushes")
    until(lambda: machine.client("sts").get_caller_identity()["Account"], 60)
    events.put_rule(Name="pushes", EventPattern='{"source": ["aws.ecr"]}')
    group = "arn:aws:logs:us-east-1:000000000000:log-group:pushes"
    events.put_targets(Rule="pushes", Targets=[{"Id": "1", "Arn": group}])
    docker("push", tagged)
    lines = until(lambda: logs.filter_log_events(logGroupName="pushes")["events"])
    (detail,) = (json.loads(line["message"])["detail"] for line in lines)
    assert (detail["action-type"], detail["image-tag"]) == ("PUSH", "v1")
    assert detail["repository-name"] == name_of(tagged)


def test_strangers_are_refused_as_by_ecr(machine: Engine, docker: Docker, tagged: str) -> None:
    assert "no basic auth credentials" in docker.failing("push", tagged)
    assert "no basic auth credentials" in docker.failing("pull", tagged)
    host = f"localhost:{machine.port}"
    said = docker.failing("login", "-u", "AWS", "--password-stdin", host, data="wrong")
    assert "401 Unauthorized" in said


def test_repository_that_was_not_made_is_unknown(
    machine: Engine, docker: Docker, image: str
) -> None:
    log_in(machine, docker)
    name = f"localhost:{machine.port}/nobody"
    host_docker("tag", image, name)
    try:
        said = docker.failing("push", name)
    finally:
        host_docker("image", "rm", name)
    text = "The repository with name 'nobody' does not exist in the registry with id '000000000000'"
    assert f"name unknown: {text}" in said


def test_fixed_tag_is_not_pushed_again(
    machine: Engine, ecr: Any, docker: Docker, tagged: str
) -> None:
    log_in(machine, docker)
    name = name_of(tagged)
    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")
    docker("push", tagged)
    said = docker.failing("push", tagged)
    assert f"tag invalid: The image tag 'v1' already exists in the '{name}' repository" in said


def test_open_registry_and_ecr_are_one(
    machine: Engine, ecr: Any, docker: Docker, image: str, tagged: str
) -> None:
    """What kaiun pushes without a login goes on to be possible, and is seen by ECR."""
    open_name = f"{machine.env['registry']}/{name_of(tagged)}:open"
    host_docker("tag", image, open_name)
    try:
        docker("push", open_name)
        (found,) = ecr.list_images(repositoryName=name_of(tagged))["imageIds"]
        assert found["imageTag"] == "open"
        text = ecr.batch_get_image(repositoryName=name_of(tagged), imageIds=[found])["images"]
        ecr.put_image(
            repositoryName=name_of(tagged),
            imageManifest=text[0]["imageManifest"],
            imageTag="again",
        )
        host_docker("image", "rm", open_name)
        docker("pull", open_name.replace(":open", ":again"))
    finally:
        docker("image", "rm", "--force", open_name, open_name.replace(":open", ":again"))


def test_tasks_images_are_pulled_with_the_engines_own_login(
    machine: Engine, docker: Docker, tagged: str
) -> None:
    log_in(machine, docker)
    docker("push", tagged)
    host_docker("image", "rm", tagged)
    ecs = machine.client("ecs")
    ecs.create_cluster(clusterName="pulls")
    register(ecs, "pulls", container(image=tagged, command=["sh", "-c", "exit 7"]))
    arn = ecs.run_task(cluster="pulls", taskDefinition="pulls")["tasks"][0]["taskArn"]
    stopped = wait_stopped(ecs, "pulls", arn)
    assert stopped["containers"][0]["exitCode"] == 7, stopped


def test_layer_put_by_the_api_is_pulled_by_its_link(machine: Engine, ecr: Any, tagged: str) -> None:
    name, data = name_of(tagged), layer("by the API")
    with pytest.raises(ecr.exceptions.LayersNotFoundException):
        ecr.put_image(repositoryName=name, imageManifest=manifest(data), imageTag="api")
    for part in (data, b"{}"):
        own = {
            "repositoryName": name,
            "uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"],
        }
        last = len(part) - 1
        ecr.upload_layer_part(partFirstByte=0, partLastByte=last, layerPartBlob=part, **own)
        ecr.complete_layer_upload(layerDigests=[digest_of(part)], **own)
    ecr.put_image(repositoryName=name, imageManifest=manifest(data), imageTag="api")
    link = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest_of(data))
    status, _, body = Wire(machine, "").ask("GET", link["downloadUrl"].partition("/v2")[2])
    assert (status, body) == (200, data)
    spoiled = link["downloadUrl"].partition("/v2")[2].replace("signature=", "signature=0")
    assert Wire(machine, "").ask("GET", spoiled)[0] == 401


class Wire:
    """The registry's protocol below /v2, spoken by hand."""

    def __init__(self, machine: Engine, token: str) -> None:
        self._port = machine.port
        self._own = {"Authorization": f"Basic {token}"} if token else {}

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("localhost", self._port, timeout=60)
        try:
            connection.request(method, f"/v2{path}", body, {**self._own, **headers})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def wire(machine: Engine, ecr: Any) -> Wire:
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return Wire(machine, token)


def path_of(location: str) -> str:
    assert location.startswith("http://localhost:")
    return location.partition("/v2")[2]


def test_upload_goes_on_after_the_engine_was_killed_within_it(
    machine: Engine, wire: Wire, tagged: str
) -> None:
    name, data = name_of(tagged), os.urandom(3 * PART)
    _, headers, _ = wire.ask("POST", f"/{name}/blobs/uploads/")
    place = path_of(headers["location"])
    _, headers, _ = wire.ask("PATCH", place, data[:PART])
    place = path_of(headers["location"])
    machine.kill()
    machine.start()
    status, headers, _ = wire.ask("GET", place)
    assert (status, headers["range"]) == (204, f"0-{PART - 1}")
    _, headers, _ = wire.ask("PATCH", path_of(headers["location"]), data[PART:])
    place = path_of(headers["location"])
    status, _, _ = wire.ask("PUT", f"{place}&digest={digest_of(data)}")
    assert status == 201
    blob = f"/{name}/blobs/{digest_of(data)}"
    status, headers, body = wire.ask("GET", blob, Range=f"bytes={PART}-{PART + 9}")
    assert (status, body) == (206, data[PART : PART + 10])
    assert wire.ask("HEAD", blob)[1]["content-length"] == str(3 * PART)


def test_large_layers_do_not_stay_in_memory(machine: Engine, wire: Wire, tagged: str) -> None:
    name, part = name_of(tagged), os.urandom(PART)
    before = memory_mib(machine)
    _, headers, _ = wire.ask("POST", f"/{name}/blobs/uploads/")
    length = {"Content-Length": str(200 * PART)}
    _, headers, _ = wire.ask(
        "PATCH", path_of(headers["location"]), (part for _ in range(200)), **length
    )
    assert headers["range"] == f"0-{200 * PART - 1}"
    wire.ask("DELETE", path_of(headers["location"]))
    assert memory_mib(machine) - before < 60


def memory_mib(machine: Engine) -> int:
    """Return the most memory that the engine has had."""
    status = Path(f"/proc/{machine.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


def test_tags_are_listed_in_pages(ecr: Any, wire: Wire, tagged: str) -> None:
    name = name_of(tagged)
    assert json.loads(wire.ask("GET", f"/{name}/tags/list")[2]) == {"name": name, "tags": []}
    place = path_of(wire.ask("POST", f"/{name}/blobs/uploads/")[1]["location"])
    assert wire.ask("PUT", f"{place}&digest={digest_of(b'{}')}", b"{}")[0] == 201
    for tag in ("c", "a", "b"):
        ecr.put_image(repositoryName=name, imageManifest=manifest() + " " * ord(tag), imageTag=tag)
    _, headers, body = wire.ask("GET", f"/{name}/tags/list?n=2")
    assert json.loads(body)["tags"] == ["a", "b"]
    following = re.search(r"</v2(.*)>; rel", headers["link"])
    assert following
    assert json.loads(wire.ask("GET", following[1])[2])["tags"] == ["c"]


def test_images_are_not_deleted_past_the_api(wire: Wire, tagged: str) -> None:
    digest = digest_of(b"x")
    assert wire.ask("DELETE", f"/{name_of(tagged)}/manifests/{digest}")[0] == 405
    assert wire.ask("GET", "/_catalog")[0] == 404


@pytest.fixture
def name() -> Iterator[str]:
    """An app's name; its images go once nothing runs any more."""
    name = f"shop-{uuid.uuid4().hex[:12]}"
    yield name
    for image in host_docker("image", "ls", "-q", f"--filter=label=kaiun.app={name}").split():
        host_docker("image", "rm", "--force", image)


@pytest.fixture
def local(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEnv]:
    """A local ECS as kaiun itself starts it."""
    del name
    monkeypatch.setenv("KAIUN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    home = engine_home()
    yield process.up(home, process.Ports(0, 0, 0)).env
    process.reset(home)
    process.down(home)


def test_kaiun_builds_pushes_and_deploys_with_ecrs_login(
    name: str,
    local: LocalEnv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "app"
    root.mkdir()
    app = work_tree(root, monkeypatch, capsys)
    for path, content in programs("sh", "sleep").items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(0o755)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY system/ /\n")
    repository = f"localhost:{local.endpoint.rpartition(':')[2]}/{name}"
    worker = {"command": ["sleep", "600"], "stop_timeout": 2}
    app.commit(
        {
            "app": name,
            "image": {"repository": repository},
            "logs": {"driver": "json-file"},
            "processes": {"worker": worker},
        }
    )
    assert app.kaiun("build") != 0
    assert f"The repository with name '{name}' does not exist" in app.err
    ecr = boto3.client("ecr", **client_of(local))
    ecr.create_repository(repositoryName=name)
    assert app.kaiun("deploy") == 0, app.err
    (image,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    ecs = boto3.client("ecs", **client_of(local))
    cluster = ecs.list_clusters()["clusterArns"][0]
    (arn,) = ecs.list_tasks(cluster=cluster)["taskArns"]
    (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    assert task["containers"][0]["image"] == f"{repository}@{image['imageDigest']}"


def client_of(local: LocalEnv) -> dict[str, str]:
    return {
        "endpoint_url": local.endpoint,
        "region_name": local.region,
        "aws_access_key_id": local.access_key,
        "aws_secret_access_key": local.secret_key,
    }
