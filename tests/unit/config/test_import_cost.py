"""What is expensive is imported when it is needed, and not before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PRINT = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def modules(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{PRINT}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(run.stdout.split())


def test_importing_the_package_imports_neither_pydantic_nor_yaml() -> None:
    assert not modules("import kaiun.config") & {"pydantic", "yaml", "botocore"}


@pytest.mark.parametrize(("override", "imported"), [("", False), ("service: {tags: []}", True)])
def test_botocore_is_imported_where_there_are_overrides(
    tmp_path: Path, override: str, imported: bool
) -> None:
    file = tmp_path / "kaiun.yml"
    body = f"app: shop\nimage: {{repository: shop}}\nprocesses: {{web: {{{override}}}}}\n"
    file.write_text(body)
    code = f"from pathlib import Path\nfrom kaiun.config import load\nload(Path({str(file)!r}))"
    assert ("botocore" in modules(code)) == imported
