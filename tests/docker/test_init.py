"""The Dockerfile that `kaiun init` writes, built and run: one image for all that the app does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from e2e.world import World
from support.images import docker
from support.packages import Shelf, shelf
from support.repository import Repository

from kaiun.cli.main import run
from kaiun.image import BuildEvent, Built, Source, Workshop, ensure, resolve
from kaiun.image.client import find as find_client

pytestmark = pytest.mark.docker

# The official image has Ruby's headers, and puts the programs of gems where they are found.
RUBY = """\
FROM kaiun-rails:bookworm
RUN apt-get update -q && apt-get install -qy --no-install-recommends ruby-dev
RUN printf '#!/usr/bin/env ruby\\nrequire "bootsnap/cli"\\nexit Bootsnap::CLI.new(ARGV).run\\n' \\
      >/usr/local/bin/bootsnap && chmod +x /usr/local/bin/bootsnap
"""
GEMS = {
    "harbour": {"lib/harbour.rb": "module Harbour; DEPTH = 12; end\n"},
    "tide": {
        "lib/tide.rb": 'require "tide/tide"\n',
        "ext/extconf.rb": 'require "mkmf"\ncreate_makefile "tide/tide"\n',
        "ext/tide.c": """\
#include <ruby.h>
static VALUE height(VALUE self) { return INT2FIX(42); }
void Init_tide(void) { rb_define_singleton_method(rb_define_module("Tide"), "height", height, 0); }
""",
    },
}
CODE = "module.exports = 5\n"
GEMFILE = """\
source "{url}"
gem "rails", "~> 6.1.7"
gem "puma"
gem "sidekiq"
gem "sprockets-rails"
gem "bootsnap", require: false
gem "harbour"
gem "tide"
"""
APP = {
    "config/application.rb": """\
require "bundler/setup"
require "rails"
require "action_controller/railtie"
require "active_job/railtie"
require "sprockets/railtie"
Bundler.require(*Rails.groups)

module Quay
  class Application < Rails::Application
    config.load_defaults 6.1
    config.active_job.queue_adapter = :sidekiq
  end
end
""",
    "config/environment.rb": "require_relative 'application'\nRails.application.initialize!\n",
    "config/environments/production.rb": """\
Rails.application.configure do
  config.eager_load = true
  config.logger = Logger.new($stdout)
end
""",
    "config/routes.rb": "Rails.application.routes.draw { root to: 'tides#show' }\n",
    "config/puma.rb": "port ENV.fetch('PORT', 3000)\n",
    "config.ru": "require_relative 'config/environment'\nrun Rails.application\n",
    "Rakefile": """\
require_relative "config/application"
Rails.application.load_tasks
task(report: :environment) { puts "depth #{Harbour::DEPTH}" }
""",
    "bin/rails": """\
#!/usr/bin/env ruby
APP_PATH = File.expand_path("../config/application", __dir__)
require_relative "../config/application"
require "rails/commands"
""",
    "app/controllers/tides_controller.rb": """\
class TidesController < ActionController::Base
  def show = render(plain: "height #{Tide.height}")
end
""",
    "app/assets/config/manifest.js": "//= link application.css\n",
    "app/assets/stylesheets/application.css": "body {}\n",
}
# What has been committed by mistake, or lies there: the image must not have it.
UNWANTED = (
    "config/master.key", "config/credentials/production.key", ".env", "engine/.env.local",
    "log/production.log", "tmp/cache/old", "public/assets/old.css", "node_modules/wrong/index.js",
    "spec/tide_spec.rb", "kaiun.yml", "Dockerfile", ".git/HEAD",
)  # fmt: skip

# What kaiun.yml requires (Sidekiq is there, so REDIS_URL is), and what Rails does.
ENVIRONMENT = (
    "--env=KAIUN_ENVIRONMENT=local",
    "--env=SECRET_KEY_BASE=of-a-test",
    "--env=REDIS_URL=redis://redis:6379/0",
)


@dataclass
class Yard:
    """The app in its repository, and what its builds are given."""

    repository: Repository
    source: Source
    workshop: Workshop
    ruby: str
    shelf: Shelf
    events: list[BuildEvent] = field(default_factory=list)

    def lock(self) -> None:
        """Let Bundler write Gemfile.lock, as the developer would."""
        self.inside(
            self.ruby, "bundle", "lock", f"--volume={self.repository.path}:/app", "--workdir=/app",
            f"--user={os.getuid()}:{os.getgid()}", "--env=HOME=/tmp",
        )  # fmt: skip
        self.shelf.asked.clear()

    def need(self, *packages: str) -> None:
        """Let the app need these npm packages, in package.json and its lock."""
        needs = {"name": "quay", "dependencies": dict.fromkeys(packages, "1.0.0")}
        lock = {
            "": needs,
            **{f"node_modules/{each}": self.shelf.add_npm(each, CODE) for each in packages},
        }
        locked = {"name": "quay", "lockfileVersion": 3, "requires": True, "packages": lock}
        files = {"package.json": needs, "package-lock.json": locked}
        self.repository.write({path: json.dumps(each) for path, each in files.items()})

    def init(self) -> None:
        """Run `kaiun init` in the app."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.repository.path)
            assert run(["init", "--app", self.source.app]) == 0

    def build(self, **args: str) -> Built:
        merged = dict(self.source.args) | args
        source = replace(self.source, args=tuple(merged.items()))
        self.repository.commit()
        return ensure(source, resolve(self.repository.path), self.workshop)

    def inside(self, image: str, *words: str) -> str:
        """Run a command in a container; words that begin with -- and hold = are docker's."""
        options = [word for word in words if word.startswith("--") and "=" in word]
        command = [word for word in words if word not in options]
        return docker("run", "--rm", *ENVIRONMENT, *options, image, *command)


@pytest.fixture(scope="module")
def ruby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tag = f"kaiun-test-ruby:{uuid.uuid4().hex[:12]}"
    root = tmp_path_factory.mktemp("ruby")
    (root / "Dockerfile").write_text(RUBY)
    docker_build(root, f"--tag={tag}")
    yield tag
    docker("image", "rm", tag)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Make an image of this machine's own Node and npm, laid out as the official one."""
    programs = [shutil.which(each) for each in ("node", "npm")]
    if None in programs:
        pytest.skip("no Node and npm here")
    binary, npm = (Path(str(each)).resolve() for each in programs)
    root = tmp_path_factory.mktemp("node")
    (root / "usr/local/bin").mkdir(parents=True)
    shutil.copy(binary, root / "usr/local/bin/node")
    shutil.copytree(npm.parents[1], root / "usr/local/lib/node_modules/npm", symlinks=True)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY usr /usr\n")
    tag = f"kaiun-test-node:{uuid.uuid4().hex[:12]}"
    docker_build(root, f"--tag={tag}")
    yield tag
    docker("image", "rm", tag)


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory, ruby: str) -> Iterator[Shelf]:
    with shelf(tmp_path_factory.mktemp("shelf")) as found:
        found.add_gems(ruby, GEMS)
        yield found


@pytest.fixture(scope="module")
def yard(
    tmp_path_factory: pytest.TempPathFactory, registry: str, ruby: str, node: str, offered: Shelf
) -> Iterator[Yard]:
    app = f"t-{uuid.uuid4().hex[:12]}"
    root = tmp_path_factory.mktemp("yard")
    repository = Repository(root / "app")
    repository.write({**APP, "Gemfile": GEMFILE.format(url=offered.url)})
    events: list[BuildEvent] = []
    workshop = Workshop(events.append, home=root / "home")
    args = (("RUBY_IMAGE", ruby), ("NODE_IMAGE", node))
    source = Source(
        app, f"{registry}/{app}", repository.path, args=args, layer="kaiun.yml", cpu="x86-64-v2"
    )
    yard = Yard(repository, source, workshop, ruby, offered, events)
    yard.need("left")
    yard.lock()
    yard.init()
    repository.write(
        {path: "unwanted" for path in UNWANTED if not (repository.path / path).exists()}
    )
    yield yard
    images = docker("image", "ls", "--all", "--quiet", f"--filter=label=kaiun.app={app}").split()
    if images:
        docker("image", "rm", "--force", *sorted(set(images)))


@pytest.fixture(scope="module")
def image(yard: Yard) -> str:
    """Return the image of the first commit; the packages were fetched for it, each once."""
    built = yard.build()
    assert yard.shelf.fetched() == ["harbour-1.0.0.gem", "left-1.0.0.tgz", "tide-1.0.0.gem"]
    return built.reference


def test_web_answers_and_runs_as_a_user_who_cannot_change_the_code(yard: Yard, image: str) -> None:
    container = docker(
        *("run", "--detach", *ENVIRONMENT, "--publish=127.0.0.1::3000", image, "web")
    )
    try:
        address = docker("port", container, "3000").splitlines()[0]
        assert answer(f"http://{address}/", container) == "height 42"
        shown = docker("exec", container, "sh", "-c", "! touch app/x && touch tmp/x log/x && id -u")
        assert shown == "1000"
    finally:
        docker("rm", "--force", container)


def answer(url: str, container: str) -> str:
    """Return the page once it is served; fail with the container's log."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return str(reply.read().decode())
        except OSError:
            log = docker("logs", container)
            assert docker("inspect", "--format={{.State.Running}}", container) == "true", log
            assert time.monotonic() < deadline, log
            time.sleep(0.1)


def test_batch_and_console_run_from_the_same_image(yard: Yard, image: str) -> None:
    assert "depth 12" in yard.inside(image, "bundle", "exec", "rake", "report")
    typed = subprocess.run(
        [find_client().program, "run", "--rm", "--interactive", *ENVIRONMENT, image, "console"],
        input="puts Tide.height * 2\n", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "84" in typed.stdout


def test_worker_takes_jobs_from_redis(yard: Yard, image: str) -> None:
    """The command of kaiun.yml's `worker` reaches the point where it waits for jobs."""
    names = {each: f"{each}-{uuid.uuid4().hex[:12]}" for each in ("net", "redis", "worker")}
    redis = docker_build(Path(__file__).parents[2] / "examples/shop/docker/redis")
    docker("network", "create", names["net"])
    try:
        docker("run", "--detach", "--name", names["redis"], "--network", names["net"],
               "--network-alias=redis", redis)  # fmt: skip
        docker("run", "--detach", "--name", names["worker"], "--network", names["net"],
               *ENVIRONMENT, image, "worker")  # fmt: skip
        deadline = time.monotonic() + 30
        ready = ("exec", names["redis"], "redis-cli", "scard", "processes")
        while docker(*ready) != "1":
            assert time.monotonic() < deadline, docker("logs", names["worker"])
            time.sleep(0.1)
    finally:
        docker("rm", "--force", "--volumes", names["worker"], names["redis"])
        docker("network", "rm", names["net"])


def docker_build(folder: Path, *options: str) -> str:
    """Build an image; return its id."""
    client = find_client()
    return subprocess.run(
        [*client.build_command(), "--quiet", *options, str(folder)],
        env=client.environment(), check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip


def test_image_has_no_tools_no_caches_no_assets_and_nothing_unwanted(
    yard: Yard, image: str
) -> None:
    tools = "for each in gcc cc g++ make ld git; do command -v $each; done; true"
    assert yard.inside(image, "sh", "-c", tools) == ""
    kept = "cd /usr/local/bundle; ls; ls /var/cache/apt/archives/*.deb /var/lib/apt/lists/* || true"
    assert not {"cache", "system"} & set(yard.inside(image, "sh", "-c", kept).split())
    assert set(UNWANTED) - {".git/HEAD"} <= set(yard.repository.git("ls-files").split())
    files = yard.inside(image, "find", ".", "-type", "f").split()
    assert {"./config.ru", "./app/assets/stylesheets/application.css"} <= set(files)
    assert not {f"./{path}" for path in UNWANTED} & set(files)
    assert [path for path in files if path.startswith("./public/assets")] == []


def test_jemalloc_is_there_unless_it_is_switched_off(yard: Yard, image: str) -> None:
    loaded = ("ruby", "-e", "puts File.read('/proc/self/maps').scan('jemalloc').size")
    assert int(yard.inside(image, *loaded)) > 0
    assert yard.inside(image, "--env=LD_PRELOAD=", *loaded) == "0"
    without = yard.build(JEMALLOC="")
    assert yard.inside(without.reference, *loaded) == "0"


def test_what_is_new_is_fetched_and_compiled_alone(yard: Yard, image: str) -> None:
    yard.shelf.add_gems(
        yard.ruby, {"anchor": {"lib/anchor.rb": "module Anchor; WEIGHT = 7; end\n"}}
    )
    gemfile = yard.repository.path / "Gemfile"
    gemfile.write_text(gemfile.read_text() + 'gem "anchor"\n')
    yard.need("left", "right")
    yard.lock()
    yard.events.clear()
    built = yard.build()
    assert yard.shelf.fetched() == ["anchor-1.0.0.gem", "right-1.0.0.tgz"]
    said = "\n".join(event.line for event in yard.events)
    assert "Installing anchor" in said
    assert "Installing tide" not in said
    shown = yard.inside(built.reference, "bundle", "exec", "ruby", "-rtide", "-ranchor", "-e",
                        "print Tide.height + Anchor::WEIGHT")  # fmt: skip
    assert shown == "49"
    assert yard.inside(built.reference, "node", "-p", "require('left') + require('right')") == "10"


def test_what_was_written_is_deployed(yard: Yard, tmp_path: Path) -> None:
    """All that a user changes of it here is where images come from: none can be pulled."""
    world = World(tmp_path)
    yard.repository.commit()
    yard.repository.git("clone", "--quiet", str(yard.repository.path), str(world.shop))
    redis = f"{yard.source.app}-redis:7"
    docker_build(Path(__file__).parents[2] / "examples/shop/docker/redis", f"--tag={redis}")
    args = json.dumps(dict(yard.source.args))
    for old, new in (
        ("localhost:5000/", f"localhost:{world.registry_port}/"),
        ("image:\n", f"image:\n  args: {args}\n"),
        ("redis:7", redis),
        ("listen: 8080", f"listen: {world.web_port}"),
    ):
        world.edit("kaiun.yml", old, new)
    world.commit("Where images come from")
    try:
        world.up()
        world.kaiun("check")
        world.kaiun("deploy")
        assert world.get("/") == "height 42"
        assert "depth 12" in world.kaiun("run", "--", "bundle", "exec", "rake", "report").stdout
        asked = "print Redis.new(url: ENV['REDIS_URL']).scard('processes')"
        workers = world.kaiun("run", "--", "bundle", "exec", "ruby", "-rredis", "-e", asked)
        assert workers.stdout.splitlines()[-1].strip() == "1"
    finally:
        world.down()
        docker("image", "rm", redis)
