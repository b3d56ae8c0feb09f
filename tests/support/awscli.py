"""The aws command line, run against an engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kaiun.local.home import read_env
from support.engine import Engine

AWS = Path(sys.executable).with_name("aws")


def aws(engine: Engine, *words: str) -> Any:
    """Run one command; return the JSON that it printed."""
    text = printed(engine, *words)
    return json.loads(text) if text.strip() else None


def printed(engine: Engine, *words: str) -> str:
    """Run one command; return the text that it printed."""
    done = subprocess.run(
        [str(AWS), *words],
        env={**os.environ, **read_env(engine.home).variables(), "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
