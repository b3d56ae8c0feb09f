"""The assets in kaiun's layer: what is baked, laid out for the build of the layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kaiun.assets.bake import Baking
    from kaiun.assets.stock import Stock
    from kaiun.image.startfile import Json

LABEL = "kaiun.assets"  # of the image: {environment: digest of the inputs}, as JSON


@dataclass(frozen=True, slots=True)
class Assets:
    """What was compiled and where it goes."""

    stock: Stock | None = None
    baking: Baking | None = None

    @property
    def items(self) -> Mapping[str, Json]:
        """Return the item of each environment's assets step."""
        return self.baking.items if self.baking else {}

    @property
    def labels(self) -> dict[str, str]:
        """Return the label that tells a deploy what to publish."""
        digests = self.stock.digests if self.stock else {}
        named = {name: digest for name, digest in digests.items() if name}
        return {LABEL: json.dumps(named, sort_keys=True)} if named else {}

    def write(self, folder: Path) -> Json | None:
        """Write what is baked; return what image/assemble.py does with it, None for nothing.

        Raises AssetsError when what was compiled is not whole.
        """
        if not (self.baking and self.stock and self.stock.store):
            return None
        (folder / "texts").mkdir(parents=True)
        for number, (_, text) in enumerate(sorted(self.baking.texts.items())):
            (folder / "texts" / str(number)).write_text(text, newline="")
        for sha256 in sorted(set(self.baking.contents.values())):
            self.stock.store.copy(sha256, folder / "contents" / sha256)
        return self.baking.arrangement()


NO_ASSETS = Assets()
