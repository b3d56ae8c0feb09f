"""What was compiled, as the registry of the app's image has it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.assets import artifact
from kaiun.assets.store import Store
from kaiun.image import reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.assets.manifest import AssetManifest
    from kaiun.image import Registry, Workshop
    from kaiun.image.reference import Reference


@dataclass(frozen=True)
class RegistryArtifacts:
    """See kaiun.deploy.assets.Artifacts. What this machine compiled itself is not fetched."""

    workshop: Workshop
    repository: str

    @cached_property
    def registry(self) -> Registry:
        return self.workshop.connected()

    @property
    def place(self) -> Reference:
        return reference.parse(self.repository)

    @property
    def store(self) -> Store:
        return Store(self.workshop.home / "assets")

    def labels(self, image: str) -> Mapping[str, str]:
        found = reference.parse(image)
        return self.registry.labels(found, found.digest)

    def find(self, digest: str) -> AssetManifest | None:
        return artifact.find(self.registry, self.place, digest, self.store)

    def files(self, manifest: AssetManifest) -> AbstractContextManager[Path]:
        return artifact.files(self.registry, self.place, manifest, self.store)
