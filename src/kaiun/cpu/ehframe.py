"""Where functions begin and end, as the unwind tables say: exact, and in stripped files too.

Source: Linux Standard Base core, 10.6 "Exception Frames" (.eh_frame_hdr, the sorted table).
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from kaiun.cpu.elf import Elf

Numbers = npt.NDArray[np.int64]
_SORTED_TABLE = 0x3B  # DW_EH_PE_datarel | DW_EH_PE_sdata4
_FOUR_BYTES = frozenset({0x1B, 0x0B})  # encodings of the pointer to .eh_frame and of the count
_UDATA4 = 0x03


def ranges(elf: Elf) -> tuple[Numbers, Numbers]:
    """Return the addresses at which functions begin, and at which they end, sorted.

    Empty where there is no table, or one that is not encoded as every linker does it.
    """
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    header, frames = elf.section(".eh_frame_hdr"), elf.section(".eh_frame")
    if header is None or frames is None or header.size < 12:
        return nothing
    data = elf.content(header)
    version, pointer, count_encoding, table = data[:4]
    if (
        version != 1
        or pointer not in _FOUR_BYTES
        or (count_encoding, table) != (_UDATA4, _SORTED_TABLE)
    ):
        return nothing
    count = min(struct.unpack_from("<I", data, 8)[0], (len(data) - 12) // 8)
    pairs = np.frombuffer(data, "<i4", count * 2, 12).reshape(-1, 2).astype(np.int64)
    begins = pairs[:, 0] + header.address
    sizes, known = _sizes(elf.view(frames), pairs[:, 1] + header.address - frames.address)
    return begins[known], (begins[known] + sizes)


def _sizes(frames: memoryview, offsets: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return the length of each function, from its frame description, and which are readable."""
    known = (offsets >= 0) & (offsets + 16 <= len(frames))
    words = np.ndarray(max(len(frames) - 3, 0), "<u4", frames, strides=(1,))
    # length, CIE pointer, begin, then the length of the range
    return words[offsets[known] + 12].astype(np.int64), known
