"""Run moto's own ECS and ELBv2 suites over HTTP against an engine on the null runtime.

The suites come with moto's source distribution on PyPI, of the version that is installed. Which of
their tests pass is written down beside this file: a test of the list that fails is a regression,
and the command then ends with 1. The others fail for reasons that docs/reference/local-ecs.md
gives. Arguments: `ecs`, `elbv2`; both where there is none. `--write` writes the lists anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from support.engine import Engine

from kaiun.local.home import ACCOUNT, REGION

HERE = Path(__file__).parent
SUITES = ("ecs", "elbv2")
LEFT_OUT = ("test_server", "cloudformation")  # moto's own web pages; CloudFormation is moto's here
NEEDED = ("__init__.py", "conftest.py", "markers.py", "test_ecs", "test_elbv2", "test_ec2")
_REGION = re.compile(r"(?:us|eu|ap)-(?:east|west|central|southeast|northeast)-[1-3]")
_ACCOUNT = "123456789012"


def unpack(folder: Path) -> None:
    """Put moto's tests into a folder, written for the engine's account and its one region."""
    what = f"moto=={version('moto')}"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "moto",
         "--dest", str(folder), what],
        check=True,
    )  # fmt: skip
    (archive,) = folder.glob("moto-*.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if _is_needed(member.name) and (data := tar.extractfile(member)) is not None:
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.read())
    for path in folder.glob("moto-*/tests/**/*.py"):
        text = path.read_text().replace(_ACCOUNT, ACCOUNT)
        path.write_text(_REGION.sub(REGION, text))


def _is_needed(name: str) -> bool:
    parts = name.split("/")
    return len(parts) > 2 and parts[1] == "tests" and parts[2] in NEEDED and ".." not in parts


def run(engine: Engine, root: Path, suite: str) -> set[str]:
    """Return the tests of a suite that pass."""
    env = engine.env
    report = root / f"{suite}.xml"
    files = sorted(
        path
        for path in (root / "tests" / f"test_{suite}").glob("test_*.py")
        if not any(word in path.name for word in LEFT_OUT)
    )
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "foreign.plugin", "--tb=no", "-W", "ignore",
         f"--rootdir={root}", "--import-mode=prepend", f"--junitxml={report}", *map(str, files)],
        cwd=root,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(HERE.parent),
            "TEST_SERVER_MODE": "true",
            "TEST_SERVER_MODE_ENDPOINT": env["endpoint"],
            "AWS_ACCESS_KEY_ID": env["access_key"],
            "AWS_SECRET_ACCESS_KEY": env["secret_key"],
            "AWS_DEFAULT_REGION": env["region"],
        },
    )  # fmt: skip
    cases = ElementTree.parse(report).iter("testcase")
    return {_name(case) for case in cases if not len(case.findall("*"))}


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"


def judge(suite: str, passed: set[str], *, write: bool) -> bool:
    """Tell what has changed; return whether nothing fails that passed before."""
    listed = HERE / f"moto-{suite}.txt"
    if write:
        listed.write_text("".join(f"{name}\n" for name in sorted(passed)))
    expected = set(listed.read_text().split("\n")) - {""}
    sys.stdout.write(f"moto's {suite} suite: {len(passed)} pass\n")
    for name in sorted(passed - expected):
        sys.stdout.write(f"  passes now: {name}\n")
    for name in sorted(expected - passed):
        sys.stdout.write(f"  fails now: {name}\n")
    return expected <= passed


def main(arguments: list[str]) -> int:
    """Run the suites; return the exit code."""
    suites = [word for word in arguments if not word.startswith("-")] or list(SUITES)
    with tempfile.TemporaryDirectory() as folder:
        unpack(Path(folder))
        (root,) = Path(folder).glob("moto-*/")
        home = Path(folder, "home")
        home.mkdir()
        engine = Engine(home, "null", "--allow-reset")
        try:
            write = "--write" in arguments
            good = [judge(s, run(engine, root, s), write=write) for s in suites]
        finally:
            engine.empty_out()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
