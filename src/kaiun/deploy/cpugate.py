"""Refuse an image above what the machines of the cluster can run, before anything is changed.

What the image needs is its label `kaiun.cpu`, written by the build; the image itself is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.cpu import families, levels, report
from kaiun.cpu.levels import Baseline
from kaiun.deploy.events import Note
from kaiun.errors import ImageError
from kaiun.image import reference as references

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.deploy.events import Listener
    from kaiun.image import Built, Registry

_CPUINFO = Path("/proc/cpuinfo")
_FARGATE = frozenset({"FARGATE", "FARGATE_SPOT"})
_SHOWN = 8  # features in a message


@dataclass(frozen=True, slots=True)
class CpuGate:
    """Judges images by their labels; `allow` is the reason why one may pass all the same."""

    aws: Aws
    config: Config
    registry: Callable[[], Registry]
    allow: str = ""

    def __call__(self, images: Mapping[str, Built], listener: Listener) -> str:
        """Return why images above the machines may pass, "" where none is above them.

        Raises ImageError for an image that may not, AwsError.
        """
        needs = self._needs(images, listener)
        if not any(need.features for need in needs.values()):
            return ""
        refused = refusals(needs, machines(self.aws, self.config))
        if not refused:
            return ""
        if not self.allow:
            raise ImageError(
                refused[0],
                detail=refused[1:],
                hint="build it for them (`image.cpu`; kaiun scan IMAGE shows the files), "
                "or deploy it all the same: --allow-cpu REASON",
            )
        for line in refused:
            listener(Note(f"{line}; allowed: {self.allow}", warning=True))
        return self.allow

    def _needs(self, images: Mapping[str, Built], listener: Listener) -> dict[str, report.Need]:
        """Return what each image needs, by its reference."""
        found: dict[str, report.Need] = {}
        for built in {image.reference: image for image in images.values() if image.digest}.values():
            parsed = references.parse(built.reference)
            try:
                labels = self.registry().labels(parsed, built.digest)
            except ImageError as problem:  # it may be one that only the cluster can reach
                unread = f"what {_short(built.reference)} needs of a CPU cannot be read"
                listener(Note(f"{unread}: {problem.message}", warning=True))
                continue
            told = report.parse_label(labels.get(report.LABEL, ""))
            if told is None and built.tag:
                listener(Note(f"{built.repository}:{built.tag[:12]} was never scanned for its CPU"))
            found[built.reference] = told or report.Need("", frozenset())
        return found


def machines(aws: Aws, config: Config) -> list[Baseline]:
    """Return what the machines of the cluster have, each kind once. Raises AwsError.

    The local ECS: this machine. Fargate: what it is sure to have. EC2: the instances that are
    registered now; a family that is not known counts as x86-64-v2.
    """
    if config.is_local:
        text = _CPUINFO.read_text() if _CPUINFO.exists() else ""
        return [levels.of_cpuinfo(text)] if text else []
    if _on_fargate(config):
        return [levels.parse("fargate"), levels.parse("fargate-arm64")]
    names = sorted({each.partition(".")[0] for each in aws.ecs.instance_types(config.cluster)})
    rows = ((name, families.of_type(name)) for name in names)
    return [Baseline(name, row.architecture, row.features) for name, row in rows]


def refusals(needs: Mapping[str, report.Need], available: list[Baseline]) -> list[str]:
    """Return a line for each image that some machine of its architecture cannot run."""
    lines = []
    for image, (_, features, architecture) in needs.items():
        fitting = (m for m in available if m.architecture == architecture)
        lacking = {m.name: m.lacks(features) for m in fitting}
        for name, missing in lacking.items():
            if missing:
                more = " …" if len(missing) > _SHOWN else ""
                shown = " ".join(missing[:_SHOWN]) + more
                lines.append(f"{_short(image)} would crash on {name}, which lacks {shown}")
    return lines


def _on_fargate(config: Config) -> bool:
    """Whether kaiun.yml places tasks on Fargate, by launch type or by capacity provider."""
    strategies = (
        process.service.get("capacityProviderStrategy") for process in config.processes.values()
    )
    providers = {
        item.get("capacityProvider")
        for strategy in strategies
        if isinstance(strategy, list)
        for item in strategy
        if isinstance(item, dict)
    }
    return config.launch_type == "FARGATE" or bool(providers & _FARGATE)


def _short(image: str) -> str:
    name, at, digest = image.partition("@")
    return f"{name}{at}{digest[:19]}"
