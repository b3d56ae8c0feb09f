"""`kaiun --help`, beside an interpreter that does nothing.

python -m bench.cli
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 11
LIMIT_MS = 120.0
KAIUN = Path(sys.executable).parent / "kaiun"


def wall_ms(*argv: str | Path) -> float:
    """Return the median wall time of a command, in milliseconds."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    bare = wall_ms(sys.executable, "-I", "-S", "-c", "pass")
    help_ms = wall_ms(KAIUN, "--help")
    return [
        ("kaiun --help", f"{help_ms:.0f} ms", f"≤ {LIMIT_MS:g} ms"),
        ("  an interpreter that does nothing (python -I -S)", f"{bare:.0f} ms", "—"),
    ]


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
