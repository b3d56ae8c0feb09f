"""What `kaiun build` does beside building: prepare a build host, follow a build that was pushed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from kaiun.errors import UsageError

if TYPE_CHECKING:
    from kaiun.cli.common import Setup
    from kaiun.cli.console import Console
    from kaiun.config import Config
    from kaiun.image import Built, Revision, Workshop
    from kaiun.image.host.pushes import Pushing

BEGIN_S = 60.0  # for a pushed build to begin in
REMOTE = "build"


def prepare(setup: Setup, url: str) -> None:
    """Prepare the build host and the repository that builds what is pushed.

    `url` is who prepares, such as ssh://root@host; "" for image.host itself.
    """
    from kaiun.image import Workshop
    from kaiun.image.host import setup as setups
    from kaiun.image.host import ssh
    from kaiun.image.host.line import Line
    from kaiun.image.host.site import BuildHost

    config, _ = setup.configure()
    console = setup.console
    host = config.image.host or url
    if not host:
        raise UsageError(
            "which machine is to be prepared?",
            hint="set image.host in kaiun.yml, or: kaiun build --setup ssh://user@host",
        )
    console.say(f"preparing {url or host}")
    setups.prepare(ssh.parse(url or host), setups.needs(config), console.faint)
    with closing(Line(host)) as line:
        site = BuildHost(line, Workshop())
        condition = site.condition()
        path = site.repository(_pushing(config))
    remote = f"{host.rstrip('/')}{path}"
    _add_remote(config, remote, console)
    console.done(f"{host} is prepared: {condition}")
    console.document({"host": host, "condition": condition, "repository": remote})


def watched(config: Config, revision: Revision, workshop: Workshop) -> dict[str, Built]:
    """Return the images that somebody else builds on the host; tell how that goes."""
    from kaiun.image import Source, wanted
    from kaiun.image.host.site import BuildHost

    if workshop.line is None:
        raise UsageError(
            "--watch follows builds on a build host, and this environment has none",
            hint="set image.host in kaiun.yml; or build here: kaiun build",
        )
    site = BuildHost(workshop.line, workshop)
    try:
        by_source: dict[Source, Built] = {}
        sources = {name: each for name, each in wanted(config).items() if isinstance(each, Source)}
        for source in sources.values():
            if source not in by_source:
                by_source[source] = site.watch(source, revision, BEGIN_S)
    except BaseException:
        workshop.stop.request()
        raise
    return {name: by_source[source] for name, source in sources.items()}


def look(config: Config) -> str:
    """Return in one line what the build host builds with. Raises ImageError."""
    from kaiun.image import Workshop
    from kaiun.image.host.line import Line
    from kaiun.image.host.site import BuildHost

    with closing(Line(str(config.image.host))) as line:
        return f"{config.image.host}: {BuildHost(line, Workshop()).condition()}"


def _pushing(config: Config) -> Pushing:
    from kaiun.image import revision
    from kaiun.image.host.pushes import Pushing

    file = revision.prefix(config.root) + config.file
    return Pushing(config.app, config.environment, file)


def _add_remote(config: Config, url: str, console: Console) -> None:
    """Add the git remote `build`, unless there is one."""
    from kaiun.image import git

    there = git.attempt(config.root, "remote", "get-url", REMOTE)
    known = git.text(there.stdout)
    if there.returncode:
        git.run(config.root, "remote", "add", REMOTE, url)
        console.say(f"push-to-build: git push {REMOTE} BRANCH; kaiun build --watch")
    elif known != url:
        console.warn(f"the remote {REMOTE!r} is {known}; what is pushed to {url} is built")
