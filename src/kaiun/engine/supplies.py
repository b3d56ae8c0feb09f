"""What a task names and others keep: secrets, environment files, registry logins, registries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.engine.store import Doc

if TYPE_CHECKING:
    from kaiun.engine.envfiles import EnvFileReader
    from kaiun.engine.secrets import SecretReader


@dataclass(frozen=True, slots=True, repr=False)
class Supplies:
    """`secrets` by valueFrom, variables of `files` by ARN, `logins` by credentialsParameter;
    `names` that its service registries give the task."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    logins: Mapping[str | None, tuple[str, str]] = field(default_factory=dict)
    names: Sequence[str] = ()


Supply = Callable[[Doc, Mapping[str, Doc], Sequence[str]], Awaitable[Supplies]]


class Supplier:
    """Fetches what a task needs, nothing twice."""

    def __init__(
        self, secrets: SecretReader, files: EnvFileReader, dns_name: Callable[[str], str | None]
    ) -> None:
        self._secrets = secrets
        self._files = files
        self._dns_name = dns_name  # of a registryArn

    async def __call__(
        self, definition: Doc, overrides: Mapping[str, Doc], registries: Sequence[str]
    ) -> Supplies:
        """Return the supplies of a task; `overrides` by container, `registries` by ARN.

        Raises RuntimeFailure.
        """
        containers = definition["containerDefinitions"]
        files = {f for c in containers for f in env_files(c, overrides.get(c["name"], {}))}
        return Supplies(
            secrets={n: await self._secrets.value(n) for n in sorted(_secrets(containers))},
            logins={n: await self._secrets.login(n) for n in sorted(_logins(containers))},
            files={arn: await self._files(arn) for arn in sorted(files)},
            names=[n for arn in registries if (n := self._dns_name(arn))],
        )


def env_files(container: Doc, override: Doc) -> list[str]:
    """Return the ARNs of a container's environment files, the most telling first."""
    listed = [*override.get("environmentFiles", ()), *container.get("environmentFiles", ())]
    return [file["value"] for file in listed]


def _secrets(containers: Iterable[Doc]) -> set[str]:
    names = set()
    for container in containers:
        names |= {s["valueFrom"] for s in container.get("secrets", ())}
        options = container.get("logConfiguration", {}).get("secretOptions", ())
        names |= {s["valueFrom"] for s in options}
    return names


def _logins(containers: Iterable[Doc]) -> set[str]:
    asked = (c.get("repositoryCredentials", {}).get("credentialsParameter") for c in containers)
    return {name for name in asked if name}
