"""One start: read the settings, take the steps, become the process."""

from __future__ import annotations

import os
import sys
import time

from kaiun.entry import child, command, settings, signals, steps
from kaiun.entry.failure import BUG, NOT_EXECUTABLE, NOT_FOUND, PREFIX, Failure, say
from kaiun.entry.variables import Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.command import Command

START = "start.json"  # beside the program
SUPERVISE = "kaiun:supervise"
QUIET = "quiet"  # of KAIUN_START: what is run is heard by somebody, as with kaiun exec


def main() -> None:
    """Start the container; return to nobody."""
    words = sys.argv[1:]
    if words[:1] == [SUPERVISE]:
        from kaiun.entry.supervise import supervise

        os._exit(supervise(words[1:]))
    signals.arm()
    try:
        _start(words)
    except signals.Stopped as stop:
        signals.ignore()
        child.end_all()
        steps.abandon()
        os._exit(stop.exit_code)
    except Failure as failure:
        _fail(failure.line(), failure.exit_code)
    except Exception as bug:  # noqa: BLE001  (one line, never a traceback with values in it)
        _fail(f"{PREFIX}: a bug of kaiun: {_place(bug)}", BUG)


def _start(words: list[str]) -> None:
    began = time.monotonic()
    environ = _environ()
    chosen = settings.Settings(
        settings.read(os.path.join(os.path.dirname(sys.argv[0]), START)),
        environ.get("KAIUN_ENVIRONMENT", ""),
    )
    if words == ["tasks"]:
        os.write(1, "".join(f"{name}\n" for name in sorted(chosen.tasks)).encode())
        os._exit(0)
    todo = command.resolve(words, chosen)
    if todo.process:
        environ["KAIUN_PROCESS"] = todo.process
    variables = Variables(environ, {*chosen.secret, *chosen.keys})
    how = environ.get("KAIUN_START")
    if how == QUIET:
        del environ["KAIUN_START"]  # it is about this start alone
    if how != "skip":
        _steps(chosen, todo, variables, began, quiet=how == QUIET)
    for key in chosen.keys:
        environ.pop(key, None)
    _become(todo, environ)


def _steps(
    chosen: settings.Settings, todo: Command, variables: Variables, began: float, *, quiet: bool
) -> None:
    try:
        steps.take(chosen, todo.process, variables, began, quiet=quiet)
    except Failure as failure:
        line = failure.line(variables.hidden())
        if not todo.lenient:
            _fail(line, failure.exit_code)
        say(f"{line} (a shell all the same)")


def _become(todo: Command, environ: dict[str, str]) -> None:
    """Replace this process by the command; with co-processes, by a supervisor without secrets."""
    argv = todo.argv
    if todo.beside:
        from kaiun.entry.supervise import arguments

        own = [sys.executable, "-I", "-S", sys.argv[0]]
        argv = [*own, SUPERVISE, *arguments(todo)]
    try:
        program = child.which(argv[0], environ)
        signals.restore()
        os.execve(program, argv, environ)
    except FileNotFoundError:
        raise Failure(f"there is no {argv[0]!r}", step="command", code=NOT_FOUND) from None
    except OSError as problem:
        why = f"{argv[0]!r} cannot be executed: {problem.strerror}"
        raise Failure(why, step="command", code=NOT_EXECUTABLE) from None


def _environ() -> dict[str, str]:
    """Return the environment, without an LC_CTYPE of Python's own making (PEP 538)."""
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") == "C.UTF-8":
        try:
            with open("/proc/self/environ", "rb") as file:
                given = file.read().split(b"\0")
        except OSError:
            return environ
        if b"LC_CTYPE=C.UTF-8" not in given:
            del environ["LC_CTYPE"]
    return environ


def _fail(line: str, code: int) -> None:
    signals.ignore()
    child.end_all()
    steps.abandon()
    say(line)
    os._exit(code)


def _place(bug: BaseException) -> str:
    """Return the kind of an exception and where it was raised; never its text."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return type(bug).__name__
    file = os.path.basename(trace.tb_frame.f_code.co_filename)
    return f"{type(bug).__name__} at {file}:{trace.tb_lineno}"
