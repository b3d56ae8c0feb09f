"""Assets compiled in containers of the image just built, kept, found again, baked in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support import sprockets
from support.images import Bench, docker, registry_process

from kaiun.assets import artifact
from kaiun.errors import AssetsError, ImageError, KaiunError
from kaiun.image import BuildEvent, Built, Registry, leftovers, resolve
from kaiun.image.reference import parse

pytestmark = pytest.mark.docker

COUNT = 150  # stylesheets, and as many scripts
DOCKERFILE = """\
FROM kaiun-base:bookworm
RUN useradd --uid 900 shop
WORKDIR /app
COPY . .
USER shop
CMD ["sleep", "60"]
"""
# Stands for a compiler: fingerprints one file, leaves a manifest, keeps a cache.
COMPILER = """\
#!/bin/sh
set -e
mkdir -p public/assets tmp/cache
echo "began in $(cat tmp/cache/count 2>/dev/null || echo nothing) as $(id -u)"
echo spoilt >tmp/cache/count
. ./behaviour
hash=$(md5sum <style.css | cut -c1-32)
cp style.css public/assets/style-$hash.css
gzip -nk public/assets/style-$hash.css
echo "{\\"style.css\\": \\"style-$hash.css\\"}" >public/assets/.manifest.json
echo "$hash" >tmp/cache/count
"""
CONFIG = """\
app: {app}
image: {{repository: {repository}}}
assets: {{command: ./compile, cache: tmp/cache, inputs: [style.css, behaviour]}}
processes: {{web: {{command: sleep 60}}}}
environments:
  staging: {{}}
{more}"""


@dataclass
class App:
    """One application, built as often as a test likes."""

    bench: Bench

    @property
    def name(self) -> str:
        return self.bench.source.app

    def write(self, more: str = "", **files: str) -> None:
        config = CONFIG.format(app=self.name, repository=self.bench.source.repository, more=more)
        names = {name.replace("_", "."): text for name, text in files.items()}
        self.bench.repository.commit({"kaiun.yml": config, **names})

    def ensure(self, *no_cache: str) -> Built:
        self.bench.events.clear()
        return self.bench.ensure(no_cache=frozenset(no_cache), layer="kaiun.yml")

    def failing(self) -> KaiunError:
        with pytest.raises(KaiunError) as caught:
            self.ensure()
        return caught.value

    def lines(self) -> list[str]:
        """Return what the compiler said."""
        return [e.line for e in self.bench.events if (e.phase, e.state) == ("assets", "output")]

    def notes(self) -> list[str]:
        return [e.line for e in self.bench.events if e.phase == "note"]

    def digests(self, built: Built) -> dict[str, str]:
        labels = Registry().labels(parse(built.repository), built.digest)
        found: dict[str, str] = json.loads(labels["kaiun.assets"])
        return found

    def run(self, built: Built, command: str, environment: str = "staging", *options: str) -> str:
        return docker(
            "run", "--rm", "--network=none", f"--env=KAIUN_ENVIRONMENT={environment}", *options,
            built.reference, "sh", "-c", command,
        )  # fmt: skip

    def containers(self) -> list[str]:
        """Return the compile containers of this build, whatever their state."""
        ours = leftovers.compile_name(self.bench.workshop.home, "").split("-")[2]
        name = f"--filter=name=^kaiun-compile-{ours}-"
        return docker("container", "ls", "--all", "--format={{.Names}}", name).splitlines()

    def volumes(self) -> list[str]:
        return docker("volume", "ls", "-q", f"--filter=label=kaiun.app={self.name}").split()

    def caches(self) -> dict[str, str]:
        """Return what each volume's compile left in it."""
        return {
            name: docker(
                "run", "--rm", "--network=none", f"--volume={name}:/cache:ro",
                "kaiun-base:bookworm", "cat", "/cache/count",
            )
            for name in self.volumes()
        }  # fmt: skip


@pytest.fixture
def app(bench: Bench) -> Iterator[App]:
    bench.repository.commit({"Dockerfile": DOCKERFILE, "compile": COMPILER, "behaviour": ""})
    app = App(bench)
    app.write(style_css="a { color: red }\n")
    yield app
    if volumes := app.volumes():
        docker("volume", "rm", *volumes)


def until(what: str, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_few_hundred_assets_of_sprockets(bench: Bench) -> None:
    """The story of an application: what changes is compiled, and nothing else."""
    app, repository = App(bench), bench.source.repository
    files = sprockets.application(app.name, repository, COUNT)
    bench.repository.commit(files)
    try:
        first = app.ensure()
        everything = sprockets.compiled(bench.events)
        assert len(everything) == 2 * COUNT
        manifest = artifact.find(Registry(), parse(repository), app.digests(first)["staging"])
        assert manifest
        parts = [file for file in manifest.files if file.path.startswith("assets/part")]
        assert len(parts) == 4 * COUNT  # each with its .gz
        assert all(file.immutable for file in manifest.files)

        bench.repository.commit({"app/models/order.rb": "class Order; def total = 1; end\n"})
        second = app.ensure()
        assert app.lines() == []
        assert app.digests(second) == app.digests(first)
        assert "nothing to compile" in " ".join(app.notes())

        changed = {"app/assets/stylesheets/part3.scss": sprockets.stylesheet(3, "blue")}
        bench.repository.commit(changed)
        third = app.ensure()
        assert sprockets.compiled(bench.events) == {"part3.scss"}, app.lines() + app.notes()
        assert app.digests(third) != app.digests(first)
        page = "cat public/assets/part3-*.css"
        assert ("blue" in app.run(third, page), "red" in app.run(second, page)) == (True, True)

        bench.repository.commit({"app/assets/stylesheets/_palette.scss": sprockets.palette("#a00")})
        app.ensure()
        assert sprockets.compiled(bench.events) == {f"part{n}.scss" for n in range(0, COUNT, 10)}

        assert app.ensure("assets").built
        assert sprockets.compiled(bench.events) == everything

        more = "  demo: {}\n  cdn: {assets: {host: https://cdn.example.com}}\n"
        config = sprockets.application(app.name, repository, 0, more)["kaiun.yml"]
        bench.repository.commit({"kaiun.yml": config})
        last = app.ensure()
        started = [e.name for e in bench.events if (e.phase, e.state) == ("assets", "started")]
        assert started == ["assets of cdn: rake assets:precompile"]
        assert app.digests(last)["demo"] == app.digests(last)["staging"]
        assert app.digests(last)["cdn"] != app.digests(last)["demo"]
        assert any("are the same files, kept once" in line for line in app.notes())
        assert app.containers() == []
    finally:
        if volumes := app.volumes():
            docker("volume", "rm", *volumes)


def test_compiler_works_as_root_with_the_cache_of_the_last_good_one(app: App) -> None:
    first = app.ensure()
    assert app.lines() == ["began in nothing as 0"]
    assert app.run(first, "cat public/assets/style-*.css; id -u") == "a { color: red }\n900"
    hash_ = app.run(first, "cat public/assets/.manifest.json")[-38:-6]
    app.write(style_css="a { color: blue }\n")
    app.ensure()
    assert app.lines() == [f"began in {hash_} as 0"]
    assert len(app.volumes()) == 2  # the cache, and a copy for the next
    app.ensure("assets")
    assert app.lines() == ["began in nothing as 0"]


def test_failing_compile_is_told_and_does_not_spoil_the_cache(app: App) -> None:
    first = app.ensure()
    hash_ = app.run(first, "cat public/assets/.manifest.json")[-38:-6]
    app.write(behaviour="echo 'style.css:1: no such colour'; exit 3\n")
    problem = app.failing()
    assert isinstance(problem, AssetsError)
    assert "`./compile` ended with 3" in problem.message
    assert problem.where.startswith("assets of ")
    assert problem.detail[-1] == "style.css:1: no such colour"
    assert app.containers() == []
    assert list(app.caches().values()) == [hash_]  # the copy that was spoilt is gone
    app.write(behaviour=":\n")
    app.ensure()
    assert app.lines() == [f"began in {hash_} as 0"]


def test_copy_of_the_cache_is_made_for_the_next_compile_and_used_once(app: App) -> None:
    app.ensure()
    first = app.caches()
    assert len(first) == 2
    assert len(set(first.values())) == 1
    app.write(style_css="a { color: blue }\n")
    app.ensure()
    second = app.caches()
    assert len(second) == 2
    assert len(set(second.values())) == 1
    assert set(first.values()) != set(second.values())
    (carried_on,) = set(first) & set(second)
    docker("volume", "rm", *second)
    app.write(style_css="a { color: green }\n")
    app.ensure()
    assert app.lines() == ["began in nothing as 0"]
    assert carried_on not in app.volumes()


def test_command_that_is_not_there_and_one_that_leaves_nothing(app: App) -> None:
    app.bench.repository.commit({"behaviour": "exit 0\n"})
    assert "left nothing in public/assets" in app.failing().message
    config = CONFIG.format(app=app.name, repository=app.bench.source.repository, more="")
    app.bench.repository.commit({"kaiun.yml": config.replace("./compile", "./compiel")})
    assert "the image has no './compiel'" in app.failing().hint


def test_killed_compile_is_told_and_leaves_nothing(app: App) -> None:
    app.write(behaviour="echo waiting; sleep 600\n")

    def kill() -> None:
        until("it waits", lambda: "waiting" in app.lines())
        docker("kill", *app.containers())

    killer = threading.Thread(target=kill)
    killer.start()
    problem = app.failing()
    killer.join()
    assert "ended with 137" in problem.message
    assert (app.containers(), app.volumes()) == ([], [])


BUILD = """
import sys
from pathlib import Path
from kaiun.image import Source, Workshop, ensure, resolve
app, repository, root, home = sys.argv[1:]
workshop = Workshop(lambda event: print(event.line, flush=True), home=Path(home))
ensure(Source(app, repository, Path(root), layer="kaiun.yml"), resolve(Path(root)), workshop)
"""


def building(app: App) -> subprocess.Popen[bytes]:
    """Start a build as a process of its own; return when its compiler waits."""
    app.write(behaviour="echo waiting; sleep 600\n")
    source, home = app.bench.source, app.bench.workshop.home
    argv = [source.app, source.repository, str(source.root), str(home)]
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, *argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    while process.stdout.readline() not in {b"waiting\n", b""}:
        pass
    assert len(app.containers()) == 1
    return process


def test_ctrl_c_leaves_no_container(app: App) -> None:
    with building(app) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    assert (app.containers(), app.volumes()) == ([], [])


def test_container_of_a_killed_kaiun_is_taken_away_by_the_next_build(app: App) -> None:
    with building(app) as process:
        process.kill()
    assert len(app.containers()) == 1
    app.write(behaviour=":\n")
    app.ensure()
    assert (app.containers(), len(app.volumes())) == ([], 2)


def test_two_builds_that_want_the_same_compile_once(app: App) -> None:
    app.write(behaviour="sleep 1\n")
    revision = resolve(app.bench.repository.path)
    app.write(other="")
    both = [revision, resolve(app.bench.repository.path)]
    start = threading.Barrier(2)

    def run(number: int) -> Built:
        from kaiun.image import ensure

        start.wait(10)
        source = replace(app.bench.source, layer="kaiun.yml")
        return ensure(source, both[number], app.bench.workshop)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(run, range(2))
    assert len(app.lines()) == 1
    assert app.digests(one) == app.digests(other)


def test_environments_that_differ_are_compiled_side_by_side_and_chosen_at_the_start(
    app: App,
) -> None:
    side = 'sleep 1; echo "/* $SIDE */" >>style.css\n'
    more = "  blue: {assets: {env: {SIDE: blue}}}\n  green: {assets: {env: {SIDE: green}}}\n"
    more += "  none: {assets: null}\n"
    app.write(more, behaviour=side)
    built = app.ensure()
    assert set(app.digests(built)) == {"local", "staging", "blue", "green"}
    told = [e.state for e in app.bench.events if e.phase == "assets" and e.state != "output"]
    at_once = min(3, len(os.sched_getaffinity(0)))
    assert told[: at_once + 1] == ["started"] * at_once + ["done"]
    page = "cat public/assets/style-*.css"
    assert "/* blue */" in app.run(built, page, "blue")
    assert "/* green */" in app.run(built, page, "green")
    assert app.run(built, "ls public/assets/ 2>/dev/null || echo nothing", "none") == "nothing"
    tmpfs = "--tmpfs=/opt/kaiun/place"
    assert "/* blue */" in app.run(built, page, "blue", "--read-only", tmpfs, "--user=900")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        app.run(built, "true", "blue", "--read-only")
    assert caught.value.returncode == 69
    assert "start: {directory: /run/kaiun}" in caught.value.stderr


def test_files_served_from_s3_are_not_in_the_image(app: App) -> None:
    text = (app.bench.repository.path / "kaiun.yml").read_text()
    bucket = "assets: {bucket: s3://shop-assets, host: https://cdn.example.com, "
    app.bench.repository.commit({"kaiun.yml": text.replace("assets: {", bucket)})
    built = app.ensure()
    assert app.run(built, "ls -A public/assets; echo $ASSET_HOST").split() == [
        ".manifest.json",
        "https://cdn.example.com",
    ]
    assert app.run(built, "find / -xdev -name 'style-*'", "staging", "--user=0") == ""


def test_registry_that_breaks_in_the_middle_leaves_nothing_half(app: App, tmp_path: Path) -> None:
    """The next run neither compiles nor is confused."""
    (tmp_path / "registry").mkdir()
    with registry_process(tmp_path / "registry") as host:
        disk = tmp_path / "registry/data/docker/registry/v2"
        repository = f"{host}/{app.name}"

        def break_it(event: BuildEvent) -> None:
            app.bench.events.append(event)
            if (event.phase, event.state) == ("assets", "started"):
                disk.mkdir(parents=True, exist_ok=True)
                (disk / "repositories").write_text("no directory: every upload is answered by 500")

        app.bench.workshop = replace(app.bench.workshop, progress=break_it)
        with pytest.raises(ImageError, match="500"):
            app.bench.ensure(repository=repository, layer="kaiun.yml")
        assert app.lines() == ["began in nothing as 0"]
        (disk / "repositories").unlink()
        assert Registry().tags(parse(repository)) == []
        app.bench.events.clear()
        built = app.bench.ensure(repository=repository, layer="kaiun.yml")
        assert app.lines() == []
        (digest,) = set(app.digests(built).values())
        assert artifact.find(Registry(), parse(repository), digest)
