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
    parser.add_argument("--time-scale", type=float, default=1.0, help="null runtime: the pace")
    parser.add_argument("--imagine", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--allow-reset", action="store_true", help="POST /_kaiun/reset, unsigned")
    options = parser.parse_args(argv)
    if options.runtime != "null" and (options.time_scale != 1 or options.imagine):
        parser.error("--time-scale and --imagine need --runtime null")
    if not 0 < options.time_scale <= MAX_TIME_SCALE:
        parser.error(f"--time-scale must be above 0 and at most {MAX_TIME_SCALE}")
    return options


MAX_TIME_SCALE = 10_000


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
    from kaiun.engine.runtime.behaviour import read_behaviour

    try:
        run(
            Options(
                home=options.home,
                port=options.port,
                registry_port=options.registry_port,
                fluent_port=options.fluent_port,
                runtime=options.runtime,
                time_scale=options.time_scale,
                imagined=read_behaviour(options.imagine),
                allow_reset=options.allow_reset,
            )
        )
    except KaiunError as error:
        sys.stderr.write(f"kaiun-engine: {error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(error.exit_code)
