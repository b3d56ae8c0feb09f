"""The whole engine with real containers: what it starts, loses, brings back and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support.containers import docker
from support.engine import PROGRAM, Engine, container, describe, register, until, wait_rollout

from kaiun.engine.child import free_port
from kaiun.errors import EngineError
from kaiun.local import process

pytestmark = pytest.mark.docker

WEB = ["sh", "-c", "echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]


def pid(home: Path, name: str) -> int:
    """Return the process id of one of the engine's programs, 0 for none."""
    try:
        return int(json.loads((home / f"{name}.pid").read_text())["pid"])
    except FileNotFoundError:
        return 0


def kill(home: Path, name: str) -> int:
    """Kill one of the engine's programs; return the process id that it had."""
    killed = pid(home, name)
    os.kill(killed, signal.SIGKILL)
    return killed


def running(home: Path) -> list[str]:
    """Return the command lines of all processes that name this home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(home) in words:
            found.append(words)
    return found


def fetch(port: int, path: str = "/") -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()
    except (OSError, urllib.error.URLError):
        return ""


def serve(engine: Engine, image: str, *, count: int = 1, **fields: Any) -> int:
    """Deploy a web service behind a listener; return the listener's port."""
    ecs, elbv2 = engine.client("ecs"), engine.client("elbv2")
    ecs.create_cluster(clusterName="c")
    mapping = {"containerPort": 8080, "hostPort": 0}
    web = container(image=image, command=WEB, portMappings=[mapping], stopTimeout=2, **fields)
    register(ecs, "web", web)
    group = elbv2.create_target_group(
        Name="web",
        Protocol="HTTP",
        Port=80,
        HealthCheckTimeoutSeconds=2,
        HealthCheckIntervalSeconds=5,
    )["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_target_group_attributes(
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}],
    )
    balancer = elbv2.create_load_balancer(Name="web", Subnets=["subnet-local"])
    port = free_port()
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    ecs.create_service(
        cluster="c",
        serviceName="web",
        taskDefinition="web",
        desiredCount=count,
        loadBalancers=[
            {"targetGroupArn": group, "containerName": "web", "containerPort": 8080},
        ],
    )
    wait_rollout(ecs, "c", "web")
    return port


def test_killed_data_plane_comes_back_by_itself(machine: Engine, image: str) -> None:
    port = serve(machine, image)
    assert until(lambda: fetch(port)) == "hello\n"
    killed = kill(machine.home, "haproxy")
    assert until(lambda: pid(machine.home, "haproxy") != killed and fetch(port)) == "hello\n"
    assert "haproxy has ended" in machine.log()


def test_killed_registry_comes_back_by_itself(machine: Engine) -> None:
    port = int(machine.ports[1])
    killed = kill(machine.home, "registry")
    until(lambda: pid(machine.home, "registry") != killed and fetch(port, "/v2/") == "{}")
    until(lambda: "the registry runs again" in machine.log())


def test_killed_side_services_come_back_when_they_are_used(machine: Engine) -> None:
    machine.client("s3").create_bucket(Bucket="bucket")
    killed = kill(machine.home, "moto")
    until(lambda: "the side services forgot" in machine.log())
    machine.client("s3").create_bucket(Bucket="other")
    assert pid(machine.home, "moto") != killed


def test_programs_adopted_from_a_killed_engine_are_brought_back_too(
    machine: Engine, image: str
) -> None:
    port = serve(machine, image)
    machine.kill()
    machine.start()
    killed = kill(machine.home, "haproxy")
    assert until(lambda: pid(machine.home, "haproxy") != killed and fetch(port)) == "hello\n"


def test_shutdown_leaves_no_process_and_no_container(machine: Engine, image: str) -> None:
    serve(machine, image)
    held = []
    for turn in range(3):  # each leaves an old worker of HAProxy that a client holds on to
        rule = machine.client("elbv2").create_load_balancer(
            Name=f"more-{turn}", Subnets=["subnet-local"]
        )["LoadBalancers"][0]["LoadBalancerArn"]
        port = free_port()
        answer = {"StatusCode": "200", "MessageBody": "ok", "ContentType": "text/plain"}
        machine.client("elbv2").create_listener(
            LoadBalancerArn=rule,
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
        )
        until(lambda port=port: fetch(port) == "ok")  # type: ignore[misc]
        held.append(socket.create_connection(("127.0.0.1", port)))
    machine.client("s3").list_buckets()
    engine_id = health(machine)["engine_id"]
    machine.shut_down()
    for connection in held:
        connection.close()
    until(lambda: not running(machine.home))
    label = f"label=kaiun.engine={engine_id}"
    assert docker("ps", "-aq", "--filter", label) == ""
    assert docker("network", "ls", "-q", "--filter", label) == ""
    machine.start()
    until(lambda: describe(machine.client("ecs"), "c", "web")["runningCount"] == 1)


def test_reset_and_shutdown_leave_nothing_in_docker(machine: Engine, image: str) -> None:
    ecs = machine.client("ecs")
    ecs.create_cluster(clusterName="c")
    mount = {"sourceVolume": "data", "containerPath": "/data"}
    sleep = container("app", image=image, command=["sleep", "100"], mountPoints=[mount])
    volumes = [{"name": "data", "dockerVolumeConfiguration": {"scope": "shared"}}]
    register(ecs, "app", {**sleep, "stopTimeout": 2}, volumes=volumes)
    ecs.run_task(cluster="c", taskDefinition="app")
    engine_id = health(machine)["engine_id"]
    name = f"name=kaiun-{engine_id[:8]}"
    until(lambda: docker("volume", "ls", "-q", "--filter", name))
    machine.empty_out()
    assert docker("ps", "-aq", "--filter", f"label=kaiun.engine={engine_id}") == ""
    assert docker("volume", "ls", "-q", "--filter", name) == ""
    assert docker("network", "ls", "-q", "--filter", name) == ""
    assert running(machine.home) == []


def health(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fetch(engine.port, "/_kaiun/health"))
    return found


def start_fails(home: Path, *options: str, **environment: str) -> str:
    """Start an engine that must end at once; return what it says."""
    ports = ("--port", "0", "--registry-port", "0", "--fluent-port", "0")
    done = subprocess.run(
        [str(PROGRAM), "--home", str(home), *ports, *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert running(home) == []
    assert not (home / "engine.pid").exists()
    return done.stderr


@pytest.mark.parametrize("option", ["--port", "--registry-port", "--fluent-port"])
def test_taken_port_is_named_with_what_to_do_and_nothing_stays(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = start_fails(tmp_path, option, port)
    assert f"port {port}" in said
    assert f"kaiun local up {option}" in said


def tools_without(tmp_path: Path, missing: str) -> str:
    """Return a PATH with the engine's programs but one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("haproxy", "docker-registry"):
        if name != missing:
            (folder / name).symlink_to("/bin/false")
    return str(folder)


def test_missing_registry_program_is_named_with_its_package(tmp_path: Path) -> None:
    said = start_fails(tmp_path / "home", PATH=tools_without(tmp_path, "docker-registry"))
    assert "no registry program" in said
    assert "apt-get install docker-registry" in said


def test_missing_docker_engine_is_named(tmp_path: Path) -> None:
    said = start_fails(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert "cannot reach the Docker Engine" in said
    assert "hint: is dockerd running" in said


def test_down_stops_what_a_killed_engine_left(machine: Engine, image: str) -> None:
    serve(machine, image)
    engine_id = health(machine)["engine_id"]
    machine.kill()
    assert running(machine.home)
    assert process.down(machine.home)
    assert running(machine.home) == []
    assert docker("ps", "-aq", "--filter", f"label=kaiun.engine={engine_id}") == ""
    assert not process.down(machine.home)


def test_up_shows_the_error_of_the_engine_and_its_hint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} is taken") as raised:
            process.up(tmp_path, process.Ports(0, port, 0))
    assert "--registry-port" in raised.value.hint
    assert running(tmp_path) == []
    assert not process.down(tmp_path)
