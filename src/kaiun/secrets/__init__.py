"""Vault files: encrypt, decrypt, edit, rotate and check them in place.

The reading side of the formats is `kaiun.entry.vault`, which also runs inside containers.
"""

from __future__ import annotations

from kaiun.entry.vault import KEY_VARIABLES
from kaiun.secrets.vault import Problem, Vault
from kaiun.secrets.vaults import FORMATS, guess, make

__all__ = ["FORMATS", "KEY_VARIABLES", "Problem", "Vault", "guess", "make"]
