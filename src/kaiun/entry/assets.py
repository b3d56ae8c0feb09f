"""Choose the asset manifest of this environment, should the image carry any."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context


def step(items: list[Item], context: Context) -> None:
    """Do nothing yet: no image carries manifests."""
    del items, context
