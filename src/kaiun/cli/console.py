"""The only place that prints: data to stdout, talk to stderr.

With --json, stdout holds JSON and nothing else: one document, or one line per item of a stream.
Colours only where stderr (stdout for data) is a terminal and NO_COLOR is not set.
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from kaiun.errors import ConfigError, KaiunError

RED, YELLOW, GREEN, DIM, BOLD, OFF = (
    "\033[31m", "\033[33m", "\033[32m", "\033[2m", "\033[1m", "\033[0m",
)  # fmt: skip


class Console:
    """Prints. `out` and `err` are looked up at each call, so that tests may replace them."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    @property
    def out(self) -> TextIO:
        return sys.stdout

    @property
    def err(self) -> TextIO:
        return sys.stderr

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal on which a table can be redrawn."""
        return self.err.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return sys.stdin.isatty() and self.err.isatty()

    def data(self, text: str) -> None:
        """Print a line of data; with --json do nothing: use `document` or `item`."""
        if not self.json:
            print(text, file=self.out)

    def document(self, value: object) -> None:
        """Print the one JSON document; without --json do nothing."""
        if self.json:
            print(jsonlib.dumps(value, indent=2, default=str), file=self.out)

    def item(self, value: object) -> None:
        """Print one JSON line of a stream; without --json do nothing."""
        if self.json:
            print(jsonlib.dumps(value, default=str), file=self.out, flush=True)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table of data, its columns as wide as their widest cell."""
        cells = [list(header), *[list(row) for row in rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        for number, row in enumerate(cells):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.data(self._on(self.out, DIM, line.rstrip()) if number == 0 else line.rstrip())

    def say(self, text: str) -> None:
        """Print a line of talk. That nobody can hear it is no reason to stop a deploy."""
        try:
            print(text, file=self.err, flush=True)
        except OSError:
            _abandon(self.err)

    def done(self, text: str) -> None:
        self.say(self._on(self.err, GREEN, text))

    def warn(self, text: str) -> None:
        self.say(self._on(self.err, YELLOW, text))

    def faint(self, text: str) -> None:
        self.say(self._on(self.err, DIM, text))

    def error(self, problem: KaiunError) -> None:
        """Say what is wrong; with --json also as the one JSON document."""
        self.explain(problem)
        if self.json:
            self.item({"error": _facts(problem)})

    def explain(self, problem: KaiunError) -> None:
        """Say what is wrong, where, the evidence, and what to do next."""
        problems = getattr(problem, "problems", ())
        for each in problems or (problem,):
            self._one(each)
        if len(problems) > 1:
            self.say(self._on(self.err, RED, problem.message))

    def usage(self, problem: click.ClickException) -> None:
        """Print a mistake of the command line as click has it."""
        context = getattr(problem, "ctx", None)
        if context is not None:
            self.say(context.get_usage())
        self.say(self._on(self.err, RED, "error: ") + problem.format_message())
        if context is not None:
            self.say(f"  try `{context.command_path} --help`")
        if self.json:
            facts = {"message": problem.format_message(), "exit_code": problem.exit_code}
            self.item({"error": facts})

    def bug(self, bug: BaseException, path: Path | None) -> None:
        kept = f"; the traceback is in {path}" if path else ""
        message = f"a bug of kaiun: {type(bug).__name__}: {bug}{kept}"
        self.say(self._on(self.err, RED, message))
        if self.json:
            self.item({"error": {"message": message, "exit_code": 1}})

    def ask(self, question: str) -> str:
        """Return the answer to a question asked on stderr; "" at its end."""
        try:
            print(question, end=" ", file=self.err, flush=True)
            return input().strip()
        except (EOFError, OSError):
            return ""

    def flush(self) -> None:
        self.out.flush()

    def abandon_stdout(self) -> None:
        """The reader of our output has gone: keep the interpreter from complaining at its end."""
        _abandon(self.out)

    def _one(self, problem: KaiunError | ConfigError) -> None:
        self.say(self._on(self.err, RED, "error: ") + self._on(self.err, BOLD, problem.message))
        if problem.where:
            self.say(f"  where: {problem.where}")
        for line in problem.detail:
            self.say(f"  {line}")
        if problem.hint:
            self.say(f"  hint: {problem.hint}")

    def _on(self, stream: TextIO, colour: str, text: str) -> str:
        coloured = stream.isatty() and "NO_COLOR" not in os.environ
        return f"{colour}{text}{OFF}" if coloured else text


def _abandon(stream: TextIO) -> None:
    """Let what is written to a stream go nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _facts(problem: KaiunError) -> dict[str, object]:
    each = getattr(problem, "problems", ())
    facts: dict[str, object] = {
        "message": problem.message,
        "where": problem.where,
        "hint": problem.hint,
        "detail": list(problem.detail),
        "exit_code": problem.exit_code,
    }
    return facts | ({"problems": [_facts(item) for item in each]} if each else {})
