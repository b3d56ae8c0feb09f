"""Run git: no shell, plain English, and the directory alone decides which repository is meant."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kaiun.errors import ImageError

# What `git rev-parse --local-env-vars` lists: inside a hook these name another repository.
_LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


def environment() -> dict[str, str]:
    """Return the environment for git: no prompt, no lock for reading, messages in English."""
    kept = {name: value for name, value in os.environ.items() if name not in _LOCAL_VARIABLES}
    return kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def attempt(directory: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in `directory` and return how it went.

    Raises ImageError only when git cannot be run at all.
    """
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        if not directory.is_dir():
            raise ImageError("no such directory", where=str(directory)) from None
        raise not_installed() from None
    except (OSError, ValueError) as problem:
        raise ImageError(f"cannot run git: {problem}", where=str(directory)) from problem


def run(directory: Path, *arguments: str) -> bytes:
    """Return what git prints in `directory`.

    Raises ImageError with git's own words, and a hint for the failures that have a known way out.
    """
    done = attempt(directory, *arguments)
    if done.returncode:
        raise failure(directory, done.stderr)
    return done.stdout


def text(output: bytes) -> str:
    """Return git's output as text without its last newline; odd bytes survive as escapes."""
    return output.decode("utf-8", "backslashreplace").removesuffix("\n")


def not_installed() -> ImageError:
    """Return the error for a machine without git."""
    return ImageError("git is not installed", hint="apt-get install git")


def failure(directory: Path, stderr: bytes) -> ImageError:
    """Return git's complaint as an ImageError."""
    said = text(stderr)
    first = said.partition("\n")[0].removeprefix("fatal: ").removeprefix("error: ")
    place = str(directory)
    if "not a git repository" in said:
        return ImageError(
            "not inside a git repository: kaiun builds from commits",
            where=place,
            hint="git init && git add -A && git commit -m 'first'",
        )
    if "dubious ownership" in said:
        return ImageError(
            "git refuses this repository: it belongs to another user",
            where=place,
            hint=f"git config --global --add safe.directory {place}",
        )
    return ImageError(f"git failed: {first or 'no message'}", where=place, detail=said.splitlines())


def top(directory: Path) -> Path:
    """Return the top of the work tree around `directory`."""
    return Path(text(run(directory, "rev-parse", "--show-toplevel")))
