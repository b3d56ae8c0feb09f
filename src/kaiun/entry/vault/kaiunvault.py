"""Open a file of kaiun's own format; everything but the tokens stays to the byte."""

from __future__ import annotations

from . import quick
from .problem import VaultError
from .token import Keys, Place, resembles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .document import Document, Scalar
    from .keypath import Path, Pattern

    Edit = tuple[int, int, str]

MAX_BYTES = 1 << 20


def open_file(data: bytes, keys: Keys, chosen: tuple[Pattern, ...] = ()) -> bytes:
    """Return the file with every token opened. Raises VaultError.

    A value that one of the key paths protects and that is no token is an error, and so is a
    key path that matches no value.
    """
    text = _simple_text(data)
    places = None if text is None else quick.scan(text)
    if text is not None and places is not None and _all_match(chosen, places):
        return _quickly(text, places, keys, chosen).encode("utf-8")
    return _thoroughly(data, keys, chosen).encode("utf-8")


def restored(text: str, place: tuple[int, int], column: int, opened: tuple[int, str]) -> list[Edit]:
    """Return the edits that put a value back where its token is."""
    start, end = place
    before, value = opened
    if not value:
        empty = text[start - 1 : start] == " " and text[start - 2 : start - 1] in {":", "-", "?"}
        return [(start - empty, end, "")]
    value = _moved(value, column - before)
    header, line_break, body = value.partition("\n")
    if value[0] not in "|>" or not line_break:
        return [(start, end, value)]
    header, body = (header[:-1], "\r\n" + body) if header.endswith("\r") else (header, "\n" + body)
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end - (text[line_end - 1] == "\r")
    return [(start, end, header), (line_end, line_end, body)]


def tokens(document: Document, chosen: tuple[Pattern, ...]) -> list[Scalar]:
    """Return the values that are tokens. Raises VaultError for plaintext under a key path."""
    from .keypath import protects, show

    for pattern in chosen:
        if not any(pattern.matches(scalar.path) for scalar in document.scalars):
            raise VaultError("no value has this key path", pattern.text)
    if any(map(resembles, document.keys)):
        raise VaultError("a damaged value of kaiun's format stands where a key should")
    found = []
    for scalar in document.scalars:
        if resembles(scalar.value):
            found.append(scalar)
        elif scalar.value and protects(chosen, scalar.path):
            raise VaultError("is not encrypted", show(scalar.path))
    return found


def open_scalar(scalar: Scalar, keys: Keys) -> tuple[int, str]:
    """Return column and text of a token. Raises VaultError with its key path."""
    from .keypath import show

    place = Place(scalar.path, scalar.document, in_flow=scalar.in_flow)
    if scalar.style:
        raise VaultError("is a token in quotes; it is written plainly", show(scalar.path))
    try:
        return keys.open(scalar.value, place)
    except VaultError as error:
        raise VaultError(error.message, show(scalar.path)) from None


def _simple_text(data: bytes) -> str | None:
    if len(data) > MAX_BYTES:
        raise VaultError(f"larger than {MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _all_match(chosen: tuple[Pattern, ...], places: list[quick.Place]) -> bool:
    return all(any(pattern.matches(place[0]) for place in places) for pattern in chosen)


def _quickly(text: str, places: list[quick.Place], keys: Keys, chosen: tuple[Pattern, ...]) -> str:
    edits: list[Edit] = []
    for path, start, end, column in places:
        written = text[start:end]
        bare = written[1:-1] if written[0] in "'\"" else written
        try:
            if not resembles(bare):
                _allow(path, chosen)
                continue
            opened = keys.open(written, Place(path))
        except VaultError as error:
            from .keypath import show

            raise VaultError(error.message, show(path)) from None
        edits += restored(text, (start, end), column, opened)
    return _apply(text, edits)


def _allow(path: Path, chosen: tuple[Pattern, ...]) -> None:
    if any(pattern.matches(path) for pattern in chosen):
        raise VaultError("is not encrypted")


def _thoroughly(data: bytes, keys: Keys, chosen: tuple[Pattern, ...]) -> str:
    from .document import Document, decode

    document = Document(decode(data))
    edits: list[Edit] = []
    for scalar in tokens(document, chosen):
        place = (scalar.start, scalar.end)
        edits += restored(document.text, place, scalar.parent, open_scalar(scalar, keys))
    return _apply(document.text, edits)


def _apply(text: str, edits: list[Edit]) -> str:
    done, place = [], 0
    for start, end, new in sorted(edits):
        done += [text[place:start], new]
        place = end
    return "".join([*done, text[place:]])


def _moved(value: str, delta: int) -> str:
    """Indent the lines after the first by `delta` columns more."""
    if not delta:
        return value
    first, *lines = value.split("\n")
    moved = [_shifted(line, delta) if line.strip() else line for line in lines]
    return "\n".join([first, *moved])


def _shifted(line: str, delta: int) -> str:
    if delta > 0:
        return " " * delta + line
    return line[min(-delta, len(line) - len(line.lstrip(" "))) :]
