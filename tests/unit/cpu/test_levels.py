"""Baselines: levels, families, machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.cpu import families, levels
from kaiun.errors import UsageError


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("x86-64", "x86-64"),
        ("x86-64-v3", "x86-64-v3"),
        ("fargate", "x86-64-v2"),
        ("t2", "x86-64-v4"),  # the level at which all that it has is found: v2, and AVX
        ("m4.large", "x86-64-v3"),
        ("m6a.24xlarge", "x86-64-v3"),
        ("m5", "x86-64-v4"),
    ],
)
def test_baseline_has_what_its_level_has(text: str, level: str) -> None:
    found = levels.parse(text)
    below = [name for name, has in levels.LEVELS.items() if has <= found.features]
    assert level in below or text == "t2"


def test_t2_has_avx_without_avx2() -> None:
    found = levels.parse("t2.micro").features
    assert "avx" in found
    assert "avx2" not in found
    assert families.lowest(found & levels.LEVELS["x86-64-v4"]) == "x86-64-v3"


def test_graviton_is_another_architecture() -> None:
    assert levels.parse("m7g.large").architecture == levels.ARM
    assert "atomics" in levels.parse("graviton2").features
    assert "atomics" not in levels.parse("a1").features


@pytest.mark.parametrize(
    ("features", "name"),
    [
        ("", "armv8-a"),
        ("crc32 aes", "graviton"),
        ("atomics lrcpc", "graviton2"),
        ("sve bf16", "graviton3"),
        ("sve2", "graviton4"),
        ("sme", ""),
    ],
)
def test_lowest_graviton_with_features(features: str, name: str) -> None:
    assert families.lowest(frozenset(features.split()), levels.ARM) == name


def test_first_graviton_that_would_crash() -> None:
    assert families.first_crash(frozenset({"atomics"}), levels.ARM) == "a1"
    assert families.first_crash(frozenset({"sm4"}), levels.ARM) == "a1"
    assert families.first_crash(frozenset({"crc32"}), levels.ARM) == ""


def test_base_of_arm_has_nothing() -> None:
    assert levels.parse("armv8-a").features == frozenset()


@pytest.mark.parametrize("text", ["", "x86-64-v5", "x86_64-v2", "haswell", "m5/../x"])
def test_unknown_baseline_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no CPU baseline"):
        levels.parse(text)


def test_unlisted_family_is_taken_as_v2() -> None:
    assert families.of_type("m99i.large").features == levels.LEVELS["x86-64-v2"]


@pytest.mark.parametrize(
    ("features", "family"),
    [({"sse4_2"}, ""), ({"avx"}, "fargate"), ({"avx512f"}, "fargate")],
)
def test_first_family_that_would_crash(features: set[str], family: str) -> None:
    assert families.first_crash(frozenset(features)) == family


def test_a_family_is_listed_once() -> None:
    names = [name for row in families.FAMILIES for name in row.names.split()]
    assert len(names) == len(set(names))


def test_features_of_families_are_known() -> None:
    assert {n for row in families.FAMILIES for n in row.features} <= set(levels.ORDER)


def test_machine_tells_what_all_of_its_cores_have() -> None:
    text = "processor: 0\nflags\t\t: fpu pni avx abm\n\nprocessor: 1\nflags\t\t: fpu pni avx\n"
    assert levels.of_cpuinfo(text).features == {"fpu", "sse3", "avx"}


def test_mask_and_features_are_one_another() -> None:
    assert levels.to_features(levels.to_mask({"avx2", "sse3"})) == ("sse3", "avx2")
    arm = levels.to_mask({"sve", "aes", "crc32"})
    assert levels.to_features(arm, levels.ARM) == ("aes", "crc32", "sve")


def test_page_has_the_families_as_they_are() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "cpu.md"
    assert families.table() in page.read_text()
