"""A build host over a real SSH: developers without Docker, a registry on the host."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.build_host import BuildHost, Developer, RemoteHost, build_host
from support.images import DOCKERFILE, docker, registry_process, system
from support.processes import pids, running
from support.repository import Repository

from kaiun.image import Registry
from kaiun.image.client import find as find_client
from kaiun.image.record import failure_in
from kaiun.image.reference import parse

pytestmark = pytest.mark.docker

# htpasswd's line for ann with "open sesame" (bcrypt, cost 4)
HTPASSWD = "ann:$2b$04$o1jxcDrzxIWI7JdhJVWRG.UZ0YxFp8.52iR/vqGrWahO1FoH0iPy.\n"
PASSWORD = "open sesame"
NOBODY = 65534


@dataclass
class Team:
    """An app, its origin, the developers' clones, the build host."""

    host: BuildHost
    app: str
    repository: str
    origin: Repository
    root: Path

    def developer(self, name: str, **variables: str) -> Developer:
        clone = self.root / name
        self.origin.git("clone", "--quiet", str(self.origin.path), str(clone))
        return Developer(self.host, clone, variables)

    def slow(self, seconds: float) -> str:
        """Commit a build with a step that takes that long; return the step's sleep."""
        marker = f"sleep {seconds + uuid.uuid4().int % 10**6 / 1e7:.7f}"
        step = f"RUN echo {self.app} ready-$((1 + 1)); {marker}\n"
        self.origin.commit({"Dockerfile": f"FROM scratch\nCOPY system/ /\n{step}"})
        return marker

    def digest(self, tag: str) -> str | None:
        return Registry().digest(parse(f"{self.repository}:{tag}"))

    def leftovers(self, marker: str = "\0") -> list[str]:
        """Return what is on the host though nothing runs: processes, folders, locks, images."""
        home = self.host.home
        files = [str(path) for path in (home / "locks").iterdir()]
        files += [str(p) for p in (home / "builds").iterdir() if not failure_in(p)]
        files += [str(p) for p in (home / "work").glob("*/*")]
        images = docker("image", "ls", "--format={{.Repository}}:{{.Tag}}").split()
        ours = [each for each in images if each.startswith(f"kaiun-plain:{self.home_key()}")]
        return [*files, *ours, *running(marker), *running(f"/{self.app}:")]

    def home_key(self) -> str:
        from kaiun.image.leftovers import plain_name

        return plain_name(self.host.home, "").partition(":")[2].partition("-")[0]


def eventually(look: Callable[[], object], timeout_s: float = 30) -> None:
    """Wait until `look` returns nothing."""
    deadline = time.monotonic() + timeout_s
    while found := look():
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildHost]:
    root = tmp_path_factory.mktemp("build-host")
    with build_host(root, DOCKER_CONFIG=str(root / "docker-settings")) as found:
        yield found


@pytest.fixture
def team(tmp_path: Path, host: BuildHost, registry: str) -> Iterator[Team]:
    yield from a_team(tmp_path, host, registry)


def a_team(root: Path, host: BuildHost, registry: str) -> Iterator[Team]:
    app = f"t-{uuid.uuid4().hex[:12]}"
    origin = Repository(root / "origin")
    config = (
        f"app: {app}\nimage: {{repository: {registry}/{app}, host: '{host.url}'}}\n"
        "processes: {web: {command: /bin/sh}}\n"
    )
    files = {**system(), "Dockerfile": DOCKERFILE, "unique": app, "kaiun.yml": config}
    origin.commit(files)
    yield Team(host, app, f"{registry}/{app}", origin, root)
    images = docker("image", "ls", "--all", "--quiet", f"--filter=label=kaiun.app={app}").split()
    if images:
        docker("image", "rm", "--force", *sorted(set(images)))


def test_a_developer_without_docker_gets_the_image_of_a_commit(team: Team) -> None:
    ann = team.developer("ann")
    built = ann.kaiun("build", "--json")
    assert built.process.returncode == 0, built.err
    found = json.loads(built.out)["web"]
    sha = team.origin.git("rev-parse", "HEAD")
    assert found["built"]
    assert found["digest"] == team.digest(sha)
    assert f"{team.app}: [ 3/3] COPY . /app/" in built.err
    listed = docker("run", "--rm", "--network=none", found["reference"])
    assert {"unique", "kaiun.yml"} <= set(listed.split())
    again = ann.kaiun("build")
    assert "there already" in again.out
    assert again.err == ""
    eventually(team.leftovers)


def test_of_the_next_commit_only_what_differs_is_sent(team: Team) -> None:
    def kept() -> dict[str, tuple[int, int]]:
        (folder,) = team.host.home.glob(f"contexts/*/{team.app}-*/context")
        found = {path: path.lstat() for path in folder.rglob("*") if not path.is_dir()}
        return {
            str(path.relative_to(folder)): (stat.st_ino, stat.st_ctime_ns)
            for path, stat in found.items()
        }

    team.origin.commit({"gone": "1"})
    assert team.developer("ann").kaiun("build").process.returncode == 0
    before = kept()
    (team.origin.path / "gone").unlink()
    team.origin.commit({"note": "2"})
    built = team.developer("bob").kaiun("build", "--json")
    assert built.process.returncode == 0, built.err
    listed = docker("run", "--rm", "--network=none", json.loads(built.out)["web"]["reference"])
    assert {"unique", "note"} <= set(listed.split())
    assert "gone" not in listed.split()
    after = kept()
    assert {name for name in after if after[name] != before.get(name)} == {"note"}
    assert before.keys() - after.keys() == {"gone"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_unix_user_who_may_not_use_docker_builds_all_the_same(team: Team) -> None:
    """`nobody` on this machine; root on the host, since the key is root's there."""
    ann = team.developer("ann")
    nobody = RemoteHost(team.root / "nobody", team.host.port)
    nobody.root.mkdir()
    for name in ("id", "host_key.pub"):
        shutil.copy(team.host.root / name, nobody.root)
    nobody.prepare()
    for path in (nobody.root, ann.clone, *nobody.root.rglob("*"), *ann.clone.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for path in team.root.parents:
        if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(path.stat().st_mode | 0o011)
    team.root.chmod(0o711)
    script = f'{find_client().program} version >/dev/null 2>&1 && exit 99; exec "$@"'
    done = subprocess.run(
        [
            str(shutil.which("setpriv")),
            *(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"),
            *("sh", "-c", script, "sh"),
            *(sys.executable, "-m", "kaiun.cli.main", "build", "--json"),
        ],
        cwd=ann.clone,
        env={k: v for k, v in nobody.environment().items() if k != "DOCKER_HOST"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["web"]["built"]


def test_gc_lists_and_removes_what_lies_on_the_host(team: Team) -> None:
    volume = f"kaiun-assets-{team.app}-of-no-compile-0"
    owner = hashlib.sha256(str(team.host.home.absolute()).encode()).hexdigest()[:12]
    labels = {"kaiun.cache": "assets", "kaiun.app": team.app, "kaiun.home": owner}
    options = [f"--label={name}={value}" for name, value in labels.items()]
    docker("volume", "create", *options, volume)
    try:
        ann = team.developer("ann")
        seen = ann.kaiun("gc", "--dry-run")
        assert seen.process.returncode == 0, seen.err
        assert re.search(rf"asset cache +{volume} +0 B +goes", seen.out)
        assert ann.kaiun("gc").process.returncode == 0
        assert docker("volume", "ls", "--quiet", f"--filter=name={volume}") == ""
    finally:
        docker("volume", "rm", "--force", volume)


def test_two_developers_at_the_same_second_build_once(team: Team) -> None:
    team.slow(2)
    ann, bob = team.developer("ann"), team.developer("bob")
    runs = [ann.start("build", "--json"), bob.start("build", "--json")]
    assert [run.ends() for run in runs] == [0, 0]
    results = [json.loads(run.out)["web"] for run in runs]
    assert sorted(each["built"] for each in results) == [False, True]
    assert results[0]["digest"] == results[1]["digest"]
    waited = next(r for r, each in zip(runs, results, strict=True) if not each["built"])
    assert "another build of this image is running" in waited.err
    assert f"{team.app}:   {team.app} ready-2" in waited.err
    eventually(team.leftovers)


def test_different_commits_are_built_side_by_side(team: Team) -> None:
    marker = team.slow(600)
    ann = team.developer("ann").start("build")
    ann.says("ready-2")
    team.origin.commit({"Dockerfile": DOCKERFILE})
    bob = team.developer("bob").kaiun("build")
    assert bob.process.returncode == 0, bob.err
    assert ann.process.poll() is None
    ann.process.send_signal(signal.SIGINT)
    assert ann.ends() == 130
    eventually(lambda: team.leftovers(marker))


def test_ctrl_c_ends_everything_on_the_host(team: Team) -> None:
    marker = team.slow(600)
    ann = team.developer("ann").start("build")
    ann.says("ready-2")
    assert running(marker)
    ann.process.send_signal(signal.SIGINT)
    assert ann.ends(20) == 130
    assert team.leftovers(marker) == []
    assert team.digest(team.origin.git("rev-parse", "HEAD")) is None


@pytest.mark.parametrize("victim", ["ssh", "sshd", "worker", "kaiun"])
def test_a_build_whose_connection_dies_leaves_nothing_and_the_next_succeeds(
    team: Team, victim: str
) -> None:
    marker = team.slow(5)
    developer = team.developer("ann")
    ann = developer.start("build")
    ann.says("ready-2")
    (ssh,) = children(ann.process.pid)
    (worker,) = workers(team.host)
    victims = {"ssh": ssh, "sshd": parent(worker), "worker": worker, "kaiun": ann.process.pid}
    os.kill(victims[victim], signal.SIGKILL)
    if victim == "kaiun":
        ann.ends()
    else:
        assert ann.ends() == 2
        assert "the connection to the build host was lost" in ann.err
        assert "Traceback" not in ann.err
    eventually(lambda: running(marker))
    if victim != "worker":  # what a killed worker left is swept by the next
        eventually(lambda: team.leftovers(marker))
    again = developer.kaiun("build")
    assert again.process.returncode == 0, again.err
    assert "built in" in again.out
    eventually(lambda: team.leftovers(marker))


def test_who_waits_takes_over_from_a_build_whose_connection_died(team: Team) -> None:
    marker = team.slow(5)
    ann, bob = team.developer("ann").start("build"), team.developer("bob")
    ann.says("ready-2")
    waiting = bob.start("build", "--json")
    waiting.says("ready-2")
    ann.process.kill()
    ann.ends()
    assert waiting.ends() == 0, waiting.err
    assert json.loads(waiting.out)["web"]["built"]
    eventually(lambda: team.leftovers(marker))


def test_who_waits_hears_why_the_build_failed(team: Team) -> None:
    step = f"RUN echo {team.app} ready-$((1 + 1)); sleep 2; echo NameError >&2; exit 7\n"
    team.origin.commit({"Dockerfile": f"FROM scratch\nCOPY system/ /\n{step}"})
    ann, bob = team.developer("ann").start("build"), team.developer("bob")
    ann.says("ready-2")
    waiting = bob.start("build")
    assert (ann.ends(), waiting.ends()) == (2, 2)
    for run in (ann, waiting):
        assert "the build failed at [2/2] RUN echo" in run.err
        assert "exit code: 7" in run.err
    assert waiting.err.count("NameError") >= 1


def test_a_dockerfile_that_is_not_committed_is_told_as_it_is_here(team: Team) -> None:
    team.origin.git("rm", "--quiet", "Dockerfile")
    team.origin.commit()
    ann = team.developer("ann").kaiun("build")
    assert ann.process.returncode == 2
    assert "the commit has no Dockerfile" in ann.err
    eventually(team.leftovers)


@pytest.mark.parametrize("whose", ["host", "developer"])
def test_a_password_is_the_hosts_own_or_passed_for_one_build(
    tmp_path: Path, host: BuildHost, whose: str
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    extra = f"auth: {{htpasswd: {{realm: r, path: {tmp_path}/htpasswd}}}}\n"
    basic = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    with registry_process(tmp_path, extra) as registry:
        for team in a_team(tmp_path, host, registry):
            team.slow(0.5)
            settings = {
                "host": host.root / "docker-settings",
                "developer": tmp_path / "own-settings",
            }
            config = json.dumps({"auths": {registry: {"auth": basic}}})
            ann = team.developer("ann", DOCKER_CONFIG=str(settings["developer"]))
            refused = ann.kaiun("build")
            assert refused.process.returncode == 2
            assert f"docker login {registry}" in refused.err
            settings[whose].mkdir(exist_ok=True)
            (settings[whose] / "config.json").write_text(config)
            with looking_for(basic, [host.home, tmp_path / "data"]) as seen:
                built = ann.kaiun("build")
            (settings[whose] / "config.json").unlink()
            assert built.process.returncode == 0, built.err
            assert seen == set()
            memory = [Path(f"/dev/shm/kaiun-{os.getuid()}"), Path(f"/run/user/{os.getuid()}/kaiun")]
            left = [path for folder in memory for path in folder.glob("*/config.json")]
            assert not [path for path in left if registry in path.read_text()]


@contextlib.contextmanager
def looking_for(secret: str, folders: list[Path]) -> Iterator[set[str]]:
    """Watch every command line of this machine and every small file below the folders."""
    over, seen = threading.Event(), set[str]()

    def look() -> None:
        while not over.wait(0.02):
            seen.update(line for text in (secret, PASSWORD) for line in running(text))
            for path in (each for folder in folders for each in folder.rglob("*")):
                with contextlib.suppress(OSError):
                    small = path.is_file() and path.stat().st_size < 100_000
                    if small and "venvs" not in path.parts and secret.encode() in path.read_bytes():
                        seen.add(str(path))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_a_host_that_is_not_prepared_says_what_to_do(team: Team) -> None:
    venvs = team.host.home / "venvs"
    (name,) = venvs.iterdir()
    name.rename(team.host.home / "aside")
    try:
        ann = team.developer("ann").kaiun("build")
    finally:
        (team.host.home / "aside").rename(name)
    assert ann.process.returncode == 2
    assert "not prepared for this version of kaiun" in ann.err
    assert "kaiun build --setup" in ann.err


def test_a_host_whose_key_is_unknown_is_not_trusted(team: Team) -> None:
    known = team.host.root / "known"
    before = known.read_text()
    known.write_text("")
    try:
        ann = team.developer("ann").kaiun("build")
    finally:
        known.write_text(before)
    assert ann.process.returncode == 2
    assert "the build host cannot be reached" in ann.err
    assert "look at its key once: ssh builder.test" in ann.err


def test_a_talkative_shell_does_not_disturb(team: Team) -> None:
    team.host.write_sshd_config('ForceCommand echo welcome; sh -c "$SSH_ORIGINAL_COMMAND"\n')
    team.host.reload()
    try:
        ann = team.developer("ann").kaiun("build")
    finally:
        team.host.write_sshd_config()
        team.host.reload()
    assert ann.process.returncode == 0, ann.err


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def workers(host: BuildHost) -> list[int]:
    """Return the processes that work on the host: by their home."""
    home = f"KAIUN_HOME={host.home}\0".encode()
    found = []
    for pid in pids("exec(i.read(int(i.readline())))"):
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{pid}")
            python = "python" in (process / "exe").readlink().name
            if python and home in (process / "environ").read_bytes():
                found.append(pid)
    return found


def test_the_host_can_be_checked(team: Team) -> None:
    """Without a local ECS the check fails, but what it says of the host is good."""
    ann = team.developer("ann").kaiun("check")
    assert re.search(
        rf"ok    build host: {team.host.url}: Docker \S+ with \S+, \d+ GiB free", ann.out
    )


MAKE_REPOSITORY = """
import sys
import tempfile
from kaiun.image import Workshop
from kaiun.image.host.line import Line
from kaiun.image.host.pushes import Pushing
from kaiun.image.host.site import BuildHost
line = Line(sys.argv[1])
site = BuildHost(line, Workshop())
print(site.repository(Pushing(sys.argv[2], "local", "kaiun.yml")))
line.close()
"""


@pytest.fixture
def pushed(team: Team) -> Developer:
    """Return a developer whose remote `build` is the host's repository."""
    ann = team.developer("ann")
    done = subprocess.run(
        [sys.executable, "-c", MAKE_REPOSITORY, team.host.url, team.app],
        env=team.host.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    team.origin.git(
        "remote", "add", "build", f"{team.host.url}{done.stdout.strip()}", cwd=ann.clone
    )
    return ann


def push(developer: Developer) -> str:
    done = subprocess.run(
        ["git", "push", "build", "HEAD:main"],
        cwd=developer.clone,
        env=developer.host.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_push_is_built_in_the_background_and_followed(team: Team, pushed: Developer) -> None:
    team.slow(3)
    team.origin.git("pull", "--quiet", cwd=pushed.clone)
    said = push(pushed)
    assert "is built in the background: kaiun build --watch" in said
    assert team.digest(team.origin.git("rev-parse", "HEAD")) is None  # the push did not wait
    watching, bob = pushed.start("build", "--watch", "--json"), team.developer("bob")
    watching.says("ready-2")
    building = bob.start("build", "--json")  # as `deploy` does
    assert (watching.ends(), building.ends()) == (0, 0), watching.err + building.err
    results = [json.loads(run.out)["web"] for run in (watching, building)]
    assert results[0]["digest"] == results[1]["digest"] == team.digest(results[0]["tag"])
    assert not any(each["built"] for each in results)
    assert "ready-2" in building.err
    again = pushed.kaiun("build", "--watch")
    assert again.process.returncode == 0
    eventually(team.leftovers)


def test_a_pushed_build_that_fails_is_told_to_who_watches(team: Team, pushed: Developer) -> None:
    step = "RUN echo NameError >&2; exit 7\n"
    team.origin.commit({"Dockerfile": f"FROM scratch\nCOPY system/ /\n{step}"})
    team.origin.git("pull", "--quiet", cwd=pushed.clone)
    push(pushed)
    watching = pushed.kaiun("build", "--watch")
    assert watching.process.returncode == 2
    assert "the build failed at [2/2] RUN echo NameError" in watching.err
    later = pushed.kaiun("build", "--watch")
    assert "exit code: 7" in later.err


def test_a_push_whose_kaiun_yml_is_wrong_is_told_at_once(team: Team, pushed: Developer) -> None:
    team.origin.commit({"kaiun.yml": "app: 7\nprocesses: []\n"})
    team.origin.git("pull", "--quiet", cwd=pushed.clone)
    assert "cannot be built: kaiun.yml:" in push(pushed)
