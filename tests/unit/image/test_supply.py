"""What a build is made from, as git tells it."""

from __future__ import annotations

from support.repository import Repository

from kaiun.image.revision import resolve
from kaiun.image.source import Source
from kaiun.image.supply import Entry, from_git


def test_entries_are_those_of_the_folder_of_the_app_with_modes(repository: Repository) -> None:
    repository.commit({"apps/shop/run": "#!/bin/sh\n", "apps/shop/ä b/c": "", "other": ""})
    source = Source("shop", "localhost:5000/shop", repository.path / "apps/shop")
    found = from_git(source, resolve(repository.path)).entries()
    empty = repository.git("hash-object", "-t", "blob", "/dev/null")
    run = repository.git("hash-object", str(repository.path / "apps/shop/run"))
    assert found == (Entry("100755", run, "run"), Entry("100644", empty, "ä b/c"))
