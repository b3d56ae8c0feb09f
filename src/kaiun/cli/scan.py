"""kaiun scan: instructions above a CPU baseline, by file, function and package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaiun.cli.console import Console

if TYPE_CHECKING:
    from kaiun.cpu.report import File, Item, Report
    from kaiun.cpu.store import Store

FOUND = 2


@click.command(name="scan")
@click.argument("subject", metavar="IMAGE|FILE|FOLDER")
@click.option(
    "--cpu",
    default=None,
    metavar="LEVEL",
    help="The baseline: x86-64, x86-64-v2, -v3, -v4, graviton2, an EC2 family such as m5, or "
    "fargate.  [default: x86-64-v2; graviton2 where most files are for AArch64]",
)
@click.option("--all", "everything", is_flag=True, help="List guarded files and variants too.")
@click.option("--json", is_flag=True, help="Print JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, subject: str, cpu: str | None, everything: bool, json: bool) -> int:
    """Find machine code that would crash on CPUs of LEVEL. Exit code 2 when there is some.

    Risks are files that would crash; a file to review has such code and asks the CPU first, but
    not in a way that could be followed.
    """
    from kaiun.cpu import levels, report, store
    from kaiun.local.home import state_home

    console = ctx.find_object(Console) or Console()
    console.json = json
    baseline = levels.parse(cpu) if cpu else None
    with store.opened(state_home()) as known:
        files = _files(subject, known, baseline.architecture if baseline else "")
        found = report.build(subject, files, baseline)
    show(console, found, everything=everything)
    return FOUND if found.risks else 0


def _files(subject: str, known: Store, architecture: str) -> list[File]:
    """Return the files of what is on disk, else in the engine, else in a registry."""
    from kaiun.cpu import scan
    from kaiun.errors import ImageError
    from kaiun.image import client as clients
    from kaiun.image import contents, reference
    from kaiun.image.registry import Registry

    path = Path(subject)
    if path.exists():
        return scan.files_of_path(known, path)
    parsed = reference.parse(subject)
    try:
        found = contents.of_engine(clients.find(), subject, known)
    except ImageError:
        if not parsed.registry:
            raise
        found = None
    if found is not None:
        return found
    return contents.of_registry(Registry(), parsed, known, architecture)


def show(console: Console, found: Report, *, everything: bool) -> None:
    """Print the files that matter, and the sum."""
    from kaiun.cpu.verdict import Kind

    hidden = () if everything else (Kind.GUARDED, Kind.VARIANT, Kind.UNKNOWN)
    for item in found.items:
        if item.kind not in hidden:
            for line in lines(item):
                console.data(line)
    console.document(found.dump())
    console.say(summary(found))


def lines(item: Item) -> list[str]:
    """Return a file's verdict as lines: what, why, which functions, where it crashes first."""
    shown = ", ".join(item.functions) + (", …" if item.count > len(item.functions) else "")
    text = [f"{item.kind.upper():9} {item.title}", f"          {item.why}"]
    if item.features:
        text.append(f"          {' '.join(item.features)} in {item.count} functions: {shown}")
    if item.crashes_on:
        text.append(f"          the first to crash: {item.crashes_on}")
    return text


def summary(found: Report) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts.items())
    return (
        f"{found.subject} on {found.baseline}: {counts or 'no ELF files'}; it needs {found.needs}"
    )
