"""Run ERB over a vault file, with the Ruby of this machine. Only when it was asked for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from kaiun.entry.vault import KEY_VARIABLES
from kaiun.errors import SecretsError

PROGRAM = "require 'erb'; STDIN.binmode; print ERB.new(STDIN.read.force_encoding('UTF-8')).result"
TIMEOUT_S = 60
OURS = {name for names in KEY_VARIABLES.values() for name in names}


def render(data: bytes, environment: Mapping[str, str], *, where: str = "") -> bytes:
    """Return what ERB makes of `data`. Raises SecretsError.

    Ruby gets the file on stdin and the environment without the keys of the vaults.
    """
    ruby = shutil.which("ruby", path=environment.get("PATH"))
    if ruby is None:
        raise SecretsError("--erb needs Ruby, and there is no `ruby` here", where=where)
    cleaned = {name: value for name, value in environment.items() if name not in OURS}
    try:
        done = subprocess.run([ruby, "-e", PROGRAM], input=data, env=cleaned, check=False,
                              capture_output=True, timeout=TIMEOUT_S)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SecretsError(f"ERB took more than {TIMEOUT_S} s", where=where) from None
    if done.returncode != 0:
        kind = done.stderr.decode("utf-8", "replace").strip().rpartition("(")[2].partition(")")[0]
        raise SecretsError(f"ERB failed: {kind or 'ruby ended with ' + str(done.returncode)}",
                           where=where)  # fmt: skip
    return done.stdout
