"""kaiun scan of an image of 1 GB, beside decoding every byte with iced-x86 and with objdump.

The image is kaiun-rails:bookworm with a dozen popular wheels (PyPI); of the files of the host as
many as make it 1 GB where that is less. All three use the same number of processes and start from
the same files; objdump, the slowest, reads a sample, whose bytes of code are compared.

python -m bench.scan
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

WHEELS = (
    *("numpy", "scipy", "pillow", "cryptography", "pyarrow", "orjson", "pandas", "lxml", "grpcio"),
    *("opencv-python-headless", "tokenizers", "polars-runtime-32"),
)
BASE = "kaiun-rails:bookworm"
IMAGE = "kaiun-bench-scan:1"
SITE = "/usr/local/lib/python3.11/dist-packages"
BASELINE = "x86-64-v2"
AGAINST_ICED, AGAINST_OBJDUMP, AGAIN_S = 5.0, 10.0, 1.0
PROCESSES = min(os.cpu_count() or 1, 8)
SAMPLE = 12  # objdump reads every twelfth file, by size
Result = TypeVar("Result")
KAIUN = Path(sys.executable).parent / "kaiun"


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    with tempfile.TemporaryDirectory(prefix="kaiun-bench-") as name, image(Path(name)) as folder:
        files = sorted(runnable(folder), key=lambda path: path.stat().st_size)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        firsts = [spent(lambda: scanned(Path(tempfile.mkdtemp(dir=name)))) for _ in range(3)]
        scan_s = statistics.median(seconds for seconds, _, _ in firsts)
        scan_cpu_s = statistics.median(cpu_s for _, cpu_s, _ in firsts)
        verdicts = firsts[0][2]
        scanned(Path(name) / "home")
        again_s = statistics.median(
            spent(lambda: scanned(Path(name) / "home"))[0] for _ in range(3)
        )
        iced_s, iced_cpu_s, full = spent(lambda: exhausted(files, folder))
        objdump_s, code, wrong = dumped(files[::SAMPLE], folder, verdicts)
        whole = sum(code_bytes(path) for path in files)
    per_byte = objdump_s / code * whole
    cpu = f"{iced_cpu_s / scan_cpu_s:.1f} ×"
    differ = sum(verdicts.get(path, "clean") != kind for path, kind in full.items())
    return [
        (f"kaiun scan, image of {size / 1e9:.2f} GB", f"{scan_s:.1f} s", "—"),
        ("  every byte by iced-x86", f"{iced_s:.1f} s", "—"),
        ("  as fast as that", f"{iced_s / scan_s:.1f} ×", f"≥ {AGAINST_ICED:g} ×"),
        ("  in CPU time, which others on the machine stretch less", cpu, "—"),
        (f"  objdump -d, from {code / whole:.0%} of the code", f"{per_byte:.0f} s", "—"),
        ("  as fast as that", f"{per_byte / scan_s:.1f} ×", f"≥ {AGAINST_OBJDUMP:g} ×"),
        (f"  other verdicts than iced-x86's, of {len(full)} files", f"{differ}", "0"),
        ("  files with AVX by objdump that are clean by the scan", f"{wrong}", "0"),
        ("kaiun scan again", f"{again_s:.2f} s", f"≤ {AGAIN_S:g} s"),
    ]


@contextmanager
def image(work: Path) -> Iterator[Path]:
    """Build the image; yield a folder with its files."""
    context = work / "context"
    site = context / "site"
    site.mkdir(parents=True)
    unpack_wheels(site)
    (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY site {SITE}\n")
    call("docker", "build", "--quiet", "--tag", IMAGE, str(context), DOCKER_BUILDKIT="1")
    folder = work / "files"
    folder.mkdir()
    container = call("docker", "create", IMAGE).strip()
    try:
        export = subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=export.stdout, check=True)
        export.wait()
        yield folder
    finally:
        call("docker", "rm", container)
        call("docker", "rmi", "--force", IMAGE)


def unpack_wheels(site: Path) -> None:
    """Put the newest wheels of PyPI into a folder, without what they depend on."""
    download = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    call(*download, "--only-binary=:all:", f"--target={site}", *WHEELS)


def runnable(folder: Path) -> Iterator[Path]:
    """Yield the ELF files, each content once."""
    import hashlib

    seen: set[bytes] = set()
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield path


def spent(work: Callable[[], Result]) -> tuple[float, float, Result]:
    """Return the time by the clock, the CPU time of the processes it starts, and the result."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = work()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu_s, result


def scanned(home: Path) -> dict[str, str]:
    """Run the command; return its verdicts by path."""
    command = [str(KAIUN), "scan", IMAGE, f"--cpu={BASELINE}", "--json"]
    done = subprocess.run(
        command,
        env=os.environ | {"KAIUN_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    return {item["path"]: item["kind"] for item in found["files"]}


def exhausted(files: list[Path], folder: Path) -> dict[str, str]:
    """Return the verdicts by path, with every byte decoded."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        kinds = list(pool.map(partial(verdict, folder=folder), reversed(files)))
    return {path: kind for path, kind in kinds if kind}


def verdict(path: Path, folder: Path) -> tuple[str, str]:
    from kaiun.cpu import facts, levels
    from kaiun.cpu.verdict import judge

    found = facts.of_file(path.read_bytes(), exhaust=True)
    shown = "/" + str(path.relative_to(folder))
    return shown, str(judge(found, shown, levels.parse(BASELINE)).kind) if found else ""


def dumped(files: list[Path], folder: Path, verdicts: dict[str, str]) -> tuple[float, int, int]:
    """Return how long objdump takes, for how many bytes of code, and where it disagrees.

    The pipeline knows mnemonics: what begins with `v` and is used with vector registers is AVX.
    """
    began = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        avx = list(pool.map(sees_avx, files))
    seconds = time.perf_counter() - began
    wrong = 0
    for path, seen in zip(files, avx, strict=True):
        kind = verdicts.get("/" + str(path.relative_to(folder)), "clean")
        wrong += seen and kind == "clean"
    return seconds, sum(code_bytes(path) for path in files), wrong


def sees_avx(path: Path) -> bool:
    """Whether any instruction that objdump names is AVX: `%ymm` or `%zmm`, or `v…` with `%xmm`."""
    command = ["objdump", "-d", "--no-show-raw-insn", str(path)]
    found = False
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            fields = line.split("\t", 2)
            if len(fields) == 2 and fields[1].startswith("v") and "mm" in fields[1]:
                found = True
    return found


def code_bytes(path: Path) -> int:
    from kaiun.cpu.elf import BadElf, Elf

    try:
        return sum(section.size for section in Elf(path.read_bytes()).code)
    except BadElf:
        return 0


def call(*argv: str, **environment: str) -> str:
    program = "/usr/bin/docker" if argv[0] == "docker" else argv[0]
    found = program if shutil.which(program) else argv[0]
    done = subprocess.run(
        [found, *argv[1:]],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:4])}: {done.stderr[-500:]}")
    return done.stdout


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
