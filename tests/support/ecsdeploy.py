"""ecs-deploy (fabfuel), which nobody here wrote, run unmodified against an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kaiun.local.home import read_env
from support.engine import Engine

PROGRAM = Path(sys.executable).with_name("ecs")
TIMEOUT_S = 60


def ecs_deploy(engine: Engine, *words: str) -> tuple[int, str]:
    """Run one command; return its exit code and all that it printed."""
    done = subprocess.run(
        [str(PROGRAM), *words],
        env={**os.environ, **read_env(engine.home).variables()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout
