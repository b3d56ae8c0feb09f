"""How well the scanner tells files apart: natural ones, and the same kind compiled for AVX2.

python -m bench._corpus             prints the table of docs/reference/cpu.md; no limit is measured
python -m bench._corpus FOLDER…     of other files that are taken as natural

Natural are the ELF files of this machine's libraries, which should be Debian's, and of a dozen
wheels (PyPI), whose versions are told. Contaminated are extensions of Python from PyPI's sources,
built with CFLAGS for Haswell and for x86-64-v3 as a whole, as -march=native on such a machine does
it. Risks among the first and others among the second are told on stderr. It takes 70 s of CPU time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.scan import unpack_wheels
from kaiun.cpu import levels, scan, store
from kaiun.cpu.report import File
from kaiun.cpu.verdict import Kind, Verdict, judge

SOURCES = ("msgpack", "mmh3", "simplejson", "xxhash", "bitarray", "ujson")
MARCHES = ("haswell", "x86-64-v3")
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
BASELINES = ("x86-64-v2", "x86-64-v3")
Titled = Iterator[tuple[str, Path]]


def built(march: str, work: Path) -> list[Path]:
    """Return folders with extensions that were compiled as a whole for `march`."""
    folders = []
    environment = os.environ | {"CFLAGS": f"-O3 -march={march}", "CXXFLAGS": f"-O3 -march={march}"}
    for name in SOURCES:
        wheels = work / march / name
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir"]
        done = subprocess.run(
            [*command, f"--no-binary={name}", f"--wheel-dir={wheels}", name],
            env=environment,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            print(f"could not build {name}", file=sys.stderr)
            continue
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(wheels / "files")
        folders.append(wheels / "files")
    return folders


def files(folders: Iterable[Path], home: Path) -> list[File]:
    with store.opened(home) as known:
        return [file for folder in folders for file in scan.files_of_path(known, folder)]


def verdicts(found: Iterable[File], baseline: str) -> list[tuple[File, Verdict]]:
    level = levels.parse(baseline)
    return [(file, judge(file.facts, file.path, level)) for file in found]


def row(title: str, judged: list[tuple[File, Verdict]]) -> str:
    counts = Counter(verdict.kind for _, verdict in judged)
    cells = " | ".join(str(counts[kind]) for kind in Kind)
    return f"| {title} | {len(judged)} | {cells} |"


def main(folders: list[Path]) -> None:
    with table(folders, natural, BASELINES) as work:
        for march in MARCHES:
            extensions = files(built(march, work), work / "home")
            others = [kind for kind in Kind if kind is not Kind.RISK]
            tell(f"extensions compiled for {march}", extensions, BASELINES[:1], *others)


@contextmanager
def table(
    folders: list[Path], fetched: Callable[[Path], Titled], baselines: Iterable[str]
) -> Iterator[Path]:
    """Print the head and the rows of natural files; yield a folder for what further rows need.

    Natural are the folders, or what `fetched` puts into a folder where there are none.
    """
    print("| files | all | " + " | ".join(Kind) + " |")
    print("|---" * (len(Kind) + 2) + "|")
    with tempfile.TemporaryDirectory(prefix="kaiun-corpus-") as name:
        work = Path(name)
        for title, folder in ((each.name, each) for each in folders) if folders else fetched(work):
            tell(f"{title}, natural", files([folder], work / "home"), baselines, Kind.RISK)
        yield work


def natural(work: Path) -> Titled:
    """Yield the folders of natural files with their titles."""
    yield "Debian's libraries", LIBRARIES
    site = work / "site"
    unpack_wheels(site)
    versions = sorted(path.stem.replace("-", " ") for path in site.glob("*.dist-info"))
    print(f"  wheels: {', '.join(versions)}", file=sys.stderr)
    yield "wheels", site


def tell(title: str, found: list[File], baselines: Iterable[str], *surprises: Kind) -> None:
    """Print a row for each baseline, and the files whose verdict is a surprise."""
    for baseline in baselines:
        judged = verdicts(found, baseline)
        print(row(f"{title}, on {baseline}", judged), flush=True)
        for file, verdict in judged:
            if verdict.kind in surprises:
                print(f"  {verdict.kind}: {file.path}: {verdict.why}", file=sys.stderr)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
