"""Tasks said in Docker's words, and Docker's words understood (no Docker Engine needed)."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from kaiun.engine.runtime import (
    docker_elf,
    docker_images,
    docker_pause,
    docker_spec,
    docker_state,
)
from kaiun.engine.runtime.base import (
    ContainerSpec,
    ContainerStatus,
    Device,
    HealthCheck,
    Mount,
    NetworkMode,
    Observation,
    PortBinding,
    PortMapping,
    TaskSpec,
)

WEB = ContainerSpec("web", "localhost:5000/shop@sha256:" + "a" * 64)
TASK = TaskSpec(
    task_id="0123456789abcdef0123456789abcdef",
    task_arn="arn:aws:ecs:us-east-1:000000000000:task/c/0123456789abcdef0123456789abcdef",
    cluster="c",
    family="shop-web",
    revision=7,
    network_mode=NetworkMode.BRIDGE,
    containers=(WEB,),
    aliases=("web",),
)


FILES = {"max-size": "64m", "max-file": "2"}
FORCED = {
    "fluentd-async": "true",
    "fluentd-request-ack": "true",
    "fluentd-sub-second-precision": "true",
}


def create(spec: ContainerSpec, mode: NetworkMode = NetworkMode.BRIDGE) -> dict[str, Any]:
    return docker_spec.container("e" * 32, replace(TASK, network_mode=mode), spec, "sha256:b")


def test_container_has_one_possible_name() -> None:
    assert docker_spec.container_name(TASK, "web") == "ecs-shop-web-7-web-0123456789ab"


def test_bare_container_asks_for_nothing_special() -> None:
    config = create(WEB)
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert not {"Cmd", "Entrypoint", "User", "WorkingDir", "Hostname"} & config.keys()
    assert not {"Memory", "CpuShares", "ShmSize", "Init"} & config["HostConfig"].keys()
    assert config["HostConfig"]["NetworkMode"] == "kaiun-eeeeeeee"


def test_labels_name_engine_task_and_container_whatever_the_user_says() -> None:
    config = create(replace(WEB, docker_labels={"kaiun.task": "mine", "own": "1"}))
    labels = config["Labels"]
    assert labels["kaiun.task"] == TASK.task_id
    assert labels["kaiun.image-digest"] == "sha256:b"
    assert labels["own"] == "1"


def test_memory_and_cpu_keep_their_units() -> None:
    spec = replace(WEB, memory_mib=512, memory_reservation_mib=256, cpu=1, shm_size_mib=64)
    host = create(spec)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 512 * 2**20
    assert host["MemoryReservation"] == 256 * 2**20
    assert host["ShmSize"] == 64 * 2**20
    assert host["CpuShares"] == 2


def test_settings_that_this_machine_may_not_allow_are_asked_for() -> None:
    device = Device("/dev/fuse", "/dev/inside", "rw")
    spec = replace(
        WEB, privileged=True, devices=(device,), memory_mib=64, swap_mib=32, swappiness=10
    )
    host = create(spec)["HostConfig"]
    assert host["Privileged"] is True
    assert host["Devices"] == [
        {
            "PathOnHost": "/dev/fuse",
            "PathInContainer": "/dev/inside",
            "CgroupPermissions": "rw",
        }
    ]
    assert (host["MemorySwap"], host["MemorySwappiness"]) == (96 * 1024 * 1024, 10)


def test_health_check_is_in_nanoseconds() -> None:
    check = HealthCheck(("CMD", "true"), interval_s=5, timeout_s=2, retries=4, start_period_s=1)
    assert create(replace(WEB, health_check=check))["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "Interval": 5_000_000_000,
        "Timeout": 2_000_000_000,
        "Retries": 4,
        "StartPeriod": 1_000_000_000,
    }


def test_ports_are_published_on_loopback_in_bridge_mode_only() -> None:
    spec = replace(WEB, ports=(PortMapping(80), PortMapping(80, 8080), PortMapping(53, 0, "udp")))
    assert create(spec)["HostConfig"]["PortBindings"] == {
        "80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": ""},
            {"HostIp": "127.0.0.1", "HostPort": "8080"},
        ],
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    }
    for mode in (NetworkMode.AWSVPC, NetworkMode.HOST, NetworkMode.NONE):
        assert "PortBindings" not in create(spec, mode)["HostConfig"]


def test_awsvpc_shares_the_pause_containers_network_and_its_settings() -> None:
    sysctls = {"net.core.somaxconn": "9", "kernel.shmmax": "1"}
    spec = replace(WEB, sysctls=sysctls, extra_hosts=("a:192.0.2.1",), hostname="box")
    task = replace(TASK, network_mode=NetworkMode.AWSVPC, containers=(spec,))
    config = create(spec, NetworkMode.AWSVPC)
    host = config["HostConfig"]
    assert host["NetworkMode"] == "container:ecs-shop-web-7-internalecspause-0123456789ab"
    assert host["Sysctls"] == {"kernel.shmmax": "1"}
    assert "Hostname" not in config
    assert "ExtraHosts" not in host
    pause = docker_spec.pause("e" * 32, task, "pause")
    assert pause["HostConfig"]["Sysctls"] == {"net.core.somaxconn": "9"}
    assert pause["HostConfig"]["ExtraHosts"] == ["a:192.0.2.1"]
    assert pause["Hostname"] == "box"
    endpoints = pause["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints == {"kaiun-eeeeeeee": {"Aliases": ["web"]}}


def test_links_name_the_other_container_of_the_same_task() -> None:
    config = create(replace(WEB, links=("db", "redis:cache")))
    endpoint = config["NetworkingConfig"]["EndpointsConfig"]["kaiun-eeeeeeee"]
    assert endpoint["Links"] == [
        "ecs-shop-web-7-db-0123456789ab:db",
        "ecs-shop-web-7-redis-0123456789ab:cache",
    ]


def test_paths_are_binds_and_volumes_are_their_engines_or_their_tasks() -> None:
    mounts = (
        Mount("/srv", "/data", read_only=True),
        Mount("volume", "/var", options={"type": "tmpfs"}),
        Mount("scratch", "/tmp/scratch", of_task=True),
    )
    config = create(replace(WEB, mounts=mounts))
    assert config["HostConfig"]["Binds"] == ["/srv:/data:ro"]
    engines, tasks = config["HostConfig"]["Mounts"]
    assert (engines["Source"], engines["Target"]) == ("kaiun-eeeeeeee-volume", "/var")
    assert engines["VolumeOptions"]["DriverConfig"]["Options"] == {"type": "tmpfs"}
    assert tasks["Source"] == f"kaiun-eeeeeeee-task-{TASK.task_id}-scratch"
    assert docker_spec.OWN_VOLUMES in config["Labels"]


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("none", {}, {"Type": "none", "Config": {}}),
        ("json-file", {"max-size": "1m"},
         {"Type": "json-file", "Config": {**FILES, "max-size": "1m"}}),
        ("awslogs", {"awslogs-group": "g"}, {"Type": "json-file", "Config": FILES}),
        ("fluentd", {"tag": "t", "fluentd-async": "false", "fluentd-async-connect": "false"},
         {"Type": "fluentd", "Config": FORCED | {"tag": "t"}}),
    ],
)  # fmt: skip
def test_log_driver_never_blocks_and_never_needs_a_far_end(
    driver: str, options: dict[str, str], expected: dict[str, Any]
) -> None:
    assert docker_spec.log_config(driver, options) == expected


def inspected(**state: object) -> dict[str, Any]:
    return {
        "Id": "c1",
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "StartedAt": "2026-01-02T03:04:05.5Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **state,
        },
        "Config": {
            "Image": WEB.image,
            "Labels": {"kaiun.task": "t1", "kaiun.container": "web"},
        },
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}], "90/tcp": None},
            "Networks": {"kaiun-e": {"IPAddress": "172.18.0.2"}},
        },
    }


def test_running_container_is_observed_whole() -> None:
    health = {"Status": "healthy"}
    assert docker_state.observation(inspected(Health=health)) == Observation(
        task_id="t1",
        name="web",
        runtime_id="c1",
        status=ContainerStatus.RUNNING,
        health="HEALTHY",
        ports=(PortBinding(80, 49153, "127.0.0.1"),),
        address="172.18.0.2",
        image_digest="sha256:" + "a" * 64,
        started_at=1767323045.5,
    )


def test_container_killed_for_its_memory_says_so() -> None:
    finished = "2026-01-02T03:04:06Z"
    seen = docker_state.observation(
        inspected(Status="exited", ExitCode=137, OOMKilled=True, FinishedAt=finished)
    )
    assert (seen.status, seen.exit_code) == (ContainerStatus.EXITED, 137)
    assert seen.reason == "OutOfMemoryError: Container killed due to memory usage"
    assert seen.finished_at == 1767323046


def test_container_that_was_never_started_has_no_exit_code() -> None:
    seen = docker_state.observation(inspected(Status="created", StartedAt="0001-01-01T00:00:00Z"))
    assert (seen.status, seen.exit_code, seen.started_at) == (ContainerStatus.CREATED, None, None)


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("postgres:15", None),
        ("library/postgres", None),
        ("localhost/shop", "localhost"),
        ("localhost:5000/shop:1", "localhost:5000"),
        ("127.0.0.1:5000/a/b@sha256:0", "127.0.0.1:5000"),
        ("registry.example.com/shop", "registry.example.com"),
    ],
)
def test_registry_is_the_first_part_if_it_looks_like_a_host(
    image: str, registry: str | None
) -> None:
    assert docker_images.registry_of(image) == registry


@pytest.mark.parametrize("architecture", docker_elf.architectures())
@pytest.mark.parametrize("name", ["pause", "door"])
def test_program_is_an_elf_that_fits_its_one_segment(architecture: str, name: str) -> None:
    program = docker_pause.programs(architecture)[name]
    assert program[:5] == b"\x7fELF\x02"
    entry, header_offset = struct.unpack_from("<QQ", program, 24)
    kind, flags, offset, address = struct.unpack_from("<IIQQ", program, header_offset)
    size, in_memory = struct.unpack_from("<QQ", program, header_offset + 32)
    assert (kind, flags, offset) == (1, 5, 0)  # PT_LOAD, readable and executable
    assert size == in_memory == len(program)
    assert address < entry < address + size


def test_arm64_pause_loops_over_ppoll_without_arguments() -> None:
    words = struct.unpack("<12I", docker_pause.programs("arm64")["pause"][120:])
    for register in range(4):
        low, high = words[2 * register : 2 * register + 2]
        assert low == 0xD2800000 | register  # movz xN, #0
        assert high == 0xF2A00000 | register  # movk xN, #0, lsl #16
    assert words[8] == 0xD2800000 | 73 << 5 | 8  # movz x8, #__NR_ppoll
    assert words[9] == 0xD4000001  # svc #0
    assert words[10] == 0x14000000 | (-10 & 0x3FFFFFF)  # b to the first instruction


def test_data_of_a_program_is_where_its_code_says() -> None:
    steps = (docker_elf.Call("exit", ("second",)),)
    data = {"first": docker_elf.Data((b"abc",)), "second": docker_elf.Data(("first", 7))}
    program = docker_elf.program("amd64", steps, data)
    (address,) = struct.unpack_from("<I", program, docker_elf.HEADERS + 1)  # mov edi, …
    first, seven = struct.unpack_from("<QQ", program, address - docker_elf.BASE)
    assert program[first - docker_elf.BASE :][:3] == b"abc"
    assert seven == 7
