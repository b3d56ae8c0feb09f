"""From a commit to a digest, all of it real: git, BuildKit, a registry.

No image is pulled: the images hold this machine's own shell and the libraries it needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.images import Bench, docker, registry_process
from support.processes import running

from kaiun.config import load
from kaiun.cpu import report
from kaiun.errors import ImageError
from kaiun.image import (
    Built,
    Credentials,
    Registry,
    Workshop,
    caches,
    ensure_all,
    find,
    pin,
    resolve,
)
from kaiun.image.leftovers import plain_name
from kaiun.image.lock import held
from kaiun.image.reference import parse
from kaiun.image.stop import Stop

pytestmark = pytest.mark.docker

# htpasswd's line for ann with "open sesame" (bcrypt, cost 4)
HTPASSWD = "ann:$2b$04$o1jxcDrzxIWI7JdhJVWRG.UZ0YxFp8.52iR/vqGrWahO1FoH0iPy.\n"


def test_commit_is_built_pushed_and_runs(bench: Bench) -> None:
    built = bench.ensure()
    sha = bench.repository.git("rev-parse", "HEAD")
    assert built.built
    assert built.tag == sha
    assert built.reference == f"{bench.source.repository}@{built.digest}"
    assert Registry().digest(parse(f"{bench.source.repository}:{sha}")) == built.digest
    docker("image", "rm", f"{bench.source.repository}:{sha}")
    docker("pull", "--quiet", built.reference)
    assert "unique" in bench.run(built.reference).split()


def test_second_time_nothing_is_built_and_it_is_quick(bench: Bench) -> None:
    first = bench.ensure()
    bench.events.clear()
    again = [bench.ensure() for _ in range(5)]
    assert {each.digest for each in again} == {first.digest}
    assert not any(each.built for each in again)
    assert bench.events == []
    assert min(each.seconds for each in again) <= 0.1


def test_progress_tells_steps_of_build_and_push(bench: Bench) -> None:
    bench.ensure()
    done = [(e.step, e.total) for e in bench.events if e.step and e.state in {"done", "cached"}]
    assert sorted(done) == [(1, 3), (2, 3), (3, 3)]
    assert any(event.phase == "push" and event.state == "done" for event in bench.events)
    assert {event.image for event in bench.events} == {bench.source.app}


def test_dirty_tree_is_not_in_the_image_and_dockerignore_is_honoured(bench: Bench) -> None:
    bench.repository.commit({".dockerignore": "*.md\nsecret\n", "README.md": "", "secret/key": "k"})
    bench.repository.write({"unique": "dirty", "untracked": ""})
    built = bench.ensure()
    assert set(bench.run(built.reference).split()) == {"Dockerfile", "system", "unique"}
    assert bench.run(built.reference, "/bin/cat", "/app/unique") == bench.source.app


def test_a_user_without_rights_can_read_what_was_copied(bench: Bench) -> None:
    before = os.umask(0o077)
    try:
        built = bench.ensure()
    finally:
        os.umask(before)
    assert "unique" in docker("run", "--rm", "--user=1000", "--network=none", built.reference)


def test_arguments_reach_the_build_and_labels_the_image(bench: Bench) -> None:
    bench.repository.git("remote", "add", "origin", "https://u:p@git.example.com/shop.git")
    built = bench.ensure(args=(("WHO", "ann & bob\n'$x'"),))
    assert bench.run(built.reference, "/bin/cat", "/hello") == "hello ann & bob '$x'"
    labels = json.loads(
        docker("image", "inspect", "-f", "{{json .Config.Labels}}", built.reference)
    )
    assert report.parse_label(labels.pop(report.LABEL))
    assert labels == {
        "kaiun.app": bench.source.app,
        "org.opencontainers.image.created": "2026-01-02T03:04:05+09:00",
        "org.opencontainers.image.revision": built.tag,
        "org.opencontainers.image.source": "https://git.example.com/shop.git",
    }


def test_dockerfile_elsewhere_and_its_stage_are_built(bench: Bench) -> None:
    staged = "FROM scratch AS base\nCOPY system/ /\nFROM base\nRUN exit 1\n"
    bench.repository.commit({"docker/Web": staged})
    built = bench.ensure(dockerfile="docker/Web", target="base")
    assert bench.run(built.reference, "/bin/sh", "-c", "echo up") == "up"


def test_directory_is_built_again_only_when_it_changed(bench: Bench) -> None:
    bench.repository.commit(
        {"docker/db/Dockerfile": "FROM scratch\nCOPY data /\n", "docker/db/data": "1"}
    )
    directory: dict[str, Any] = {"context": "docker/db", "by_tree": True}
    first = bench.ensure(**directory)
    bench.repository.commit({"other": "1"})
    second = bench.ensure(**directory)
    assert (second.built, second.reference) == (False, first.reference)
    bench.repository.commit({"docker/db/data": "2"})
    third = bench.ensure(**directory)
    assert third.built
    assert len({first.tag, third.tag}) == len({first.digest, third.digest}) == 2
    assert third.tag == bench.repository.git("rev-parse", "HEAD:docker/db")


def test_app_in_a_subdirectory_of_the_repository(bench: Bench) -> None:
    bench.repository.commit(
        {"apps/shop/Dockerfile": "FROM scratch\nCOPY a /\n", "apps/shop/a": "1"}
    )
    assert bench.ensure(root=bench.repository.path / "apps/shop").built


def test_failing_step_shows_its_output(bench: Bench) -> None:
    script = "echo compiling; echo 'NameError: uninitialized constant Shop' >&2; exit 7"
    bench.repository.commit({"Dockerfile": f"FROM scratch\nCOPY system/ /\nRUN {script}\n"})
    problem = bench.failing()
    assert "the build failed at [2/2] RUN echo compiling" in problem.message
    assert {"compiling", "NameError: uninitialized constant Shop"} < set(problem.detail)
    assert problem.detail[-1] == "exit code: 7"
    assert find(bench.source, resolve(bench.repository.path), bench.workshop) is None


def test_broken_dockerfile_and_missing_base_say_so(bench: Bench) -> None:
    bench.repository.commit({"Dockerfile": "FROM scratch\nCOPPY a b\n"})
    assert "unknown instruction: COPPY" in " ".join(bench.failing().detail)
    bench.repository.commit({"Dockerfile": "FROM localhost:1/nothing:1\n"})
    problem = bench.failing()
    assert "localhost:1/nothing:1" in problem.message
    assert "base image" in problem.hint


def test_no_cache_builds_what_is_there_already(bench: Bench) -> None:
    bench.ensure()
    bench.events.clear()
    assert bench.ensure(no_cache=caches.EVERY).built
    assert not [event for event in bench.events if event.cached and "RUN" in event.name]


def test_two_at_once_build_once(bench: Bench) -> None:
    slow = f"FROM scratch\nCOPY system/ /\nRUN echo {bench.source.app}; sleep 1\n"
    bench.repository.commit({"Dockerfile": slow})
    start = threading.Barrier(2)

    def run(_: int) -> Built:
        start.wait(10)
        return bench.ensure()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, range(2)))
    assert sorted(each.built for each in results) == [False, True]
    assert results[0].digest == results[1].digest
    assert [event.phase for event in bench.events].count("wait") == 1


BUILD_ONE = """
import sys
from pathlib import Path
from kaiun.image import Source, Workshop, ensure, resolve
app, repository, root, home = sys.argv[1:]
workshop = Workshop(lambda event: print(event.line, flush=True), home=Path(home))
ensure(Source(app, repository, Path(root)), resolve(Path(root)), workshop)
"""
BUILD_ALL = """
import sys
from pathlib import Path
from kaiun.config import load
from kaiun.image import Workshop, ensure_all, resolve
app, repository, root, home = sys.argv[1:]
workshop = Workshop(lambda event: print(event.line, flush=True), home=Path(home))
ensure_all(load(Path(root) / "kaiun.yml"), resolve(Path(root)), workshop)
"""


@pytest.mark.parametrize("program", [BUILD_ONE, BUILD_ALL])
def test_ctrl_c_leaves_no_build_behind(bench: Bench, tmp_path: Path, program: str) -> None:
    marker = str(uuid.uuid4().int % 10**9 + 10**6)
    endless = f"FROM scratch\nCOPY system/ /\nRUN echo ready-$((1 + 1)); sleep {marker}\n"
    image = f"image: {{repository: {bench.source.repository}}}"
    config = f"app: {bench.source.app}\n{image}\nprocesses: {{web: {{command: x}}}}\n"
    bench.repository.commit({"Dockerfile": endless, "kaiun.yml": config})
    argv = [
        bench.source.app,
        bench.source.repository,
        str(bench.repository.path),
        str(tmp_path / "home"),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", program, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        while line := process.stdout.readline():
            if line == b"ready-2\n":
                break
        assert running(f"sleep {marker}")
        process.send_signal(signal.SIGINT)
        assert process.wait(15) != 0
    deadline = time.monotonic() + 15
    while (left := running(f"sleep {marker}") + running(bench.source.repository)) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert left == []
    assert list((tmp_path / "home/locks").iterdir()) == []
    assert docker("image", "ls", "--quiet", bench.source.repository) == ""
    assert find(bench.source, resolve(bench.repository.path), bench.workshop) is None


def test_registry_with_a_password_is_pushed_to(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    extra = f"auth: {{htpasswd: {{realm: r, path: {tmp_path}/htpasswd}}}}\n"
    ann = Credentials("ann", "open sesame")
    with registry_process(tmp_path, extra) as host:
        repository = f"{host}/shop"
        with pytest.raises(ImageError, match="refused the credentials") as caught:
            bench.ensure(repository=repository)
        assert caught.value.hint == f"docker login {host}"
        bench.workshop = Workshop(injected=lambda _: ann, home=tmp_path / "home")
        assert bench.ensure(repository=repository).built
        settings = tmp_path / "docker-settings"
        settings.mkdir(exist_ok=True)
        auths = {host: {"auth": ann.basic().removeprefix("Basic ")}}
        (settings / "config.json").write_text(json.dumps({"auths": auths}))
        bench.workshop = Workshop(home=tmp_path / "home")
        assert not bench.ensure(repository=repository).built
        assert bench.ensure(repository=repository, no_cache=caches.EVERY).built


def test_absent_registry_is_told_before_anything_is_built(bench: Bench, tmp_path: Path) -> None:
    with registry_process(tmp_path) as host:
        pass
    with pytest.raises(ImageError, match="the registry does not answer") as caught:
        bench.ensure(repository=f"{host}/shop")
    assert caught.value.where == host
    assert bench.events == []


def test_all_images_of_a_configuration(bench: Bench, registry: str) -> None:
    app = bench.source.app
    config = f"""\
app: {app}
image: {{repository: {registry}/{app}}}
processes:
  web: {{command: /bin/sh}}
  db: {{image: {{context: db}}}}
  cache: {{image: "{app}-only-here:1"}}
tasks:
  migrate: {{command: /bin/sh}}
"""
    bench.repository.commit({"kaiun.yml": config, "db/Dockerfile": "FROM scratch\nCOPY . /\n"})
    loaded = load(bench.repository.path / "kaiun.yml")
    docker(
        "tag",
        docker("image", "inspect", "-f", "{{.Id}}", bench.ensure().reference),
        f"{app}-only-here:1",
    )
    images = ensure_all(loaded, resolve(bench.repository.path), bench.workshop)
    assert images["web"] == images["migrate"]
    assert images["db"].repository == f"{registry}/{app}-db"
    assert images["db"].built
    assert images["cache"].reference == f"{app}-only-here:1"
    assert "Docker Engine here" in images["cache"].note
    assert pin(f"{registry}/{app}-db:{images['db'].tag}", bench.workshop, local=True).digest == (
        images["db"].digest
    )


def test_what_a_killed_build_left_is_swept_by_the_next(bench: Bench, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "locks").mkdir(parents=True)
    dead, living = (plain_name(home, f"{bench.source.repository}:{n}") for n in ("dead", "alive"))
    image = bench.ensure().reference
    for name in (dead, living):
        docker("tag", docker("image", "inspect", "-f", "{{.Id}}", image), name)
    with held(home, f"{bench.source.repository}:alive", Stop(), lambda: None):
        bench.ensure(no_cache=caches.EVERY)
        left = docker("image", "ls", "--format={{.Repository}}:{{.Tag}}", "kaiun-plain").split()
    docker("image", "rm", living)
    assert living in left
    assert dead not in left


def test_a_killed_kaiun_takes_its_docker_client_along(bench: Bench, tmp_path: Path) -> None:
    marker = str(uuid.uuid4().int % 10**9 + 10**6)
    endless = f"FROM scratch\nCOPY system/ /\nRUN echo ready-$((1 + 1)); sleep {marker}\n"
    bench.repository.commit({"Dockerfile": endless})
    argv = [bench.source.app, bench.source.repository, str(bench.repository.path)]
    with subprocess.Popen(
        [sys.executable, "-c", BUILD_ONE, *argv, str(tmp_path / "home")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        while (line := process.stdout.readline()) and line != b"ready-2\n":
            pass
        assert running(f"sleep {marker}")
        process.kill()
    deadline = time.monotonic() + 15
    while (left := running(f"sleep {marker}") + running(bench.source.repository)) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert left == []


def test_builds_send_what_changed_and_see_a_change_that_time_and_size_do_not_tell(
    bench: Bench,
) -> None:
    def sent() -> list[str]:
        said = [event.line for event in bench.events if "transferring context" in event.line]
        bench.events.clear()
        return [line for line in said if "MB" in line]

    bench.repository.commit({"a": "one", "large": os.urandom(3_000_000)})
    bench.ensure()
    assert sent()
    bench.repository.commit({"a": "two"}, "in the same second")
    second = bench.ensure()
    assert not sent()
    assert bench.run(second.reference, "cat", "/app/a") == "two"
