"""Sessions in real containers: by the aws command line as it is, and by `kaiun exec`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.awscli import AWS
from support.containers import docker
from support.engine import Engine, container, register, until, wait_rollout
from support.screen import Screen
from support.session import Held

from kaiun.engine.runtime import docker_exec
from kaiun.errors import SessionError
from kaiun.local.home import read_env

pytestmark = pytest.mark.docker

KAIUN = Path(sys.executable).with_name("kaiun")
PLUGIN = Path(__file__).parent.parent / "support" / "plugin"
ROLE = "arn:aws:iam::000000000000:role/task"
Open = Callable[..., Screen]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state home; the engine's own is `local` in it."""
    root = tmp_path_factory.mktemp("home")
    (root / "local").mkdir()
    return root


@pytest.fixture(scope="module")
def machine(home: Path, image: str) -> Iterator[Engine]:
    """An engine with a service `app-local-web` of one task in the cluster `app`."""
    engine = Engine(home / "local", runtime="docker")
    ecs = engine.client("ecs")
    ecs.create_cluster(clusterName="app")
    web = container(image=image, command=["sleep", "1000"], user="65534", stopTimeout=1)
    register(ecs, "app-local-web", web, taskRoleArn=ROLE)
    ecs.create_service(
        cluster="app",
        serviceName="app-local-web",
        taskDefinition="app-local-web",
        desiredCount=1,
        enableExecuteCommand=True,
    )
    wait_rollout(ecs, "app", "app-local-web")
    yield engine
    engine.empty_out()


@pytest.fixture
def ecs(machine: Engine) -> Any:
    return machine.client("ecs")


@pytest.fixture
def task(ecs: Any) -> str:
    """The task of the service that runs now."""
    wait_rollout(ecs, "app", "app-local-web")
    (arn,) = ecs.list_tasks(cluster="app", serviceName="app-local-web")["taskArns"]
    return str(arn)


@pytest.fixture
def execute(ecs: Any, task: str) -> Callable[[str], dict[str, Any]]:
    def ask(command: str) -> dict[str, Any]:
        answer = ecs.execute_command(cluster="app", task=task, command=command, interactive=True)
        found: dict[str, Any] = answer["session"]
        return found

    return ask


@pytest.fixture
def screens() -> Iterator[Open]:
    with contextlib.ExitStack() as stack:
        yield lambda *words, **kw: stack.enter_context(
            contextlib.closing(Screen([str(word) for word in words], **kw))
        )


@pytest.fixture
def aws(machine: Engine, task: str, screens: Open) -> Callable[[str], Screen]:
    """Open `aws ecs execute-command` on a terminal."""
    env = {
        **read_env(machine.home).variables(),
        "PATH": f"{PLUGIN}:{os.environ['PATH']}",
        "KAIUN_TEST_PYTHON": sys.executable,
    }

    def run(command: str, **more: Any) -> Screen:
        words = ("ecs", "execute-command", "--cluster", "app", "--task", task, "--interactive")
        return screens(AWS, *words, "--command", command, env=env, **more)

    return run


@pytest.fixture
def app(machine: Engine, home: Path, tmp_path: Path) -> dict[str, str]:
    """Variables for kaiun, in a folder with the kaiun.yml of the service; `PWD` is that."""
    del machine
    content = {
        "app": "app",
        "image": {"repository": "localhost:1/app"},
        "logs": {"driver": "json-file"},
        "processes": {"web": {"image": "busybox"}, "worker": {"image": "busybox"}},
    }
    (tmp_path / "kaiun.yml").write_text(yaml.safe_dump(content))
    return {"KAIUN_HOME": str(home), "PWD": str(tmp_path)}


@pytest.fixture
def kaiun(app: dict[str, str], screens: Open) -> Callable[..., Screen]:
    """Open `kaiun exec` on a terminal."""
    config = f"{app['PWD']}/kaiun.yml"
    return lambda *words, **kw: screens(KAIUN, "exec", "-c", config, *words, env=app, **kw)


def piped(
    app: dict[str, str], *words: str, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `kaiun exec` without a terminal."""
    return subprocess.run(
        [KAIUN, "exec", "-c", f"{app['PWD']}/kaiun.yml", *words],
        input=data,
        capture_output=True,
        env={**os.environ, **app},
        timeout=60,
        check=False,
    )


def processes(task: str) -> str:
    """Return the command lines of all that runs in the containers of a task."""
    label = f"label=kaiun.task={task.rpartition('/')[2]}"
    found = docker("container", "ls", "-q", "--filter", label).split()
    return "\n".join(docker("top", name, "-eo", "pid,args") for name in found)


def test_aws_command_line_has_a_shell(aws: Callable[..., Screen]) -> None:
    screen = aws("/bin/sh", size=(101, 33))
    screen.types("stty size; id -u; tty\n")
    screen.shows("33 101")
    screen.shows("\n0\r")  # root, though the container has another user
    screen.shows("/dev/pts/")
    screen.types("echo a$((6 * 7))b\n")
    screen.shows("a42b")
    screen.types("exit 3\n")
    screen.shows("Exiting session")
    assert screen.ends() == 0


def test_aws_command_line_passes_keys_and_sizes(aws: Callable[..., Screen]) -> None:
    screen = aws("/bin/sh")
    screen.types("sh -c 'echo go''ing; sleep 1000'\n")
    screen.shows("going")
    screen.types("\x03")
    screen.types("echo interrupted: $?\n")
    screen.shows("interrupted: 130")
    screen.resize(132, 50)
    screen.types("until [ \"$(stty size)\" = '50 132' ]; do :; done; echo resi''zed\n")
    screen.shows("resized")
    screen.shows("# ")  # an end that is typed before the prompt is lost when the shell takes over
    screen.types("\x04")
    assert screen.ends() == 0


def test_words_of_a_command_are_split_as_the_agent_does(aws: Callable[..., Screen]) -> None:
    screen = aws("printf '<%s>' one 'two three' \"four 'five'\"")
    screen.shows("<one><two three><four 'five'>")
    screen.ends()


def test_program_that_is_missing_is_told(aws: Callable[..., Screen]) -> None:
    screen = aws("/bin/none-such")
    screen.shows("none-such")
    screen.ends()


def test_kaiun_opens_a_shell_and_returns_its_exit_code(kaiun: Callable[..., Screen]) -> None:
    screen = kaiun("web", size=(90, 30))
    screen.shows("#")
    assert screen.is_raw()
    screen.types("stty size; exit 9\r")
    screen.shows("30 90")
    assert screen.ends() == 9
    assert not screen.is_raw()


def test_ctrl_c_reaches_the_command_and_not_kaiun(kaiun: Callable[..., Screen]) -> None:
    screen = kaiun("web", "--", "sh", "-c", "trap 'echo told; exit 4' INT; echo go; sleep 1000")
    screen.shows("go")
    screen.types("\x03")
    screen.shows("told")
    assert screen.ends() == 4


def test_command_sees_the_size_that_its_terminal_gets(kaiun: Callable[..., Screen]) -> None:
    wait = "until [ \"$(stty size)\" = '%s' ]; do sleep 0.05; done; echo seen"
    script = f"{wait % '24 80'}; {wait % '40 120'}"
    screen = kaiun("web", "--", "sh", "-c", script)
    screen.shows("seen")
    screen.resize(120, 40)
    screen.shows("seen")
    assert screen.ends() == 0


@pytest.mark.parametrize("code", [0, 1, 7, 137])
def test_exit_code_is_the_commands_own(app: dict[str, str], code: int) -> None:
    done = piped(app, "web", "--", "sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert (done.returncode, done.stdout) == (code, b"out\nerr\n")
    assert b"error" not in done.stderr


def test_piped_bytes_arrive_whole_and_come_back_whole(app: dict[str, str]) -> None:
    data = os.urandom(1_000_000) + b"\x03\x04\r\n\0"
    done = piped(app, "--", "cat", data=data)
    assert (done.returncode, done.stdout) == (0, data)


def test_output_is_whole_however_much_it_is(app: dict[str, str]) -> None:
    done = piped(app, "web", "--", "seq", "1", "200000")
    assert done.stdout == b"".join(b"%d\n" % n for n in range(1, 200001))


def test_task_is_chosen_by_a_part_of_its_id(app: dict[str, str], task: str) -> None:
    own = task.rpartition("/")[2]
    done = piped(app, "--task", own[:8], "web", "--", "hostname")
    assert done.returncode == 0, done.stderr
    done = piped(app, "--task", "none", "web", "--", "hostname")
    assert done.returncode == 2
    assert b"no task none" in done.stderr


def test_process_without_tasks_is_told(app: dict[str, str], ecs: Any) -> None:
    register(ecs, "app-local-worker")
    ecs.create_service(
        cluster="app", serviceName="app-local-worker", taskDefinition="app-local-worker"
    )
    done = piped(app, "worker", "--", "true")
    assert done.returncode == 2
    assert b"no task of worker is running in local" in done.stderr


def test_service_without_ecs_exec_is_told_with_what_to_write(
    app: dict[str, str], ecs: Any, image: str
) -> None:
    web = container("worker", image=image, command=["sleep", "1000"], stopTimeout=1)
    register(ecs, "app-local-worker", web)
    names = {"cluster": "app", "service": "app-local-worker"}
    with contextlib.suppress(ecs.exceptions.InvalidParameterException):
        ecs.create_service(
            cluster="app", serviceName="app-local-worker", taskDefinition="app-local-worker"
        )
    ecs.update_service(**names, taskDefinition="app-local-worker", desiredCount=1)
    wait_rollout(ecs, "app", "app-local-worker")
    done = piped(app, "worker", "--", "true")
    ecs.delete_service(**names, force=True)
    assert done.returncode == 2
    assert b"ECS Exec was not enabled" in done.stderr
    assert b"processes: {worker: {service: {enableExecuteCommand: true}}}" in done.stderr


def test_sessions_of_one_container_do_not_mix(execute: Callable[[str], dict[str, Any]]) -> None:
    sessions = [Held(execute("cat")) for _ in range(4)]
    for number, held in enumerate(sessions):
        held.enter(b"session %d\n" % number * 50 + b"last\n\x04")
    for number, held in enumerate(sessions):
        held.ends()
        assert set(re.findall(rb"session (\d)", held.shown)) == {b"%d" % number}
        assert b"last" in held.shown


def test_command_ends_with_its_client(kaiun: Callable[..., Screen], task: str) -> None:
    screen = kaiun("web", "--", "sleep", "4711")
    until(lambda: "sleep 4711" in processes(task))
    screen.process.send_signal(signal.SIGKILL)
    until(lambda: "sleep 4711" not in processes(task))


def test_command_that_does_not_mind_a_hangup_is_killed(
    kaiun: Callable[..., Screen], task: str
) -> None:
    screen = kaiun("web", "--", "sh", "-c", "trap '' HUP; echo go; exec sleep 4712")
    screen.shows("go")
    screen.process.send_signal(signal.SIGKILL)
    until(lambda: "sleep 4712" not in processes(task))


def test_command_is_ended_from_inside_where_the_engine_may_not_signal(
    machine: Engine, task: str, execute: Callable[[str], dict[str, Any]]
) -> None:
    import asyncio

    from kaiun.engine.runtime.docker_client import Client

    held = Held(execute("sleep 4713"))
    until(lambda: "sleep 4713" in processes(task))
    label = f"label=kaiun.task={task.rpartition('/')[2]}"
    name = docker("container", "ls", "-q", "--filter", label)
    (own,) = json.loads(docker("inspect", "-f", "{{json .ExecIDs}}", name))

    def may_not(_pid: int, _number: int) -> None:
        raise PermissionError

    async def hang_up() -> None:
        client = Client(None)
        await docker_exec.hang_up(client.api, own, kill=may_not)
        await client.close()

    asyncio.run(hang_up())
    assert held.ends() == ""
    assert "sleep 4713" not in processes(task)


def test_killed_container_ends_its_sessions(kaiun: Callable[..., Screen], task: str) -> None:
    screen = kaiun("web", "--", "sh", "-c", "echo go; sleep 1000")
    screen.shows("go")
    label = f"label=kaiun.task={task.rpartition('/')[2]}"
    docker("kill", docker("container", "ls", "-q", "--filter", label))
    screen.shows("the session ended before the command did")
    assert screen.ends() == 2
    assert not screen.is_raw()


def test_killed_engine_cuts_off_and_the_next_one_ends_what_was_left(
    machine: Engine, kaiun: Callable[..., Screen], task: str
) -> None:
    screen = kaiun("web", "--", "sh", "-c", "echo go; exec sleep 4714")
    screen.shows("go")
    machine.kill()
    screen.shows("the session was cut off")
    assert screen.ends() == 2
    assert not screen.is_raw()
    assert "sleep 4714" in processes(task)
    machine.start()
    until(lambda: "sleep 4714" not in processes(task))


def test_engine_that_stops_leaves_no_command_behind(
    machine: Engine, task: str, execute: Callable[[str], dict[str, Any]]
) -> None:
    held = Held(execute("sleep 4715"))
    until(lambda: "sleep 4715" in processes(task))
    machine.stop()
    try:
        assert held.ends() == "The local ECS was shut down."
        assert "sleep 4715" not in processes(task)
    except SessionError as problem:
        pytest.fail(str(problem))
    finally:
        machine.start()
