"""Every error that kaiun expects, and the exit code each one ends with.

    KaiunError                 2   the base: what, where, what next
    ├── UsageError             2   the command line asks for something that cannot be
    ├── ConfigError            2   kaiun.yml is wrong: one problem, with its place
    │   └── ConfigErrors       2   all the problems of one file, reported at once
    ├── ImageError             2   no image can be had for this revision
    ├── AssetsError            2   assets cannot be compiled, or what was compiled is not whole
    ├── AwsError               2   AWS refused or could not be reached
    ├── SecretsError           2   a vault file does not open, or is not as it should be
    ├── EngineError            2   the local ECS cannot start, stop or answer
    ├── SessionError           2   a session in a container cannot be had, or was cut off
    ├── DeployFailed           3   failed, and the services run what they ran before
    ├── DeployStuck            4   failed, and the services were not (all) put back
    ├── DeployLocked           5   another deploy of this environment is under way
    ├── CommandExit            n   a one-off task ended: its command's own exit code
    └── Interrupted            130 Ctrl-C; AWS was left as it is

Anything that is not a KaiunError is a bug of kaiun (exit code 1, traceback in a log file).
"""

from __future__ import annotations

from collections.abc import Sequence


class KaiunError(Exception):
    """An expected failure, told in three parts.

    `message` says what is wrong, `where` its place (file:line:column, an ARN, a host),
    `hint` what to do next. `detail` holds lines of evidence, such as a container's log.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", detail: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.detail = tuple(detail)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(KaiunError):
    """The command line asks for something that cannot be."""


class ConfigError(KaiunError):
    """One problem of kaiun.yml; `where` is file:line:column."""


class ConfigErrors(ConfigError):
    """All the problems of one configuration, in the order of the file."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' * (count != 1)} in the configuration")
        self.problems = tuple(problems)


class ImageError(KaiunError):
    """No image can be had for this revision: git, Docker or the registry said no."""


class AssetsError(KaiunError):
    """Assets cannot be compiled, published or put in place, or are not whole."""


class AwsError(KaiunError):
    """AWS refused a request or could not be reached; `code` is the error code of AWS."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        where: str = "",
        hint: str = "",
        detail: Sequence[str] = (),
    ) -> None:
        super().__init__(message, where=where, hint=hint, detail=detail)
        self.code = code


class SecretsError(KaiunError):
    """A vault file does not open, or is not as it should be. Never holds a value."""


class EngineError(KaiunError):
    """The local ECS cannot start, stop or answer."""


class SessionError(KaiunError):
    """A session in a container cannot be had, or was cut off."""


class DeployFailed(KaiunError):
    """The deploy failed and the services run what they ran before."""

    exit_code = 3


class DeployStuck(KaiunError):
    """The deploy failed and the services were not, or not all, put back."""

    exit_code = 4


class DeployLocked(KaiunError):
    """Another deploy of this environment is under way."""

    exit_code = 5


class CommandExit(KaiunError):
    """A one-off task ended; the exit code is that of its command."""

    def __init__(self, message: str, *, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class Interrupted(KaiunError):
    """The user interrupted; AWS was left as it is."""

    exit_code = 130
