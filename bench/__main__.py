"""Every figure that kaiun promises, measured in one run: `python -m bench [MODULE…]`.

A bench is a module beside this one with `run() -> list[(name, measured, limit)]`, texts with units.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

Row = tuple[str, str, str]
HEAD: Row = ("figure", "measured", "limit")


def modules(wanted: Sequence[str]) -> list[str]:
    """Return the names of the benches, in order. SystemExit for one that does not exist."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    if unknown := [name for name in wanted if name not in found]:
        raise SystemExit(f"no such bench: {', '.join(unknown)}; there are: {', '.join(found)}")
    return [name for name in found if not wanted or name in wanted]


def measure(name: str) -> list[Row]:
    """Run one bench; its time goes to stderr."""
    began = time.perf_counter()
    rows: list[Row] = importlib.import_module(f"bench.{name}").run()
    print(f"── {name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows under a heading, in columns."""
    every = [HEAD, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(HEAD))]
    return "\n".join(
        f"{name:{widths[0]}}  {measured:>{widths[1]}}  {limit}" for name, measured, limit in every
    )


def main(argv: Sequence[str]) -> int:
    """Print one table of all figures; return 1 when a bench could not measure."""
    rows: list[Row] = []
    broken = []
    for name in modules(argv):
        try:
            rows += measure(name)
        except Exception:  # noqa: BLE001  (the other figures are still worth having)
            traceback.print_exc()
            broken.append(name)
    print(table(rows))
    if broken:
        print(f"could not measure: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
