"""Turn what people write in kaiun.yml into what the rest of kaiun reads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from difflib import get_close_matches

AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
MIB = {"": 1.0, "mb": 1.0, "mib": 1.0, "m": 1.0, "g": 1024.0, "gb": 1024.0, "gib": 1024.0}
CPU_UNITS = {"": 1.0, "units": 1.0, "m": 1.024, "vcpu": 1024.0, "vcpus": 1024.0, "cpu": 1024.0}
SHELL_TOKENS = frozenset({"&&", "||", "|", ";", ">", ">>", "<", "&", "2>&1"})
SHELL_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}")
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"(?:{HOST}(?:\.{HOST})*(?::\d+)?/)?{PART}(?:/{PART})*")
REFERENCE = re.compile(rf"{REPOSITORY.pattern}(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?")
MATCHER = re.compile(r"\d{3}(?:-\d{3})?(?:,\d{3}(?:-\d{3})?)*")


class BadValueError(ValueError):
    """A value that cannot be used: what was expected, and what to write instead.

    Where `got` is true, the reader of the error is also shown what stands in the file.
    """

    def __init__(self, expected: str, hint: str = "", *, got: bool = True) -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.got = got


def to_mib(memory: object) -> object:
    """Return memory in MiB: 512 → 512, "0.5 GB" → 512.

    Raises BadValueError unless an integer or "<n> GB".
    Source: ECS API reference, RegisterTaskDefinition, `memory`.
    """
    return _units(memory, "gb", MIB, BadValueError("expected MiB or '<n> GB'"), "memory")


def to_cpu_units(cpu: object) -> object:
    """Return CPU units, 1,024 to a vCPU: 512 → 512, "0.5 vCPU" → 512.

    Raises BadValueError unless an integer or "<n> vCPU".
    Source: ECS API reference, RegisterTaskDefinition, `cpu`.
    """
    return _units(cpu, "vcpu", CPU_UNITS, BadValueError("expected CPU units or '<n> vCPU'"), "cpu")


def _units(
    value: object, suffix: str, factors: dict[str, float], no: BadValueError, key: str
) -> int:
    if type(value) is int:
        return value
    text = str(value) if isinstance(value, float) else value
    found = AMOUNT.fullmatch(text.strip()) if isinstance(text, str) else None
    unit = found[2].lower() if found else "?"
    amount = float(found[1]) * factors.get(unit, 0) if found else 0.0
    if unit in {"", suffix} and amount and amount.is_integer() and not isinstance(value, float):
        return int(amount)
    if isinstance(value, float) and value < 64:
        amount = value * factors[suffix]
    if amount >= 1:
        no.hint = f"write `{key}: {round(amount)}`"
    raise no


def to_argv(command: object) -> object:
    """Return a command as argv: "rake db:migrate" → ("rake", "db:migrate").

    A string is split as a POSIX shell would; no shell runs it. Raises BadValueError on unbalanced
    quotes, on shell syntax outside quotes and on an empty command.
    """
    if isinstance(command, str):
        argv = _split(command)
    elif isinstance(command, (list, tuple)):
        argv = tuple(command)
    else:
        raise BadValueError("expected a command (text, or a list of arguments)")
    if not argv:
        raise BadValueError("expected a command, got nothing", "remove the key", got=False)
    return argv


def _split(command: str) -> tuple[str, ...]:
    try:
        argv = tuple(shlex.split(command))
    except ValueError as error:
        reason = "a quote is not closed" if "quot" in str(error) else "a backslash ends it"
        raise BadValueError(f"not a command: {reason}", "write it as a list") from error
    hint = f"write `sh -c {shlex.quote(command)}`, or a list"
    for token in argv:
        if token in SHELL_TOKENS:
            raise BadValueError(f"no shell runs this command, so '{token}' has no meaning", hint)
        if SHELL_VARIABLE.fullmatch(token):
            raise BadValueError(f"no shell runs this command, so '{token}' stays as it is", hint)
    return argv


def to_health(health: object) -> object:
    """Return the long form of a health check: "/up" → {"path": "/up"}."""
    if isinstance(health, str):
        if not health.startswith("/"):
            raise BadValueError("expected a path that begins with '/'")
        return {"path": health}
    return health


def to_command(given: object) -> object:
    """Return the long form of a command: "rake warm" → {"command": "rake warm"}."""
    return given if isinstance(given, dict) else {"command": given}


def pattern(
    expression: re.Pattern[str], expected: str, mend: Callable[[str], str] | None = None
) -> Callable[[str], str]:
    """Return a check that text matches `expression` as a whole.

    `mend` guesses what was meant; the guess becomes the hint if it matches. Text with a
    placeholder that only AWS can fill passes until it has been filled.
    """

    def check(text: str) -> str:
        if expression.fullmatch(text) or "${" in text:
            return text
        guess = mend(text) if mend else ""
        raise BadValueError(expected, f"write `{guess}`" if expression.fullmatch(guess) else "")

    return check


def hyphened(text: str) -> str:
    """Guess a name of lower-case letters, digits and hyphens: "Web_Server" → "web-server"."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def underscored(text: str) -> str:
    """Guess a variable's name: "MY-VAR" → "MY_VAR"."""
    return re.sub(r"\W", "_", text)


def repository(text: str) -> str:
    """Check an image repository: no scheme, tag, digest or upper case.

    Source: the reference grammar of CNCF distribution.
    """
    if REPOSITORY.fullmatch(text) or "${" in text:
        return text
    expected = "expected an image repository such as registry.example.com/shop"
    raise BadValueError(expected, _repository_hint(text))


def _repository_hint(text: str) -> str:
    bare = text.partition("://")[2] or text
    bare = bare.partition("@")[0].rstrip("/")
    head, colon, tag = bare.rpartition(":")
    if colon and "/" not in tag:
        bare = head
    host, slash, path = bare.rpartition("/") if "/" not in bare else bare.partition("/")
    if not REPOSITORY.fullmatch(bare):
        bare = f"{host}{slash}{path.lower()}"
    return f"write `{bare}`" if bare != text and REPOSITORY.fullmatch(bare) else ""


def cpu_baseline(text: str) -> str:
    """Check a CPU baseline: a level of x86-64, an EC2 family, an instance type, or fargate."""
    from kaiun.cpu import families, levels

    if text in {*levels.LEVELS, levels.ARM_BASE} or families.find(text) or "${" in text:
        return text
    expected = "expected a level such as x86-64-v2, an EC2 family such as m5, or fargate"
    known = [*levels.LEVELS, *(n for row in families.FAMILIES for n in row.names.split())]
    close = get_close_matches(text.lower().replace("_", "-"), known, n=1)
    raise BadValueError(expected, f"did you mean `{close[0]}`?" if close else "")


def nonempty(text: str) -> str:
    """Check that text is not empty."""
    if not text.strip():
        raise BadValueError("expected text, got nothing", got=False)
    return text


def inside(path: str) -> str:
    """Check that a path stays inside the commit: relative, and without `..`."""
    parts = nonempty(path).split("/")
    if path.startswith(("/", "~")) or ".." in parts:
        raise BadValueError("expected a path inside the commit", "without a leading '/' or '..'")
    return path


def is_mapping(value: object) -> str:
    """Return the tag of an image: built from a directory, or a reference."""
    return "<build>" if isinstance(value, Mapping) or hasattr(value, "context") else "<reference>"
