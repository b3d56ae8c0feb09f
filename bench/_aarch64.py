"""How exact the table of AArch64's encodings is: compared with binutils, which has its own.

python -m bench._aarch64 [WORDS]     what is not the same, of random words and of each row's
python -m bench._aarch64 --vectors   examples of each row, as tests/unit/cpu/aarch64/vectors.tsv

objdump tells which words are instructions, as which of them `-march=armv8-a` has, and which the
architecture of the features that the table gives. Needs Debian's binutils-aarch64-linux-gnu; of its
version 2.40 what is known to differ: `bfc` is refused (an alias of `bfm`), bit 22 of FMLAL is
ignored, ST64B, TME and prediction restriction are in no row.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kaiun.cpu import levels
from kaiun.cpu.aarch64 import encodings

TOOLS = "aarch64-linux-gnu-"
# The least architecture of GNU as for a feature; extensions of SVE name SVE themselves.
MARCHES = {
    "aes": "armv8-a+aes", "asimddp": "armv8.2-a+dotprod", "asimdfhm": "armv8.2-a+fp16fml",
    "asimdhp": "armv8-a+fp16", "asimdrdm": "armv8-a+rdma", "atomics": "armv8.1-a",
    "bf16": "armv8.2-a+bf16", "crc32": "armv8-a+crc", "cssc": "armv8.8-a+cssc",
    "dcpodp": "armv8.5-a", "dcpop": "armv8.2-a", "dit": "armv8.4-a", "ecv": "armv8.6-a",
    "fcma": "armv8.3-a+fp16", "flagm": "armv8-a+flagm", "flagm2": "armv8.5-a",
    "fphp": "armv8-a+fp16", "frint": "armv8.5-a", "hbc": "armv8.8-a+hbc",
    "i8mm": "armv8.2-a+i8mm", "ilrcpc": "armv8.4-a", "jscvt": "armv8.3-a",
    "lrcpc": "armv8-a+rcpc", "mops": "armv8.8-a+mops+memtag", "mte": "armv8.5-a+memtag",
    "paca": "armv8-a+pauth", "pacg": "armv8-a+pauth", "pmull": "armv8-a+aes",
    "rng": "armv8-a+rng", "sb": "armv8-a+sb", "sha1": "armv8-a+sha2", "sha2": "armv8-a+sha2",
    "sha3": "armv8.2-a+sha3", "sha512": "armv8.2-a+sha3", "sm3": "armv8.2-a+sm4",
    "sm4": "armv8.2-a+sm4", "sme": "armv9-a+sme-i64+sme-f64", "ssbs": "armv8-a+ssbs",
    "sve": "armv8.2-a+sve", "sve bf16": "armv8.2-a+sve+bf16", "sve i8mm": "armv8.2-a+sve+i8mm",
    "sve svef32mm": "armv8.2-a+sve+f32mm", "sve svef64mm": "armv8.2-a+sve+f64mm",
    "sve2": "armv8.2-a+sve2", "sve2 sveaes": "armv8.2-a+sve2-aes",
    "sve2 svebitperm": "armv8.2-a+sve2-bitperm", "sve2 svepmull": "armv8.2-a+sve2-aes",
    "sve2 svesha3": "armv8.2-a+sve2-sha3", "sve2 svesm4": "armv8.2-a+sve2-sm4",
    "sve2p1": "armv9-a+sme", "wfxt": "armv8.7-a",
}  # fmt: skip
BASE = "armv8-a"
EXAMPLES = 2  # of each row
_NONE = re.compile(r"\.inst|udf|bfc\b|msr\ts0_|sys\t")  # no instructions, or of no name
_LINE = re.compile(r"\s*[0-9a-f]+:\t([0-9a-f]{8}) \t(.*)")
_ERROR = re.compile(r".*?:(\d+): Error: (selected processor does not support)?")


class Line(NamedTuple):
    word: int
    text: str


def disassembled(words: Iterable[int]) -> list[Line]:
    """Return the words that objdump takes for instructions, without its comments."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        np.fromiter(words, "<u4").tofile(file.name)
        command = [f"{TOOLS}objdump", "-D", "-b", "binary", "-m", "aarch64", file.name]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [Line(int(m[1], 16), m[2]) for m in map(_LINE.fullmatch, out.splitlines()) if m]
    cut = [Line(word, re.sub(r"\s*(//|<).*", "", text)) for word, text in lines]
    return [line for line in cut if not _NONE.match(line.text)]


def refused(lines: list[Line], march: str) -> tuple[set[int], set[int]]:
    """Return which lines an architecture of GNU as does not have, and which are no lines at all."""
    source = f".arch {march}\n" + "".join(f"{line.text}\n" for line in lines)
    with tempfile.NamedTemporaryFile("w", suffix=".s") as file:
        Path(file.name).write_text(source)
        command = [f"{TOOLS}as", "-o", "/dev/null", file.name]
        told = subprocess.run(command, check=False, capture_output=True, text=True).stderr
    found: tuple[set[int], set[int]] = set(), set()
    for matched in map(_ERROR.match, told.splitlines()):
        if matched:
            found[0 if matched[2] else 1].add(int(matched[1]) - 2)
    return found


def features(lines: list[Line]) -> list[str]:
    """Return the features that the table gives each line, those of SVE first."""
    words = np.array([line.word for line in lines], np.uint32)
    masks = (encodings.needs(words) & ~levels.CHECK).tolist()
    named = (levels.to_features(mask, levels.ARM) for mask in masks)
    return [" ".join(sorted(names, key=lambda n: (n not in {"sve", "sve2"}, n))) for names in named]


def disagreements(lines: list[Line]) -> dict[tuple[str, str], list[Line]]:
    """Return lines by what is wrong with them, and by the features that the table gives."""
    wrong = defaultdict(list)
    above, odd = refused(lines, BASE)
    by_features = defaultdict(list)
    for number, (line, needs) in enumerate(zip(lines, features(lines), strict=True)):
        if number in odd:
            continue  # a branch to nowhere
        if (number in above) != bool(needs):
            wrong["missed" if number in above else "not above", needs].append(line)
        elif needs:
            by_features[needs].append(line)
    for needs, some in by_features.items():
        march = MARCHES.get(needs)
        lacking = refused(some, march)[0] if march else range(len(some))
        wrong["other features", needs] += [some[number] for number in lacking]
    return {key: found for key, found in wrong.items() if found}


def random(count: int, seed: int) -> list[int]:
    """Return random words, half of them ones that fit a row but for one bit at most."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 32, count, dtype=np.int64)
    rows = np.array(encodings.rows(), np.int64)[rng.integers(0, len(encodings.ENCODINGS), count)]
    near = (words & ~rows[:, 0] | rows[:, 1]) ^ (rng.integers(0, 2, count) << (words & 31))
    return [*words.tolist(), *near.tolist()]


def vectors() -> list[str]:
    """Return examples of each row, and what is near to them: word, features, and its text."""
    rng = np.random.default_rng(7)
    chosen: list[Line] = []
    for mask, value, _ in encodings.rows():
        words = rng.integers(0, 1 << 32, 64, dtype=np.int64) & ~mask | value
        words[0] = value  # with fields that others have to leave 0
        chosen += disassembled(words.tolist())[:EXAMPLES]
        chosen += disassembled((words ^ (1 << rng.integers(10, 32, 64))).tolist())[:EXAMPLES]
    chosen = sorted(set(chosen))
    above, odd = refused(chosen, BASE)
    return [
        f"{line.word:08x}\t{needs}\t{' '.join(line.text.split())}"
        for number, (line, needs) in enumerate(zip(chosen, features(chosen), strict=True))
        if number not in odd and (number in above) == bool(needs)
    ]


def main(argument: str) -> None:
    if argument == "--vectors":
        print("\n".join(vectors()))
        return
    lines = disassembled(random(int(argument or 200_000), 1))
    print(f"{len(lines)} instructions")
    for (what, needs), found in sorted(disagreements(lines).items()):
        texts = ", ".join(sorted({line.text.split()[0] for line in found})[:8])
        print(f"{len(found):6} {what}: {needs or 'none'}: {texts}: {found[0].text!r}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
