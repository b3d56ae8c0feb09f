"""Cache mounts become the image's own, and new ones when a build goes without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kaiun.image import caches, mounts
from kaiun.image.adaptation import Adapting, adapted
from kaiun.image.build import Recipe
from kaiun.image.client import Client
from kaiun.image.dockerfile import edit, parse
from kaiun.image.events import BuildEvent
from kaiun.image.stop import Stop

BUNDLE = "FROM a\nRUN --mount=type=cache,id=kaiun-bundle,target=/b \\\n    bundle install\n"


def renamed(text: str) -> str:
    instructions = parse(text)
    return edit(text, mounts.edits(instructions, mounts.ids("shop", {"bundle": 3})))


@pytest.mark.parametrize(
    ("flag", "becomes"),
    [
        ("type=cache,id=kaiun-bundle,target=/b", "type=cache,id=kaiun-shop-bundle-3,target=/b"),
        ("id=kaiun-npm,type=cache,target=/b", "id=kaiun-shop-npm-1,type=cache,target=/b"),
        ('"type=cache,id=kaiun-apt"', '"type=cache,id=kaiun-shop-apt-1"'),
        ("type=cache,target=/b", "type=cache,target=/b"),
        ("type=cache,id=kaiun-bundles,target=/b", "type=cache,id=kaiun-bundles,target=/b"),
        ("type=secret,id=kaiun-bundle", "type=secret,id=kaiun-bundle"),
    ],
)
def test_only_kaiuns_names_of_caches_are_renamed(flag: str, becomes: str) -> None:
    text = "# id=kaiun-bundle\nRUN --mount={} a\\\n --mount=type=cache,id=kaiun-bundle\n"
    assert renamed(text.format(flag)) == text.format(becomes)


def test_an_id_tells_whose_it_is() -> None:
    for name, own in mounts.ids("my-bundle-1", {"npm": 12}).items():
        assert mounts.parse(own) == ("my-bundle-1", name, 12 if name == "npm" else 1)
    assert mounts.parse("kaiun-bundle") is None


class App:
    def __init__(self, root: Path, text: str) -> None:
        self.context = root / "context"
        self.context.mkdir()
        (self.context / "Web").write_text(text)
        self.home = root / "home"
        self.events: list[BuildEvent] = []

    @contextmanager
    def build(self, *no_cache: str) -> Iterator[Recipe]:
        recipe = Recipe("shop:1", self.context, "Web", {})
        nothing = Client("/bin/false", "20.10", buildx=False)
        adapting = Adapting(
            self.home, "app", "shop", "", frozenset(no_cache), nothing, self.events.append, Stop()
        )
        with adapted(recipe, adapting) as found:
            yield found

    def generation(self, *no_cache: str) -> int:
        with self.build(*no_cache) as recipe:
            text = Path(recipe.dockerfile).read_text()
            assert recipe.read(text) == BUNDLE
            found = mounts.parse(text.partition("id=")[2].partition(",")[0])
            assert found
            return found[2]


def test_generation_goes_up_when_asked_and_is_carried_on(tmp_path: Path) -> None:
    app = App(tmp_path, BUNDLE)
    asked = [(), ("assets",), ("bundle",), (), ("npm",), tuple(caches.EVERY), ()]
    assert [app.generation(*each) for each in asked] == [1, 1, 2, 2, 2, 3, 3]


def test_copy_lies_outside_of_the_context_with_its_dockerignore(tmp_path: Path) -> None:
    app = App(tmp_path, BUNDLE)
    (app.context / "Web.dockerignore").write_text("log\n")
    with app.build() as recipe:
        copy = Path(recipe.dockerfile)
        assert copy.name == "Web"
        assert not copy.is_relative_to(app.context)
        assert copy.with_name("Web.dockerignore").read_text() == "log\n"
        assert (app.context / "Web").read_text() == BUNDLE
    assert not copy.parent.exists()


def test_dockerfile_without_such_mounts_is_built_as_it_is(tmp_path: Path) -> None:
    app = App(tmp_path, "FROM a\nRUN b\n")
    with app.build() as recipe:
        assert recipe.dockerfile == "Web"
    assert not app.home.exists()


def test_going_without_a_cache_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    app = App(tmp_path, BUNDLE)
    assert app.generation("bundle", "npm") == 2
    assert [event.line for event in app.events] == [
        "no step mounts a cache with id=kaiun-npm: there is none to go without"
    ]
