"""Cache mounts are carried from build to build, and left behind when a build goes without them."""

from __future__ import annotations

import pytest
from support.images import Bench, docker

from kaiun.image import mounts

pytestmark = pytest.mark.docker

DOCKERFILE = """\
FROM scratch
COPY system/ /
COPY seed /
RUN --mount=type=cache,id=kaiun-bundle,target=/cache \\
    ls /cache >/before; echo >/cache/$(cat /seed)
"""


def built(bench: Bench, seed: str, *no_cache: str) -> list[str]:
    """Return what a build found in its cache, to which it adds `seed`."""
    bench.repository.commit({"seed": seed})
    image = bench.ensure(no_cache=frozenset(no_cache))
    return bench.run(image.reference, "/bin/cat", "/before").split()


def test_cache_is_carried_on_and_is_empty_for_a_build_without_it(bench: Bench) -> None:
    bench.repository.commit({"Dockerfile": DOCKERFILE})
    assert built(bench, "a") == []
    assert built(bench, "b") == ["a"]
    assert built(bench, "c", "bundle") == []
    assert built(bench, "c-again") == ["c"]
    assert built(bench, "d", "layers") == []  # BuildKit begins mounts anew then, too
    assert built(bench, "e") == ["d"]


def test_same_commit_without_its_cache_runs_the_step_again(bench: Bench) -> None:
    bench.repository.commit({"Dockerfile": DOCKERFILE, "seed": "a"})
    bench.ensure()
    bench.events.clear()
    assert bench.ensure(no_cache=frozenset({"bundle"})).built
    steps = {event.name: event for event in bench.events if "kaiun-bundle" in event.name}
    assert steps
    assert not any(each.cached for each in steps.values())
    assert not any(bench.source.app in name for name in steps)  # the user's own words


def test_failing_step_is_told_in_the_words_of_the_user(bench: Bench) -> None:
    bench.repository.commit(
        {"Dockerfile": DOCKERFILE.replace("ls /cache", "exit 3; ls"), "seed": ""}
    )
    problem = bench.failing()
    assert "RUN --mount=type=cache,id=kaiun-bundle,target=/cache" in problem.message
    assert mounts.PREFIX + bench.source.app not in str(problem)
    assert docker("image", "ls", "--quiet", f"--filter=label=kaiun.app={bench.source.app}") == ""
