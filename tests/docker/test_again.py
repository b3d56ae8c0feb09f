"""The next commit is built in one step, and comes out as if the whole way had been gone."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.images import Bench, docker

from kaiun.errors import ImageError
from kaiun.image import ensure, resolve

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="layers can be read by root alone"),
]

BASE = "kaiun-base:bookworm"
DOCKERFILE = f"""\
FROM {BASE}
RUN useradd -u 901 app
WORKDIR /app
COPY . .
RUN date +%N >log/built; sh ./prepare
USER app
ENV COLOUR=blue
CMD ["sh", "-c", "cat config/a.yml"]
"""
CONFIG = """\
app: {app}
image: {{repository: {repository}}}
start:
  templates: [config/a.yml.tmpl, config/b.tmpl]
  directory: /run/kaiun
"""
FILES: dict[str, str | bytes] = {
    "Dockerfile": DOCKERFILE,
    "config/a.yml.tmpl": "colour: ${COLOUR}\n",
    "config/b.tmpl": "b: ${COLOUR}\n",
    "config/a.yml": "what a link takes the place of\n",
    "log/.keep": "",
    "model.rb": "1",
    "prepare": "true\n",
}


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """An app whose first commit was built."""
    if not docker("image", "ls", "--quiet", BASE):
        pytest.skip("scripts/base-image has not been run")
    config = CONFIG.format(app=bench.source.app, repository=bench.source.repository)
    bench.repository.commit({**FILES, "kaiun.yml": config})
    bench.source = replace(bench.source, layer="kaiun.yml")
    bench.ensure()
    assert whole_ways(bench) == 1
    return bench


def whole_ways(bench: Bench) -> int:
    """How many builds looked into the image and had the layer made inside of it."""
    return sum("setup.sh arrange" in each.name for each in bench.events if each.state == "started")


def test_ruby_alone_is_one_step_and_the_image_is_the_same(shop: Bench, tmp_path: Path) -> None:
    for number in ("2", "3"):
        shop.repository.commit({"model.rb": number, "added.rb": number})
        quick = shop.ensure()
        sha = shop.repository.git("rev-parse", "HEAD")
        assert shop.run(quick.reference, "cat", "/opt/kaiun/REVISION") == sha
    assert whole_ways(shop) == 1
    other = replace(shop.source, repository=f"{shop.source.repository}-whole")
    elsewhere = replace(shop.workshop, home=tmp_path / "elsewhere")
    whole = ensure(other, resolve(shop.repository.path), elsewhere)
    assert whole_ways(shop) == 2
    assert described(quick.reference) == described(whole.reference)
    assert shop.run(quick.reference) == "colour: blue"
    assert docker("image", "ls", "--quiet", "--filter=reference=kaiun-layer:*") == ""


def edit_config(bench: Bench) -> None:
    path = bench.repository.path / "kaiun.yml"
    bench.repository.commit({"kaiun.yml": path.read_text().replace("config/a.yml.tmpl, ", "")})


CHANGES: dict[str, Callable[[Bench], object]] = {
    "what a link takes the place of": lambda it: it.repository.commit({"config/a.yml": "other\n"}),
    "kaiun.yml": edit_config,
    "the Dockerfile": lambda it: it.repository.commit({"Dockerfile": DOCKERFILE + "ENV A=1\n"}),
    "a step that changes the system": lambda it: it.repository.commit(
        {"prepare": "usermod -u 902 app\n"}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whole_way_is_gone_where_something_else_changed(shop: Bench, change: str) -> None:
    CHANGES[change](shop)
    shop.ensure()
    assert whole_ways(shop) == 2


def test_source_that_is_gone_fails_the_build_as_it_does_at_first(shop: Bench) -> None:
    shop.repository.git("rm", "config/a.yml.tmpl")
    shop.repository.commit({})
    with pytest.raises(ImageError) as caught:
        shop.ensure()
    assert any("the image has no config/a.yml.tmpl" in line for line in caught.value.detail)


def test_failing_step_is_told_once(shop: Bench) -> None:
    shop.repository.commit({"prepare": "echo no such luck; exit 3\n"})
    problem = shop.failing()
    assert "sh ./prepare" in problem.message
    said = [each.line for each in shop.events if each.line.endswith("no such luck")]
    assert len(said) == 1


def described(reference: str) -> dict[str, Any]:
    """Return all of an image that a container sees, but for when files were made and logs."""
    container = docker("create", reference)
    try:
        exported = subprocess.run(
            ["docker", "export", container], capture_output=True, check=True
        ).stdout
    finally:
        docker("rm", container)
    files = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isfile() else None
            digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
            files[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, digest)
    volatile = {"app/log/built", "etc/hostname", "etc/hosts", "etc/resolv.conf"}
    config = docker("image", "inspect", "--format={{json .Config}}", reference)
    return {"config": config} | {name: each for name, each in files.items() if name not in volatile}
