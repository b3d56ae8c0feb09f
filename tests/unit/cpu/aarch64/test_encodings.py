"""The table of encodings, on words that binutils took apart and put together.

vectors.tsv is made by `python -m bench._aarch64 --vectors`: a word, its features, its text. GNU as
has confirmed of each that -march=armv8-a has it, or has it not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaiun.cpu import levels
from kaiun.cpu.aarch64 import encodings

VECTORS = [
    (int(word, 16), frozenset(features.split()), text)
    for word, features, text in (
        line.split("\t")
        for line in (Path(__file__).parent / "vectors.tsv").read_text().splitlines()
    )
]
UNKNOWN_TO_BINUTILS = {"lrcpc3", "lse128"}  # of Debian 12


def features(words: list[int]) -> list[frozenset[str]]:
    masks = encodings.needs(np.array(words, np.uint32)) & ~levels.CHECK
    return [frozenset(levels.to_features(mask, levels.ARM)) for mask in masks.tolist()]


def test_words_need_what_binutils_says() -> None:
    found = features([word for word, _, _ in VECTORS])
    wrong = [
        (text, set(got), set(wanted))
        for (_, wanted, text), got in zip(VECTORS, found, strict=True)
        if got != wanted
    ]
    assert wrong == []


def test_upper_half_tells_every_word_that_a_row_fits() -> None:
    words = np.array([word for word, _, _ in VECTORS], np.uint32)
    needing = np.flatnonzero(encodings.needs(words))
    assert set(needing.tolist()) <= set(encodings.candidates(words).tolist())


def test_every_row_has_a_vector() -> None:
    words = np.array([word for word, _, _ in VECTORS], np.uint32)
    unseen = {
        name
        for (name, _), (mask, value, _) in zip(encodings.ENCODINGS, encodings.rows(), strict=True)
        if not (words & np.uint32(mask) == value).any()
    }
    assert unseen <= UNKNOWN_TO_BINUTILS | {encodings.ASKS, ""}


def test_every_feature_of_a_row_is_known() -> None:
    named = {name for features, _ in encodings.ENCODINGS for name in features.split()}
    assert named - {encodings.ASKS} <= {"aes", *levels.ARM_FEATURES}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0xD503201F, "nop"),
        (0xD503233F, "paciasp"),
        (0xD50323BF, "autiasp"),
        (0xD503245F, "bti c"),
        (0xD5032200 | 0x1F, "esb: hint 16"),
        (0xD50320DF, "dgh"),
        (0x1EE24020, "fcvt s0, h1"),
        (0x0E217820, "fcvtl v0.4s, v1.4h"),
        (0x7C400400, "ldr h0, [x0], 0"),
        (0xD53B4200, "mrs x0, nzcv"),
        (0xD53BE040, "mrs x0, cntvct_el0"),
        (0x04E0E3E0, "cntd x0: libgcc's unwinder"),
    ],
)
def test_what_older_machines_take_needs_nothing(word: int, text: str) -> None:
    assert features([word]) == [frozenset()], text


@pytest.mark.parametrize("word", [0xD5380600, 0xD5380400, 0xD5380000])
def test_register_that_tells_is_a_check(word: int) -> None:
    """mrs x0, id_aa64isar0_el1; id_aa64pfr0_el1; midr_el1: the kernel answers in its place."""
    assert encodings.needs(np.array([word], np.uint32)).tolist() == [levels.CHECK]
