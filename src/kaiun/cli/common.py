"""What verbs share: the options -e, --json, -c, and from them configuration and AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from kaiun.cli.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.config.interpolate import Kind
    from kaiun.deploy.assets import AssetStage
    from kaiun.deploy.events import Listener
    from kaiun.image import CredentialSource, Progress, Revision, Workshop

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Setup:
    """Everything that a verb starts from; what is expensive is made when asked for."""

    console: Console
    environment: str
    file: Path | None

    def load(self, revision: str | None = None) -> tuple[Config, Aws]:
        """Return configuration and AWS. Values of SSM and the like are read through AWS."""
        from kaiun.aws.session import connect

        config, aws = self.configure(revision)
        return config, aws or connect(config)

    def configure(self, revision: str | None = None) -> tuple[Config, Aws | None]:
        """Return the configuration, and AWS where a value had to be read through it."""
        from kaiun.config import load

        found: list[Aws] = []

        def resolve(kind: Kind, names: Sequence[str]) -> Mapping[str, str]:
            from kaiun.aws.session import connect  # slow, and most files need no AWS to be read

            if not found:
                found.append(connect(load(self.file, self.environment)))
            return found[0].resolver(kind, names)

        config = load(self.file, self.environment, resolve=resolve, revision=revision)
        return config, found[0] if found else None

    def revision(self, rev: str) -> Revision:
        """Return the commit of the app's repository, and mention a dirty work tree."""
        from kaiun.config import discover
        from kaiun.image import resolve

        file = self.file or discover(Path.cwd())
        revision = resolve(file.resolve().parent, rev)
        if revision.dirty:
            shown = ", ".join(revision.dirty[:3]) + (", …" if len(revision.dirty) > 3 else "")
            self.console.warn(f"not in the image, since not committed: {shown}")
        return revision


def verb(function: Callable[Concatenate[Setup, P], R]) -> Callable[..., R]:
    """Give a verb the options that all verbs have, as a Setup."""

    @click.option(
        "-e",
        "--environment",
        default="local",
        show_default=True,
        envvar="KAIUN_ENVIRONMENT",
        help="The environment of kaiun.yml.",
    )
    @click.option("--json", is_flag=True, help="Print JSON on stdout.")
    @click.option(
        "-c", "--config", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The configuration; by default kaiun.yml here or above.",
    )  # fmt: skip
    @wraps(function)
    def wrapped(
        environment: str,
        json: bool,
        file: Path | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        shown = click.get_current_context().find_object(Console) or Console()
        shown.json = json
        return function(Setup(shown, environment, file), *args, **kwargs)

    return wrapped


def workshop_of(
    config: Config,
    connected: Callable[[], Aws],
    progress: Progress | None = None,
    no_cache: frozenset[str] = frozenset(),
) -> Workshop:
    """Return what builds, and asks registries, for this configuration: here or on its build host.

    The line to the host is closed at the end of the verb.
    """
    from kaiun.image import Workshop
    from kaiun.image.events import silent
    from kaiun.image.host.line import Line

    line = Line(config.image.host) if config.image.host else None
    if line:
        click.get_current_context().call_on_close(line.close)
    return Workshop(progress or silent, credentials(connected), no_cache=no_cache, line=line)


def credentials(connected: Callable[[], Aws]) -> CredentialSource:
    """Return who logs in at a registry: ECR through AWS, else nobody (docker's own follows).

    AWS is connected to when a registry wants to know: most builds never need it.
    """
    from base64 import b64encode

    from kaiun.image import ecr

    def token(_region: str) -> str:
        return b64encode(":".join(connected().ecr.credentials()).encode()).decode()

    def is_local(host: str) -> bool:
        from kaiun.local.home import is_ecr

        return is_ecr(host) and connected().is_local

    return ecr(token, is_local)


def asset_stage(
    config: Config, aws: Aws, workshop: Workshop, listener: Listener
) -> AssetStage | None:
    """Return what publishes the assets of an environment; None where no bucket serves them."""
    from kaiun.deploy.assets import AssetStage, uses_bucket

    if not uses_bucket(config):
        return None
    from kaiun.deploy.artifacts import RegistryArtifacts

    artifacts = RegistryArtifacts(workshop, config.image.repository)
    return AssetStage(aws, config, artifacts, listener)
