"""What docker is told: seen by a program in its place that writes down how it was called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.fake_registry import FakeRegistry

from kaiun.errors import ImageError
from kaiun.image.build import Recipe, build
from kaiun.image.client import Client
from kaiun.image.credentials import Credentials
from kaiun.image.events import BuildEvent, silent
from kaiun.image.push import push
from kaiun.image.reference import parse
from kaiun.image.registry import Registry
from kaiun.image.stop import Stop

PUSHED = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
SAID = f"""The push refers to repository [localhost/shop]
4c6e90bef85c: Preparing
4c6e90bef85c: Pushed
8ea2c53d99cd: Layer already exists
v1: digest: {PUSHED} size: 528"""


class Docker:
    """A program that keeps its arguments and environment and then does what it is told to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.client = Client(str(directory / "docker"), "20.10.24", buildx=False)
        self.does("")

    def does(self, script: str) -> None:
        path = Path(self.client.program)
        keep = 'printf "%s\\0" "$@" > "$0.argv"; env -0 > "$0.env"'
        settings = 'cat "$DOCKER_CONFIG/config.json" > "$0.config" 2>/dev/null || true'
        path.write_text(f"#!/bin/sh\n{keep}\n{settings}\n{script}\n")
        path.chmod(0o755)

    @property
    def argv(self) -> list[str]:
        return (self._directory / "docker.argv").read_text().split("\0")[:-1]

    @property
    def environment(self) -> dict[str, str]:
        pairs = (self._directory / "docker.env").read_text().split("\0")[:-1]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def settings(self) -> str:
        return (self._directory / "docker.config").read_text()


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    directory = tmp_path / "bin"
    directory.mkdir()
    return Docker(directory)


def recipe(tmp_path: Path, **changes: object) -> Recipe:
    given = {"name": "shop:1", "context": tmp_path, "dockerfile": "docker/Web", "labels": {}}
    return Recipe(**(given | changes))  # type: ignore[arg-type]


def run(docker: Docker, recipe: Recipe) -> list[BuildEvent]:
    events: list[BuildEvent] = []
    build(docker.client, recipe, progress=events.append, stop=Stop())
    return events


def test_build_is_told_everything(docker: Docker, tmp_path: Path) -> None:
    run(docker, recipe(tmp_path, labels={"a": "b c"}, target="web", no_cache=True))
    assert docker.argv == [
        "build",
        "--tag=shop:1",
        "--progress=plain",
        f"--file={tmp_path}/docker/Web",
        "--label=a=b c",
        "--target=web",
        "--no-cache",
        str(tmp_path),
    ]
    assert docker.environment["DOCKER_BUILDKIT"] == "1"


def test_values_of_arguments_are_not_in_argv(docker: Docker, tmp_path: Path) -> None:
    run(docker, recipe(tmp_path, args=(("TOKEN", "hunter2\nnext"), ("EMPTY", ""))))
    assert "hunter2" not in " ".join(docker.argv)
    assert {"--build-arg=TOKEN", "--build-arg=EMPTY"} <= set(docker.argv)
    assert docker.environment["TOKEN"] == "hunter2\nnext"
    assert docker.environment["EMPTY"] == ""


def test_argument_named_like_a_setting_of_the_client_does_not_change_it(
    docker: Docker, tmp_path: Path
) -> None:
    run(docker, recipe(tmp_path, args=(("PATH", "/x"), ("DOCKER_HOST", "tcp://x"))))
    assert {"--build-arg=PATH=/x", "--build-arg=DOCKER_HOST=tcp://x"} <= set(docker.argv)
    assert docker.environment["PATH"] == os.environ["PATH"]
    assert "DOCKER_HOST" not in docker.environment


def test_arguments_are_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in repr(recipe(tmp_path, args=(("TOKEN", "hunter2"),)))


def test_failing_step_is_the_error(docker: Docker, tmp_path: Path) -> None:
    docker.does("echo '#1 [web 2/3] RUN make'; echo '#1 0.1 no rule'; echo '#1 ERROR: x'; exit 1")
    with pytest.raises(ImageError, match=r"the build failed at \[web 2/3\] RUN make") as caught:
        run(docker, recipe(tmp_path))
    assert caught.value.detail == ("no rule", "x")
    assert caught.value.where == "shop:1"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("write /x: no space left on device", "docker builder prune"),
        ("dockerfile parse error line 2: unknown instruction", "Dockerfile of the commit is wrong"),
        ("pull access denied, repository does not exist", "docker login"),
        ("failed to do request: Head: dial tcp", "base image cannot be fetched"),
    ],
)
def test_known_failures_come_with_a_hint(
    docker: Docker, tmp_path: Path, said: str, hint: str
) -> None:
    docker.does(f"echo 'ERROR: {said}' >&2; exit 1")
    with pytest.raises(ImageError, match="before its first step") as caught:
        run(docker, recipe(tmp_path))
    assert hint in caught.value.hint
    assert caught.value.detail == (f"ERROR: {said}",)


def push_to(
    fake: FakeRegistry, docker: Docker, credentials: Credentials | None = None
) -> tuple[str, list[BuildEvent]]:
    events: list[BuildEvent] = []
    digest = push(
        docker.client,
        parse(f"{fake.host}/shop:v1"),
        Registry(),
        credentials=credentials,
        progress=events.append,
        stop=Stop(),
    )
    return digest, events


def test_push_returns_what_the_registry_has(fake: FakeRegistry, docker: Docker) -> None:
    fake.manifests["shop", "v1"] = PUSHED
    docker.does(f"echo '{SAID}'")
    digest, events = push_to(fake, docker)
    assert digest == PUSHED
    assert docker.argv == ["push", f"{fake.host}/shop:v1"]
    assert [(each.name, each.state) for each in events] == [
        ("4c6e90bef85c", "output"),
        ("4c6e90bef85c", "done"),
        ("8ea2c53d99cd", "done"),
    ]


@pytest.mark.parametrize("there", [{}, {("shop", "v1"): OTHER}])
def test_push_that_did_not_arrive_is_an_error(
    fake: FakeRegistry, docker: Docker, there: dict[tuple[str, str], str]
) -> None:
    fake.manifests.update(there)
    docker.does(f"echo '{SAID}'")
    with pytest.raises(ImageError, match="docker says it pushed"):
        push_to(fake, docker)


def test_tag_that_another_machine_pushed_meanwhile_is_taken(
    fake: FakeRegistry, docker: Docker
) -> None:
    fake.manifests.update({("shop", "v1"): OTHER, ("shop", PUSHED): PUSHED})
    docker.does(f"echo '{SAID}'")
    assert push_to(fake, docker)[0] == OTHER


def test_immutable_tag_that_exists_is_taken(fake: FakeRegistry, docker: Docker) -> None:
    fake.manifests["shop", "v1"] = OTHER
    docker.does("echo 'tag invalid: The image tag already exists and is immutable.'; exit 1")
    assert push_to(fake, docker)[0] == OTHER


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("denied: requested access to the resource is denied", "docker login"),
        ("no basic auth credentials", "docker login"),
        ("name unknown: The repository does not exist in the registry", "create the repository"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", "is the registry running"),
    ],
)
def test_refused_push_is_an_error_with_a_hint(
    fake: FakeRegistry, docker: Docker, said: str, hint: str
) -> None:
    docker.does(f"echo '{said}' >&2; exit 1")
    with pytest.raises(ImageError, match="the push failed") as caught:
        push_to(fake, docker)
    assert hint in caught.value.hint
    assert caught.value.detail == (said,)


def test_extra_credentials_reach_docker_by_a_private_file_only(
    fake: FakeRegistry, docker: Docker, docker_directory: Path
) -> None:
    fake.manifests["shop", "v1"] = PUSHED
    (docker_directory / "config.json").write_text('{"credsStore": "x", "currentContext": "lab"}')
    (docker_directory / "contexts").mkdir()
    docker.does(
        f'stat -c %a "$DOCKER_CONFIG" "$DOCKER_CONFIG/config.json" > "$0.modes"\n'
        f'ls -d "$DOCKER_CONFIG/contexts" >&2 || exit 9\necho "{SAID}"'
    )
    push_to(fake, docker, Credentials("AWS", "hunter2"))
    assert Path(docker.client.program + ".modes").read_text().split() == ["700", "600"]
    assert "hunter2" not in " ".join([*docker.argv, *docker.environment.values()])
    assert Credentials("AWS", "hunter2").basic().removeprefix("Basic ") in docker.settings
    assert '"currentContext": "lab"' in docker.settings
    assert f'"credHelpers": {{"{fake.host}": ""}}' in docker.settings  # its credsStore is not asked
    assert not Path(docker.environment["DOCKER_CONFIG"]).exists()


def test_silent_listener_says_nothing() -> None:
    silent(BuildEvent("build", "done"))
