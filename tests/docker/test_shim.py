"""A gem that forces -march=native: built for an older CPU it runs there, and nothing else differs.

The older machine is QEMU's user mode on this one: what the CPU lacks dies with SIGILL.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.images import Bench, docker

from kaiun.cpu import levels, report, store
from kaiun.image import contents
from kaiun.image.adaptation import Adapting, adapted
from kaiun.image.build import Recipe, build
from kaiun.image.client import find as find_client
from kaiun.image.events import BuildEvent
from kaiun.image.stop import Stop

QEMU = "qemu-x86_64-static"
pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which(QEMU) is None, reason="no qemu-user-static here"),
]

SUM = 'require "fast"; exit fast(64) == 85344'
COMPILERS = "kaiun-test-compilers:1"
TOOLS = """\
FROM kaiun-rails:bookworm
RUN apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev make ruby-dev
"""
GEM = {
    "gem/fast.gemspec": """\
Gem::Specification.new do |spec|
  spec.name, spec.version, spec.summary, spec.authors = "fast", "1.2.0", "sums", ["Ann"]
  spec.files = ["ext/fast.c", "ext/sum.c", "ext/extconf.rb"]
  spec.extensions = ["ext/extconf.rb"]
end
""",
    "gem/ext/extconf.rb": """\
require "mkmf"
$CFLAGS << " -O3 -march=native"
create_makefile "fast"
""",
    "gem/ext/sum.c": """\
long total(const int *numbers, int count) {
  long sum = 0;
  for (int at = 0; at < count; at++) sum += (long)numbers[at] * numbers[at];
  return sum;
}
""",
    "gem/ext/fast.c": """\
#include <ruby.h>
long total(const int *, int);
static VALUE sum(VALUE self, VALUE count) {
  int numbers[64];
  for (int at = 0; at < 64; at++) numbers[at] = at;
  return LONG2NUM(total(numbers, NUM2INT(count)));
}
void Init_fast(void) { rb_define_global_function("fast", sum, 1); }
""",
    "gem/ext/main.c": """\
long total(const int *, int);
int main(int count, char **words) {
  int numbers[64] = {count};
  return total(numbers, 64) != 1 || !words;
}
""",
}
DOCKERFILE = f"""\
FROM {COMPILERS}
COPY gem /gem
RUN cd /gem && gem build --quiet fast.gemspec \\
 # from the file: no registry is asked
 && gem install --local --quiet --no-document fast-1.2.0.gem
RUN ["/usr/bin/gcc", "-O3", "-march=native", "-static", "-o", "/program", "/gem/ext/main.c", \\
     "/gem/ext/sum.c"]
USER www-data
RUN cd /tmp && cc -O3 -march=native -static -o /tmp/program /gem/ext/main.c /gem/ext/sum.c
"""


@pytest.fixture(scope="module", autouse=True)
def _compilers(tmp_path_factory: pytest.TempPathFactory) -> None:
    client = find_client()
    if not client.has_image("kaiun-rails:bookworm"):
        pytest.skip("scripts/base-image has not been run")
    folder = tmp_path_factory.mktemp("tools")
    (folder / "Dockerfile").write_text(TOOLS)
    command = [*client.build_command(), "--quiet", f"--tag={COMPILERS}", str(folder)]
    subprocess.run(command, env=client.environment(), capture_output=True, check=True)


@dataclass
class Lab:
    """Builds the gem's image, for one level or as the user wrote it; nothing is pushed."""

    root: Path
    events: list[BuildEvent]

    def build(self, level: str) -> str:
        name = f"kaiun-test-shim:{level or 'plain'}"
        client, stop = find_client(), Stop()
        adapting = Adapting(
            self.root / "home", "lab", "lab", level, frozenset(), client, self.events.append, stop
        )
        with adapted(Recipe(name, self.root, "Dockerfile", {}), adapting) as recipe:
            build(client, recipe, progress=self.events.append, stop=stop)
        return name


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    unique = {"gem/unique": uuid.uuid4().hex}  # a step from the cache prints nothing
    for name, text in {**GEM, **unique, "Dockerfile": DOCKERFILE}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    yield Lab(tmp_path, [])
    images = docker("image", "ls", "--quiet", "kaiun-test-shim").split()
    if images:
        docker("image", "rm", "--force", *set(images))


def risks(image: str, home: Path) -> set[str]:
    """Return what the scanner says would crash on x86-64-v2: packages, else paths."""
    with store.opened(home) as known:
        found = contents.of_engine(find_client(), image, known)
    assert found
    judged = report.build(image, found, levels.parse("x86-64-v2"))
    return {item.package or item.path for item in judged.risks}


def on_old_machine(image: str, *command: str) -> int:
    """Run a command of the image on a CPU of 2010; return its exit code.

    Not as process 1, to which its own signals do nothing.
    """
    qemu = f"--volume={shutil.which(QEMU)}:/qemu:ro"
    run = ["run", "--rm", "--network=none", "--entrypoint=sh", qemu, image]
    script = '/qemu -cpu Westmere "$@"; exit $?'
    argv = [find_client().program, *run, "-c", script, "sh", *command]
    return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode


def files(image: str) -> set[str]:
    """Return kind, mode, owner and path of every file."""
    find = r"find / -xdev \( -path /proc -o -path /sys \) -prune -o -printf '%y %m %u %p\n'"
    run = ("run", "--rm", "--user=0", "--network=none", "--entrypoint=sh")
    return set(docker(*run, image, "-c", find).splitlines())


def test_native_runs_on_older_machines_and_leaves_no_trace(lab: Lab, tmp_path: Path) -> None:
    plain = lab.build("")
    lab.events.clear()
    built = lab.build("x86-64-v2")
    ruby = ("/usr/bin/ruby", "-e", SUM)
    assert on_old_machine(plain, *ruby) == 128 + signal.SIGABRT  # Ruby's word for SIGILL
    assert on_old_machine(built, *ruby) == 0
    for program in ("/program", "/tmp/program"):
        assert on_old_machine(plain, program) == 128 + signal.SIGILL
        assert on_old_machine(built, program) == 0
    said = {event.line for event in lab.events if event.line.startswith("kaiun: ")}
    assert said == {
        f"kaiun: {who} asked for -march=native ({compiler}) and gets x86-64-v2"
        for who, compiler in (("fast-1.2.0", "x86_64-linux-gnu-gcc"), ("/tmp", "cc"))
    }
    assert files(built) == files(plain)
    # The programs hold all of glibc, which chooses at run time: they are for review.
    assert risks(plain, tmp_path / "home") == {"gem fast 1.2.0"}
    assert risks(built, tmp_path / "home") == set()


def test_level_of_kaiun_yml_reaches_every_step(bench: Bench) -> None:
    shown = 'RUN echo "$RUSTC_WRAPPER" >/step\nCMD ["/bin/cat", "/step"]\n'
    bench.repository.commit({"Dockerfile": f"FROM scratch\nCOPY system/ /\n{shown}"})
    assert bench.run(bench.ensure().reference) == ""
    built = bench.ensure(cpu="x86-64-v2", no_cache=frozenset({"assets"}))
    assert bench.run(built.reference) == "/dev/kaiun/compiler"
    assert "echo" in next(event.name for event in bench.events if event.name.startswith("RUN"))
    assert not [event for event in bench.events if "/dev/kaiun" in f"{event.name} {event.line}"]
