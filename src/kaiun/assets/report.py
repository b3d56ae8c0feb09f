"""Tell what a build has of assets: how many, how large, what was compiled, where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from kaiun.assets.frameworks import plain_name

if TYPE_CHECKING:
    from kaiun.assets.groups import Group
    from kaiun.assets.manifest import AssetManifest

SHOWN_MAX = 5


def lines(groups: Sequence[Group], found: Sequence[tuple[AssetManifest, bool]]) -> Iterator[str]:
    """Yield a line for each group, then one for each two that differ."""
    manifests = [manifest for manifest, _ in found]
    for group, (manifest, is_new) in zip(groups, found, strict=True):
        how = "compiled" if is_new else "nothing to compile: the inputs are those of before"
        size = sum(file.size for file in manifest.files)
        yield f"assets of {group.name}: {len(manifest.files)} files, {shown(size)}, {how}"
    for (one, first), (other, second) in combinations(zip(groups, manifests, strict=True), 2):
        yield difference(one.name, first, other.name, second)


def difference(one: str, first: AssetManifest, other: str, second: AssetManifest) -> str:
    """Return in a line which files differ, by their names without fingerprints."""
    before, after = contents(first), contents(second)
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    if not names:
        return f"assets of {one} and of {other} are the same files, kept once"
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    total = len(before.keys() | after.keys())
    return (
        f"assets of {one} and of {other} differ in {len(names)} of {total} files: "
        f"{', '.join(names[:SHOWN_MAX])}{more}"
    )


def contents(manifest: AssetManifest) -> dict[str, frozenset[str]]:
    """Return the checksums under each name without its fingerprint."""
    found: dict[str, frozenset[str]] = {}
    for file in manifest.files:
        name = plain_name(file.path)
        found[name] = found.get(name, frozenset()) | {file.sha256}
    return found


def shown(size: int) -> str:
    """Return a size for people: 1,234,567 bytes → "1.2 MB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
