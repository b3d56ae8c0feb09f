"""Find known addresses among very many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def exactly(known: Numbers, wanted: Numbers) -> Numbers:
    """Return at which index of `known` (sorted) each wanted value stands, else -1."""
    found = np.full(len(wanted), -1)
    if len(known):
        near = np.flatnonzero((wanted >= known[0]) & (wanted <= known[-1]))
        index = np.searchsorted(known, wanted[near])
        found[near] = np.where(known[index] == wanted[near], index, -1)
    return found
