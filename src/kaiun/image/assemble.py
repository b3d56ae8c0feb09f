"""Make /opt/kaiun inside the image, by the image's own Python: `assemble.py make SETUP TARGET`.

The zipapp is compiled by the very Python that will run it and stored without compression, so that
a start neither compiles nor inflates. Runs on Python 3.9 without `zipfile`, which python3-minimal
lacks: a stored archive is 30 lines.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import struct
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

UNCHECKED_HASH = 1  # PEP 552: never compared with a source
LOADER = """#!{python} -IS
import sys
sys.path[:0] = ["{archive}"]
sys.path += {site!r}
from kaiun.entry.main import main
main()
"""


def compiled(path: str, name: str) -> bytes:
    """Return the .pyc of a module; `name` is what tracebacks call it."""
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, name, "exec", dont_inherit=True, optimize=2)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<L", UNCHECKED_HASH)
    return head + importlib.util.source_hash(source) + marshal.dumps(code)


def members(source: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member of the archive, in order."""
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, source)
            if name.endswith(".py"):
                yield inside + "c", compiled(path, inside)
            elif not name.endswith(".pyc"):
                with open(path, "rb") as file:
                    yield inside, file.read()


def archive(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a zip archive of stored members, all of 1980: the same input, the same bytes.

    Source: PKWARE, APPNOTE.TXT 4.3.
    """
    body = directory = b""
    count = 0
    for name, data in entries:
        path = name.encode()
        size = struct.pack("<LLL", zlib.crc32(data), len(data), len(data))
        common = struct.pack("<HHHHH", 20, 0x800, 0, 0, 0x21) + size
        directory += (
            b"PK\1\2\24\0"
            + common
            + struct.pack("<HHHHHLL", len(path), 0, 0, 0, 0, 0, len(body))
            + path
        )
        body += b"PK\3\4" + common + struct.pack("<HH", len(path), 0) + path + data
        count += 1
    end = struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def site() -> list[str]:
    """Return the folder with `cryptography`, which -S leaves off the path."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", "import cryptography; print(cryptography.__path__[0])"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    found = os.path.dirname(done.stdout.decode().strip())
    return [found] if found else []


def read(path: str) -> dict[str, Any]:
    """Return a JSON file of kaiun's: Python's grammar of literals plus three names."""
    with open(path, encoding="utf-8") as file:
        names = {"__builtins__": {}, "true": True, "false": False, "null": None}
        document: dict[str, Any] = eval(file.read(), names)  # noqa: S307
    return document


def check(setup: str) -> bool:
    """Return whether this Python will do."""
    wanted = read(os.path.join(setup, "arrangement.json"))
    try:
        exec(wanted["imports"], {})  # noqa: S102
    except ImportError:
        return False
    return sys.version_info >= (3, 9) and (not wanted["cryptography"] or bool(site()))


def make(setup: str, target: str) -> None:
    """Fill /opt/kaiun, keep originals aside, put links where files will be written."""
    os.makedirs(target, exist_ok=True)
    path = os.path.join(target, "entry.pyz")
    write(path, archive(members(os.path.join(setup, "source"))))
    program = os.path.join(target, "entry")
    write(program, LOADER.format(python=sys.executable, archive=path, site=site()).encode())
    os.chmod(program, 0o755)
    for name in ("start.json", "REVISION"):
        with open(os.path.join(setup, name), "rb") as file:
            write(os.path.join(target, name), file.read())
    wanted = read(os.path.join(setup, "arrangement.json"))
    if wanted.get("assets"):
        place_assets(wanted["assets"], os.path.join(setup, "assets"), ids(wanted["user"]))
    arrange(wanted, target)


def place_assets(wanted: dict[str, Any], source: str, owner: tuple[int, int]) -> None:
    """Put in place what was compiled; see kaiun/assets/bake.py. Each content is there once."""
    held: dict[str, str] = {}
    for number, path in enumerate(wanted["texts"]):
        copy(os.path.join(source, "texts", str(number)), path)
    for path, name in sorted(wanted["contents"].items()):
        if name in held:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.link(held[name], path)
        else:
            copy(os.path.join(source, "contents", name), path)
            held[name] = path
    for path, original in wanted["settled"].items():
        copy(original, path)
    for path, target in wanted["trees"].items():
        lead(path, target, wanted["before"] + path)
        if not target.startswith(os.path.dirname(wanted["before"])):
            own(os.path.dirname(target), target[: -len(path)], owner)
    for path, directory in wanted["links"].items():
        link(path, directory, owner)


def copy(source: str, path: str) -> None:
    """Copy a file, folders and all, for all to read."""
    with open(source, "rb") as file:
        data = file.read()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write(path, data)


def lead(path: str, target: str, aside: str) -> None:
    """Make the path of a folder a link; what was there moves aside."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        import shutil

        os.makedirs(os.path.dirname(aside), exist_ok=True)
        shutil.move(path, aside)
    os.symlink(target, path)


def own(folder: str, directory: str, owner: tuple[int, int]) -> None:
    """Make a folder below the directory, all of it the app's."""
    os.makedirs(folder, exist_ok=True)
    while len(folder) >= len(directory):
        os.chown(folder, *owner)
        folder = os.path.dirname(folder)
    os.chmod(directory, 0o1777)  # a tmpfs mounted there takes over the mode, but not the owner


def arrange(wanted: dict[str, Any], target: str) -> None:
    """Check that sources are there, keep originals, make links."""
    os.chdir(wanted["workdir"] or "/")
    absent = [path for path in wanted["sources"] if not os.path.isfile(path)]
    if absent:
        sys.exit(f"kaiun.yml: start: the image has no {', '.join(absent)}")
    for path in wanted["originals"]:
        keep(path, target + "/files" + os.path.abspath(path))
    owner = ids(wanted["user"])
    for path, directory in wanted["links"].items():
        link(os.path.abspath(path), directory, owner)


def keep(path: str, aside: str) -> None:
    """Copy a file with its mode and owner."""
    with open(path, "rb") as file:
        data = file.read()
    os.makedirs(os.path.dirname(aside), exist_ok=True)
    write(aside, data)
    before = os.stat(path)
    os.chown(aside, before.st_uid, before.st_gid)
    os.chmod(aside, before.st_mode & 0o7777)


def link(path: str, directory: str, owner: tuple[int, int]) -> None:
    """Make the path a link into the directory; what was there moves to where the link leads."""
    place = directory + path
    own(os.path.dirname(place), directory, owner)
    if os.path.islink(path) and os.readlink(path) == place:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        keep(path, place)
        os.unlink(path)
    os.symlink(place, path)


def ids(user: str) -> tuple[int, int]:
    """Return uid and gid of the image's USER: a name or a number, with or without a group."""
    import grp
    import pwd

    name, _, group = user.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name or "root")
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        uid, gid = (int(name), 0) if name.isdigit() else (0, 0)
    if group:
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    return uid, gid


def write(path: str, data: bytes) -> None:
    """Write a file that all may read."""
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o644)


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.exit(not check(sys.argv[2]))
    make(*sys.argv[2:])
