"""What a report says of a whole: floor, risks, label, what is allowed."""

from __future__ import annotations

import pytest

from kaiun.cpu import levels, report
from kaiun.cpu.facts import Facts, Group
from kaiun.cpu.report import File
from kaiun.cpu.verdict import Kind


def file(path: str, *features: str, checks: tuple[str, ...] = (), package: str = "") -> File:
    groups = (Group(levels.to_mask(features), False, 3, ("f",)),) if features else ()
    return File(path, package, Facts(levels.X86, groups, checks=checks))


def arm_file(path: str, *features: str) -> File:
    groups = (Group(levels.to_mask(features), False, 3, ("f",)),)
    return File(path, "", Facts(levels.ARM, groups))


def build(*files: File, cpu: str = "x86-64-v2", **allowed: str) -> report.Report:
    return report.build("shop", files, levels.parse(cpu), allowed)


def test_floor_is_what_the_risks_need() -> None:
    found = build(file("/a", "avx2", "fma"), file("/b", "avx512f", checks=("cpuid in f",)))
    assert found.floor == {"avx2", "fma"}
    assert found.level == "x86-64-v3"
    assert [item.path for item in found.risks] == ["/a"]
    assert found.counts == {Kind.RISK: 1, Kind.REVIEW: 1}
    assert found.risks[0].crashes_on == "fargate"


def test_floor_counts_what_is_below_the_baseline() -> None:
    found = build(file("/a", "sse4_2"))
    assert found.risks == []
    assert found.level == "x86-64-v2"


def test_no_level_has_all() -> None:
    found = build(file("/a", "amx_tile"))
    assert found.level == ""
    assert report.parse_label(found.label()) == report.Need("", frozenset({"amx_tile"}))


def test_image_for_arm_is_told_by_gravitons() -> None:
    found = report.build("shop", [arm_file("/a", "sve"), arm_file("/b", "atomics")])
    assert (found.baseline, found.level) == ("graviton2", "graviton3")
    assert [(item.path, item.crashes_on) for item in found.risks] == [("/a", "a1")]
    features = frozenset({"sve", "atomics"})
    assert report.parse_label(found.label()) == report.Need("graviton3", features, levels.ARM)


def test_usual_baseline_is_that_of_most_files() -> None:
    found = report.build("shop", [file("/a"), file("/b"), arm_file("/c", "sve")])
    assert (found.baseline, found.architecture) == ("x86-64-v2", levels.X86)
    assert found.counts == {Kind.CLEAN: 2, Kind.UNKNOWN: 1}
    assert found.floor == frozenset()


@pytest.mark.parametrize("pattern", ["/a*", "gem fast 1.*", "fast"])
def test_allowed_file_is_for_review_and_no_part_of_the_floor(pattern: str) -> None:
    files = [file("/a.so", "avx2", package="gem fast 1.0")]
    allowed = {pattern: "only the m5 workers load it"}
    found = report.build("shop", files, levels.parse("x86-64-v2"), allowed)
    assert found.risks == []
    assert found.floor == frozenset()
    assert found.items[0].why.startswith("allowed: only the m5 workers load it; ")


def test_worst_comes_first() -> None:
    found = build(file("/c"), file("/b", "avx", checks=("cpuid in f",)), file("/a", "avx"))
    assert [item.path for item in found.items] == ["/a", "/b"]


@pytest.mark.parametrize("text", ["", "x86-64-v2", "{}", "[]", '{"level": "a"}'])
def test_label_of_somebody_else_is_none(text: str) -> None:
    assert report.parse_label(text) is None
