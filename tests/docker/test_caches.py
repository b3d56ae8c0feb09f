"""Cache mounts are carried from build to build, and left behind when a build goes without them."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from support.images import Bench, docker

from kaiun.image import garbage, mounts, shim
from kaiun.image.client import find as find_client
from kaiun.image.garbage import Host

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


def test_old_generations_are_listed_with_their_size_and_can_go(bench: Bench, image: str) -> None:
    text = DOCKERFILE.replace("scratch\nCOPY system/ /", image)
    filling = text.replace("echo >", "yes | head -c 300000 >/cache/filled; echo >")
    bench.repository.commit({"Dockerfile": filling})
    built(bench, "a")
    built(bench, "b", "bundle")
    host = Host(find_client(), bench.workshop.home, bench.source.app, bench.workshop.stop)

    def there() -> dict[str, tuple[bool, bool]]:
        items = garbage.cache_mounts(host)
        return {each.name[-1]: (each.size > 290_000, bool(each.needed)) for each in items}

    assert there() == {"1": (True, False), "2": (True, True)}
    for each in garbage.cache_mounts(host):
        if not each.needed:
            each.remove()
    assert there() == {"2": (True, True)}
    assert built(bench, "c") == ["b", "filled"]


def test_helper_images_of_this_version_stay(bench: Bench) -> None:
    client = find_client()
    name = shim.image(client, "x86-64-v3", bench.workshop.stop)
    old = f"{shim.IMAGE}:of-an-older-version"
    docker("image", "tag", name, old)
    host = Host(client, bench.workshop.home, bench.source.app, bench.workshop.stop)
    needed = {each.name: each.needed for each in garbage.helper_images(host)}
    assert needed[name]
    assert needed[old] == ""
    for each in garbage.helper_images(host):
        if each.name == old:
            each.remove()
    assert old not in {each.name for each in garbage.helper_images(host)}


def test_asset_caches_of_late_stay(bench: Bench) -> None:
    home, app = bench.workshop.home, bench.source.app
    owner = hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]
    pointers = home / "assets" / "caches" / f"{app}-0"
    pointers.mkdir(parents=True)
    names = [f"kaiun-assets-{app}-{kind}-0" for kind in ("late", "old", "lost")]
    labels = [f"--label=kaiun.{key}" for key in ("cache=assets", f"app={app}", f"home={owner}")]
    for name in names:
        docker("volume", "create", *labels, name)
        if not name.endswith("lost-0"):
            (pointers / f"{name}.json").write_text(json.dumps({"volumes": name.removesuffix("-0")}))
    os.utime(pointers / f"{names[1]}.json", (0, 0))
    host = Host(find_client(), home, app, bench.workshop.stop)
    try:
        found = {each.name: each for each in garbage.asset_volumes(host)}
        assert {name: bool(each.needed) for name, each in found.items()} == {
            name: name == names[0] for name in names
        }
        found[names[1]].remove()
        assert names[1] not in {each.name for each in garbage.asset_volumes(host)}
    finally:
        docker("volume", "rm", "--force", *names)
