"""Which package a file came with: gem, wheel, Debian package, npm package, or Alpine's."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

# What is read of an image beside its ELF files: the lists of package managers.
_LISTS = re.compile(
    r"/(var/lib/dpkg/(info/[^/]+\.list|status|status\.d/[^/]+)"
    r"|.*\.dist-info/RECORD|lib/apk/db/installed)"
)
_DEB_LIST = re.compile(r"/var/lib/dpkg/info/([^/:]+)(:[^/]*)?\.list")
_DEB_STATUS = re.compile(r"/var/lib/dpkg/status(\.d/[^/]+)?")
_WHEEL = re.compile(r"(.*)/([^/]+)-([^/-]+)\.dist-info/RECORD")
# A gem's own folder, and the folder where RubyGems puts the extensions that it compiled.
_GEM = re.compile(r"/(?:gems|extensions/[^/]+/[^/]+)/([A-Za-z0-9_.-]+-\d[^/]*)/")
_GIT_GEM = re.compile(r"/bundler/gems/(?:extensions/[^/]+/[^/]+/)?([^/]+)/")
_NPM = re.compile(r".*/node_modules/((?:@[^/]+/)?[^/@.][^/]*)/")
_MERGED = re.compile(r"/(bin|sbin|lib|lib64|libx32|lib32)/")  # links into /usr since Debian 12


def is_list(path: str) -> bool:
    """Whether a file at this path tells which files a package has."""
    return _LISTS.fullmatch(path) is not None


def attribute(paths: Iterable[str], lists: Mapping[str, str]) -> dict[str, str]:
    """Return the package of each path that has one: "gem bcrypt 3.1.20", "deb libc6 2.36-9".

    `lists` holds the text of the files that `is_list` is true of, by path.
    """
    wanted = set(paths)
    found = {path: package for path in wanted if (package := _by_path(path))}
    versions = _deb_versions(lists)
    for path, text in lists.items():
        owned = _owned(path, text, versions)
        found |= {one: package for one, package in owned if one in wanted}
    return found


def _by_path(path: str) -> str:
    if matched := _GIT_GEM.search(path):
        return f"gem {matched[1]}"
    if matched := _GEM.search(path):
        name, _, version = matched[1].rpartition("-")
        while name and re.search(r"-\d[^-]*$", name):  # platform gems: nokogiri-1.16.0-x86_64-linux
            name, _, head = name.rpartition("-")
            version = f"{head}-{version}"
        return f"gem {_platform(name, version)}"
    if matched := _NPM.match(path):
        return f"npm {matched[1]}"
    return ""


def _platform(name: str, version: str) -> str:
    """Return "nokogiri 1.16.0" also where the folder's name goes on with the platform."""
    whole = re.fullmatch(r"(.+?)-(\d[^-]*)(?:-[a-z].*)?", f"{name}-{version}")
    return f"{whole[1]} {whole[2]}" if whole else f"{name} {version}"


def _owned(path: str, text: str, versions: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if deb := _DEB_LIST.fullmatch(path):
        package = f"deb {deb[1]} {versions.get(deb[1], '')}".rstrip()
        for line in text.splitlines():
            yield line, package
            if _MERGED.match(line):
                yield "/usr" + line, package
    elif wheel := _WHEEL.fullmatch(path):
        package = f"wheel {wheel[2]} {wheel[3]}"
        for line in text.splitlines():
            name = line.partition(",")[0].strip('"')
            yield posixpath.normpath(posixpath.join(wheel[1], name)), package
    elif path == "/lib/apk/db/installed":
        yield from _apk(text)


def _deb_versions(lists: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, text in lists.items():
        if _DEB_STATUS.fullmatch(path):
            name = ""
            for line in text.splitlines():
                key, _, value = line.partition(": ")
                if key == "Package":
                    name = value
                elif key == "Version":
                    found[name] = value
    return found


def _apk(text: str) -> Iterator[tuple[str, str]]:
    """Source: apk-tools, doc/apk-installed.5 (P: package, V: version, F: folder, R: file)."""
    name = version = folder = ""
    for line in text.splitlines():
        kind, _, value = line.partition(":")
        match kind:
            case "P":
                name = value
            case "V":
                version = value
            case "F":
                folder = value
            case "R":
                yield f"/{folder}/{value}", f"apk {name} {version}"
