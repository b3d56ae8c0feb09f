"""Every file in bad/ says itself, in its first lines, what kaiun must say of it.

# environment: NAME                      the environment to load; `local` by default
# expect: LINE:COLUMN MESSAGE | HINT     one line for each problem, in the order of the file
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.config import load
from kaiun.errors import ConfigError, ConfigErrors

FILES = sorted((Path(__file__).parent / "bad").glob("*.yml"))
ENVIRON = {"SHOP_EMPTY": "", "SHOP_COUNT": "two", "SHOP_WORD": "http", "SHOP_URI": "x"}
EXPECT, ENVIRONMENT = "# expect: ", "# environment: "


def directives(file: Path, prefix: str) -> list[str]:
    comments = [line for line in file.read_bytes().splitlines() if line.startswith(b"# ")]
    lines = [line.decode() for line in comments]
    return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


def as_expected(problem: ConfigError, file: Path) -> str:
    place = problem.where.removeprefix(f"{file.name}:")
    return f"{place} {problem.message}" + (f" | {problem.hint}" if problem.hint else "")


def test_the_corpus_is_large_enough() -> None:
    assert len(FILES) >= 100


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_bad_file_is_told_as_it_says_itself(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    environment = (directives(file, ENVIRONMENT) or ["local"])[0]
    with pytest.raises(ConfigErrors) as caught:
        load(file, environment, environ=ENVIRON)
    told = [as_expected(problem, file) for problem in caught.value.problems]
    assert told == directives(file, EXPECT)
