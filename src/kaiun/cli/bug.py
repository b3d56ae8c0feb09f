"""Keep the traceback of a bug in a file, so that the screen can stay readable."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from kaiun import __version__
from kaiun.local.home import state_home


def keep(bug: BaseException, arguments: Sequence[str]) -> Path | None:
    """Write the traceback below the state home; None when even that fails.

    Only the verb of the command line is kept: the rest may hold secrets.
    """
    folder = state_home() / "bugs"
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}.log"
    verb = arguments[0] if arguments else ""
    text = f"kaiun {__version__} {verb}\n" + "".join(traceback.format_exception(bug))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(text)
    except OSError:
        return None
    return path
