"""Make the zipapp inside the image, by the image's own Python: `assemble.py SOURCE TARGET`.

Everything is compiled by the very Python that will run it and stored without compression, so that
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


def main(source: str, target: str) -> None:
    """Write entry.pyz and the program that runs it."""
    path = os.path.join(target, "entry.pyz")
    with open(path, "wb") as file:
        file.write(archive(members(source)))
    program = os.path.join(target, "entry")
    with open(program, "w") as file:
        file.write(LOADER.format(python=sys.executable, archive=path, site=site()))
    os.chmod(program, 0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
