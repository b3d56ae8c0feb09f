"""What is run in the container so that its exit code, and whole streams, come back.

A session of AWS is a terminal and no more: it tells no exit code. So the command is run by the
container's /bin/sh, which writes the code behind it, as an escape sequence that terminals do not
show. Input that is no terminal goes as base64 through the far terminal, which has to leave all
bytes as they are and has no other way to tell the end of input.
"""

from __future__ import annotations

import base64
import re
import secrets
import shlex
from collections.abc import Sequence

ENTRY = "/opt/kaiun/entry"  # where kaiun built the image: a start's environment for any command
SHELL = "shell"  # the word that stands for one, as the entry has it
END_OF_INPUT = b"\x04"
ESCAPE = b"\033"
LINE = 3 * 19  # bytes in a line of base64, which are 76 characters

_CHOOSE = (
    f'if [ -z "$b" ] && [ -x {ENTRY} ]; then set -- {ENTRY} "$@"; '
    'export KAIUN_START="${KAIUN_START:-quiet}"; '
    f'elif [ "$*" = {SHELL} ]; then if command -v bash >/dev/null 2>&1; then set -- bash; '
    "else set -- sh; fi; fi; "
)
_MARK = "printf '\\033_kaiun %s %s\\033\\\\' \"$n\" "
_START = "n=$1; b=$2; shift 2; "
_ON_A_TERMINAL = f'{_START}trap : INT QUIT; {_CHOOSE}"$@"; {_MARK}$?'
_THROUGH_A_PIPE = (
    f"{_START}{_CHOOSE}command -v base64 >/dev/null && stty -echo -opost || "
    f"{{ {_MARK}125; exit; }}; "
    f'{_MARK}ready; base64 -d | "$@"; {_MARK}$?'
)


class Remote:
    """A command as it is sent, and what comes back of it. `bare`: never through kaiun's entry."""

    def __init__(self, words: Sequence[str] = (), *, piped: bool = False, bare: bool = False):
        self._nonce = secrets.token_hex(8)
        self._script = _THROUGH_A_PIPE if piped else _ON_A_TERMINAL
        self._words = list(words) or [SHELL]
        self._bare = "b" if bare else ""
        self._start = f"\033_kaiun {self._nonce} ".encode()
        self._mark = re.compile(re.escape(self._start) + rb"(\w+)\033\\")
        self._longest = len(self._start) + len(b"ready\033\\")
        self._held = b""
        self.ready = not piped  # whether input may be sent
        self.heard = b""  # what came before that: why there is no command
        self.exit_code: int | None = None  # known once the command has ended

    @property
    def command(self) -> str:
        """Return the command for ExecuteCommand, quoted as ECS's agent splits it."""
        words = ["/bin/sh", "-c", self._script, "sh", self._nonce, self._bare, *self._words]
        return shlex.join(words)

    def read(self, data: bytes) -> bytes:
        """Return what the command itself wrote of what came; take note of the marks in it."""
        data, shown = self._held + data, b""
        while found := self._mark.search(data):
            shown += self._passed(data[: found.start()])
            data = data[found.end() :]
            self._note(found[1])
        keep = self._begun(data)
        self._held = data[keep:]
        return shown + self._passed(data[:keep])

    def _passed(self, data: bytes) -> bytes:
        """Return output as far as it is the command's own; keep what came before it began."""
        if self.ready:
            return data
        self.heard += data
        return b""

    def _note(self, word: bytes) -> None:
        if word == b"ready":
            self.ready = True
        else:
            self.exit_code = int(word)

    def _begun(self, data: bytes) -> int:
        """Return where a mark begins that has not come whole yet; the end of `data` if none."""
        start = data.find(ESCAPE, max(0, len(data) - self._longest))
        while start >= 0:
            if self._start.startswith(data[start:]) or data.startswith(self._start, start):
                return start
            start = data.find(ESCAPE, start + 1)
        return len(data)


def pack(data: bytes) -> bytes:
    """Return input for a command behind `base64 -d`, in lines that a terminal takes whole."""
    lines = (base64.b64encode(data[at : at + LINE]) for at in range(0, len(data), LINE))
    return b"".join(line + b"\n" for line in lines)
