"""What a scan says: each file's verdict, the floor of the whole, and where it would crash first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from kaiun.cpu import families
from kaiun.cpu.facts import SCANNER
from kaiun.cpu.levels import ARM, ORDER, X86, Baseline, parse
from kaiun.cpu.verdict import Kind, judge

if TYPE_CHECKING:
    from kaiun.cpu.facts import Facts

LABEL = "kaiun.cpu"


class Need(NamedTuple):
    """What an image's label tells: the lowest level, "" for none, and the features it needs."""

    level: str
    features: frozenset[str]
    architecture: str = X86


@dataclass(frozen=True, slots=True)
class Item:
    """One file. `features` are those above the baseline, `functions` a few that need them."""

    path: str
    package: str
    kind: Kind
    why: str = ""
    features: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    count: int = 0
    crashes_on: str = ""  # the first EC2 family, from old to new, without the features

    @property
    def title(self) -> str:
        return f"{self.path} ({self.package})" if self.package else self.path


@dataclass(frozen=True, slots=True)
class Report:
    """`floor` is what the whole needs: features without which something is a RISK."""

    subject: str
    baseline: str
    items: tuple[Item, ...]  # all but CLEAN ones, worst first
    counts: Mapping[str, int]
    floor: frozenset[str] = field(default=frozenset())
    unjudged: str = ""  # why nothing can be said of it
    architecture: str = X86  # of most of its files

    @property
    def level(self) -> str:
        """Return the lowest level, or Graviton, that it runs on; "" when none suffices."""
        return families.lowest(self.floor, self.architecture)

    @property
    def needs(self) -> str:
        """Return `level` for people."""
        return self.level or f"more than {families.baselines(self.architecture)[-1].name}"

    @property
    def risks(self) -> list[Item]:
        return [item for item in self.items if item.kind is Kind.RISK]

    def of(self, kind: Kind) -> list[Item]:
        return [item for item in self.items if item.kind is kind]

    def label(self) -> str:
        """Return the value of the image's label: what a deploy needs to judge without the image."""
        kinds = {str(Kind.RISK): len(self.risks), str(Kind.REVIEW): len(self.of(Kind.REVIEW))}
        features = sorted(self.floor, key=ORDER.index)
        facts = {"level": self.level, "features": features, "scanner": SCANNER, "found": kinds}
        if self.architecture != X86:
            facts["architecture"] = self.architecture
        return json.dumps(facts, separators=(",", ":"))

    def dump(self) -> dict[str, object]:
        """Return everything as plain JSON values."""
        items = [asdict(item) for item in self.items]
        floor = sorted(self.floor, key=ORDER.index)
        rest = {"subject": self.subject, "baseline": self.baseline, "counts": dict(self.counts)}
        return {**rest, "level": self.level, "features": floor, "files": items}


@dataclass(frozen=True, slots=True)
class File:
    """One file of what is scanned."""

    path: str
    package: str
    facts: Facts


def build(
    subject: str,
    files: Iterable[File],
    baseline: Baseline | None = None,
    allowed: Mapping[str, str] | None = None,
) -> Report:
    """Judge files. `allowed` maps patterns of paths or packages to the reason why they are.

    Without a baseline the usual one of the architecture that most of them are for.
    """
    items, counts, floor = [], Counter[str](), set[str]()
    files = list(files)
    architecture = _architecture(files) or (baseline.architecture if baseline else X86)
    baseline = baseline or parse(families.USUAL[architecture])
    for file in files:
        item = _item(file, baseline, allowed or {})
        counts[item.kind] += 1
        if item.kind is not Kind.CLEAN:
            items.append(item)
        if file.facts.architecture == architecture and not _reason(file, allowed or {}):
            floor |= needs(file)
    order = list(Kind)
    items.sort(key=lambda item: (-order.index(item.kind), item.package, item.path))
    return Report(
        subject, baseline.name, tuple(items), counts, frozenset(floor), architecture=architecture
    )


def _architecture(files: Iterable[File]) -> str:
    """Return what most files are for, "" where none is for an architecture that we know."""
    known = Counter(f.facts.architecture for f in files if f.facts.architecture in {X86, ARM})
    return known.most_common(1)[0][0] if known else ""


def needs(file: File) -> frozenset[str]:
    """Return the features without which a file is a RISK.

    A library that is compiled for AVX2 throughout may hold AVX-512 behind a check: what counts is
    the lowest level on which it is no risk any more.
    """
    levels = families.baselines(file.facts.architecture)
    verdict = judge(file.facts, file.path, levels[0])
    if verdict.kind is not Kind.RISK:
        return frozenset()
    enough = (b for b in levels if judge(file.facts, file.path, b).kind is not Kind.RISK)
    level = next(enough, None)
    return verdict.features & level.features if level else verdict.features


def parse_label(text: str) -> Need | None:
    """Return what a label's text tells; None where it is none that we know."""
    try:
        raw = json.loads(text)
        features = frozenset(map(str, raw["features"]))
        return Need(str(raw["level"]), features, str(raw.get("architecture", X86)))
    except (ValueError, KeyError, TypeError):
        return None


def _item(file: File, baseline: Baseline, allowed: Mapping[str, str]) -> Item:
    verdict = judge(file.facts, file.path, baseline)
    features = tuple(sorted(verdict.features, key=ORDER.index))
    crash = (
        families.first_crash(verdict.features, baseline.architecture)
        if verdict.kind in (Kind.REVIEW, Kind.RISK)
        else ""
    )
    item = Item(
        file.path, file.package, verdict.kind, verdict.why, features, verdict.functions,
        verdict.count, crash,
    )  # fmt: skip
    reason = _reason(file, allowed) if item.kind is Kind.RISK else ""
    return replace(item, kind=Kind.REVIEW, why=f"allowed: {reason}; {item.why}") if reason else item


def _reason(file: File, allowed: Mapping[str, str]) -> str:
    """Return why a file may be above the baseline; "" when nobody said so.

    A pattern is one of the path, of the package ("gem bcrypt 3.1.20"), or its bare name.
    """
    name = file.package.split(" ")[1:2]
    tried = (file.path, file.package, *name)
    return next(
        (why for pattern, why in allowed.items() if any(fnmatchcase(t, pattern) for t in tried)), ""
    )
