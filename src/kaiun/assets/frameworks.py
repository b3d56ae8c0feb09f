"""What frameworks and bundlers leave in their output: manifests of their own, fingerprinted names.

A framework's manifest says which names carry a fingerprint, so nothing is guessed where there is
one. Elsewhere only a long hexadecimal number counts: to take a plain name for a fingerprinted one
would freeze it in browsers for a year, the other mistake costs them a request.

Sources: Sprockets 3 and 4, lib/sprockets/manifest*.rb; Propshaft, lib/propshaft/manifest.rb; Vite,
"Backend Integration"; vite_ruby, lib/vite_ruby/manifest.rb; Shakapacker, lib/shakapacker/
manifest.rb (webpack-assets-manifest); Django, contrib/staticfiles/storage.py.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

# Sprockets gives the file a random name and looks for any; one name for all environments means
# that one place in the image can be prepared for it.
SPROCKETS = re.compile(r"\.sprockets-manifest-[0-9a-f]{32}\.json")
SPROCKETS_NAME = f".sprockets-manifest-{b'kaiun'.hex():0>32}.json"
NAMES = re.compile(
    rf"{SPROCKETS.pattern}|manifest(-[0-9a-f]{{32}}|-assets)?\.json|\.manifest\.json"
    r"|staticfiles\.json"
)
LONG = re.compile(r"[-._](?=[0-9a-f]*\d)[0-9a-f]{16,64}(?=[-.])")
# As bundlers write it by default, eight characters or more, of which one is no small letter: only
# believed where a manifest lists the name.
SHORT = re.compile(r"[-._](?=[A-Za-z0-9_-]*[A-Z0-9])[A-Za-z0-9_-]{8,64}\.")
LAST = re.compile(r"[-.](?=[A-Za-z0-9_-]*[A-Z0-9])[A-Za-z0-9_-]{8}(?=\.)")
DERIVED = (".gz", ".br", ".zst", ".map", ".LICENSE.txt")
LEFT_OUT = frozenset({".keep", ".gitkeep", ".DS_Store", ".gitignore"})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A framework's own manifest. `names` are the fingerprinted files, from WORKDIR."""

    path: str
    place: str  # where the start puts it
    names: frozenset[str]


def manifests(paths: Collection[str], read: Callable[[str], bytes]) -> list[Manifest]:
    """Return the manifests among the files; paths are relative to the image's WORKDIR."""
    found = []
    known = frozenset(paths)
    candidates = sorted(path for path in paths if NAMES.fullmatch(posixpath.basename(path)))
    for path in candidates:
        names = _fingerprinted(path, _loaded(read(path)), known)
        if names is not None:
            found.append(Manifest(path, _place(path, candidates), frozenset(names) & known))
    return found


def is_fingerprinted(path: str, found: Iterable[Manifest]) -> bool:
    """Return whether the name changes with the content, so that browsers may keep it for ever."""
    while path.endswith(DERIVED):
        path = next(path.removesuffix(each) for each in DERIVED if path.endswith(each))
    return any(path in each.names for each in found) or bool(LONG.search(posixpath.basename(path)))


def plain_name(path: str) -> str:
    """Return a name without its fingerprint, to compare two environments by: a-5f3….css → a.css."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, LAST.sub("", LONG.sub("", name)))


def _place(path: str, candidates: Collection[str]) -> str:
    folder, name = posixpath.split(path)
    same = [
        each
        for each in candidates
        if posixpath.dirname(each) == folder and SPROCKETS.fullmatch(posixpath.basename(each))
    ]
    alone = SPROCKETS.fullmatch(name) and len(same) == 1
    return posixpath.join(folder, SPROCKETS_NAME) if alone else path


def _loaded(data: bytes) -> Document:
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _fingerprinted(path: str, document: Document, known: frozenset[str]) -> set[str] | None:
    """Return the names that a manifest says are fingerprinted, None where it is no manifest."""
    folder = posixpath.dirname(path)
    for reader in (_sprockets, _django, _vite, _propshaft):
        names = reader(document)
        if names is not None:
            above = posixpath.dirname(folder) if folder.endswith("/.vite") else folder
            return {posixpath.normpath(posixpath.join(above, name)) for name in names}
    return _shakapacker(document, folder, known)


def _sprockets(document: Document) -> set[str] | None:
    files, logical = document.get("files"), document.get("assets")
    if isinstance(files, dict) and isinstance(logical, dict):
        return set(files)
    return None


def _django(document: Document) -> set[str] | None:
    paths = document.get("paths")
    if isinstance(paths, dict) and "version" in document:
        return {each for name, each in paths.items() if each != name}
    return None


def _vite(document: Document) -> set[str] | None:
    """Vite leaves it to the user whether names have a hash: only those that do count."""
    entries = document.values()
    if not document or not all(isinstance(e, dict) and "file" in e for e in entries):
        return None
    names = {name for entry in entries for name in _of_vite(entry)}
    return {name for name in names if SHORT.search(posixpath.basename(name))}


def _of_vite(entry: Document) -> Iterator[str]:
    yield str(entry["file"])
    yield from map(str, [*entry.get("css", ()), *entry.get("assets", ())])


def _propshaft(document: Document) -> set[str] | None:
    """A name → its digested name, or {"digested_path": …}."""
    names = {}
    for name, value in document.items():
        digested = value.get("digested_path") if isinstance(value, dict) else value
        if not isinstance(digested, str) or digested.startswith("/") or "://" in digested:
            return None
        names[name] = digested
    if not all(posixpath.dirname(a) == posixpath.dirname(b) for a, b in names.items()):
        return None
    return {each for name, each in names.items() if each != name} or None


def _shakapacker(document: Document, folder: str, known: frozenset[str]) -> set[str] | None:
    """A name → the path of a URL, all of them files below the manifest; `entrypoints` beside."""
    values = [each for name, each in document.items() if name != "entrypoints"]
    if not values or not all(isinstance(each, str) for each in values):
        return None
    places = {_below(each, folder, known) for each in values}
    if "" in places:
        return None
    return {each for each in places if SHORT.search(posixpath.basename(each))}


def _below(url: str, folder: str, known: frozenset[str]) -> str:
    """Return the file that a URL's path ends with, "" for none: /packs/a.js → public/packs/a.js."""
    path = unquote(urlsplit(url).path).lstrip("/")
    while path:
        place = posixpath.join(folder, path)
        if place in known:
            return place
        path = path.partition("/")[2]
    return ""
