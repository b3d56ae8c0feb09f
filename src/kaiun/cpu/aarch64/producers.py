"""For what GCC compiled a file, as its debug information tells (DW_AT_producer).

-mcpu=native is written there as the processor that it became.
"""

from __future__ import annotations

import re

from kaiun.cpu.elf import Elf
from kaiun.cpu.evidence import texts

# A compiler's line, but for the assembler's, which has no options.
_PRODUCER = re.compile(rb"GNU (?!AS)[A-Z][^\0]*")
_OPTION = re.compile(rb" (-m(?:cpu|arch)=[\w.+-]+)")


def told(elf: Elf) -> str:
    """Return the one -mcpu or -march of all that GCC compiled; "" where that is not told."""
    producers = {line for text in texts(elf) for line in _PRODUCER.findall(text)}
    found = {tuple(_OPTION.findall(line)) for line in producers}
    option = found.pop() if len(found) == 1 else ()
    return option[-1].decode("ascii", "replace") if option else ""
