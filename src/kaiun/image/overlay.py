"""Where the Docker Engine keeps the layers of an image on this machine, if that may be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def folders(found: Mapping[str, Any], diff_ids: Sequence[str]) -> dict[str, Path] | None:
    """Return where overlayfs keeps each layer; None unless all can be read here.

    Source: Docker, storage drivers, overlay2: LowerDir has the topmost first.
    """
    driver = found.get("GraphDriver") or {}
    data = driver.get("Data") or {}
    if driver.get("Name") != "overlay2" or "UpperDir" not in data:
        return None
    lower = data.get("LowerDir", "").split(":") if data.get("LowerDir") else []
    folders = [Path(name) for name in reversed([data["UpperDir"], *lower])]
    readable = all(os.access(folder, os.R_OK | os.X_OK) for folder in folders)
    if os.geteuid() != 0 or not readable or len(folders) != len(diff_ids):
        return None
    return dict(zip(diff_ids, folders, strict=True))
