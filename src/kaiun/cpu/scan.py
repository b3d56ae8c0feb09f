"""Scan files and folders, and put what layers hold together to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kaiun.cpu import facts, tree
from kaiun.cpu.examiner import Examiner
from kaiun.cpu.report import File
from kaiun.cpu.store import Store
from kaiun.errors import UsageError

# Reads layers by their diff ids.
Reader = Callable[[Sequence[str], Examiner], Mapping[str, tree.Layer]]


def files_of_layers(store: Store, diff_ids: Sequence[str], read: Reader) -> list[File]:
    """Return the files of an image, given its layers' diff ids, lowest first.

    `read` is called with those that are not known yet, and an examiner that takes their files.
    """
    known = store.layers(diff_ids)
    missing = [each for each in dict.fromkeys(diff_ids) if each not in known]
    layers = {diff_id: tree.load(text) for diff_id, text in known.items()}
    with Examiner(store) as examiner:
        if missing:
            layers |= read(missing, examiner)
            examiner.finish()
            new = {diff_id: layers[diff_id].dump() for diff_id in missing}
            store.keep(examiner.new, new)
        return _files(tree.stacked(layers[each] for each in diff_ids), store, examiner)


def files_of_path(store: Store, path: Path) -> list[File]:
    """Return the ELF files of a folder, or the one file. Raises UsageError."""
    with Examiner(store) as examiner:
        try:
            if path.is_dir():
                layer = tree.from_folder(path, examiner)
            else:
                layer = tree.Layer(files={str(path): examiner.add(path.read_bytes())})
            examiner.finish()
        except OSError as problem:
            raise UsageError(f"cannot read it: {problem.strerror}", where=str(path)) from problem
        store.keep(examiner.new, {})
        return _files(tree.stacked([layer]), store, examiner)


def _files(live: Mapping[str, tuple[str, str]], store: Store, examiner: Examiner) -> list[File]:
    digests = [digest for digest, _ in live.values()]
    known: dict[str, facts.Facts | None] = {**store.facts(digests), **examiner.new}
    return [
        File(path, package, found)
        for path, (digest, package) in live.items()
        if (found := known.get(digest)) is not None
    ]
