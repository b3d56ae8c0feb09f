"""How well the scanner tells files apart: natural ones, and the same kind compiled for AVX2.

python -m bench._corpus FOLDER…    prints the table of docs/reference/cpu.md; no limit is measured

Natural are the ELF files of the folders given (Debian's libraries, unpacked wheels). Contaminated
are extensions of Python from PyPI's sources, built with CFLAGS for Haswell and for x86-64-v3 as a
whole, as -march=native on such a machine does it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kaiun.cpu import levels, scan, store
from kaiun.cpu.report import File
from kaiun.cpu.verdict import Kind, Verdict, judge

SOURCES = ("msgpack", "mmh3", "simplejson", "xxhash", "bitarray", "ujson")
MARCHES = ("haswell", "x86-64-v3")
BASELINES = ("x86-64-v2", "x86-64-v3")


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
    print("| files | all | " + " | ".join(Kind) + " |")
    print("|---" * (len(Kind) + 2) + "|")
    with tempfile.TemporaryDirectory(prefix="kaiun-corpus-") as name:
        work = Path(name)
        with ThreadPoolExecutor(len(MARCHES)) as pool:
            making = {march: pool.submit(built, march, work) for march in MARCHES}
            for folder in folders:
                natural = files([folder], work / "home")
                for baseline in BASELINES:
                    judged = verdicts(natural, baseline)
                    print(row(f"{folder.name}, natural, on {baseline}", judged))
                    for file, verdict in judged:
                        if verdict.kind is Kind.RISK:
                            print(f"  risk: {file.path}: {verdict.why}", file=sys.stderr)
        for march, future in making.items():
            extensions = files(future.result(), work / "home")
            judged = verdicts(extensions, BASELINES[0])
            print(row(f"compiled for {march}, on {BASELINES[0]}", judged))
            for file, verdict in judged:
                if verdict.kind is not Kind.RISK:
                    print(f"  no risk: {file.path}: {verdict.kind} {file.facts}", file=sys.stderr)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
