"""A layer as overlayfs keeps it: a folder with marks for what is deleted or hidden below it.

Source: Linux, Documentation/filesystems/overlayfs.rst (whiteouts, opaque directories).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

OPAQUE_XATTRS = ("trusted.overlay.opaque", "user.overlay.opaque")


def entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder; what cannot be read is an error, not left out."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                yield entry


def is_whiteout(entry: os.DirEntry[str]) -> bool:
    """Whether an entry says that what was there is deleted."""
    facts = entry.stat(follow_symlinks=False)
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def is_opaque(folder: str) -> bool:
    """Whether a folder hides what is below it."""
    for name in OPAQUE_XATTRS:
        try:
            if os.getxattr(folder, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False
