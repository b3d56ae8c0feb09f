"""The process `kaiun-engine`: startup, serve, shutdown."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from kaiun.errors import KaiunError
from kaiun.local.home import API_PORT, FLUENT_PORT, REGISTRY_PORT, engine_home


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options. Ports are on loopback; 0 asks for an ephemeral one."""
    parser = argparse.ArgumentParser(prog="kaiun-engine", description="The local ECS.")
    parser.add_argument("--home", type=Path, default=engine_home(), help="where the state lives")
    parser.add_argument("--port", type=int, default=API_PORT)
    parser.add_argument("--registry-port", type=int, default=REGISTRY_PORT)
    parser.add_argument("--fluent-port", type=int, default=FLUENT_PORT)
    parser.add_argument("--runtime", choices=("docker", "null"), default="docker")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the local ECS until it is told to stop."""
    options = parse(argv)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    from kaiun.engine.process import Options, run

    try:
        run(
            Options(
                home=options.home,
                port=options.port,
                registry_port=options.registry_port,
                fluent_port=options.fluent_port,
                runtime=options.runtime,
            )
        )
    except KaiunError as error:
        sys.stderr.write(f"kaiun-engine: {error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(error.exit_code)
