"""Write YAML events as libyaml does, which is how yaml_vault's files look.

PyYAML's emitter is libyaml's elder; the differences are here.
Source: libyaml 0.2.5, emitter.c.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import yaml
from yaml.emitter import Emitter, ScalarAnalysis

_BREAKS = "\n\r\x85\u2028\u2029"
_ESCAPES = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r",
    "\x1b": "e", '"': '"', "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip


def emit(events: Iterable[yaml.Event]) -> str:
    """Return the text of the events."""
    out = io.StringIO()
    emitter = LibyamlEmitter(out, allow_unicode=True)
    for event in events:
        emitter.emit(event)
    return out.getvalue()


class LibyamlEmitter(Emitter):
    """Differs in what is printable, where lines fold, and in `...` after a plain root."""

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        analysis = super().analyze_scalar(scalar)
        if not all(map(printable, scalar)):
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis

    def write_plain(self, text: str, split: bool = True) -> None:
        super().write_plain(text, split)
        self.open_ended = False

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        self.write_indicator('"', True)
        spaces = False
        for place, char in enumerate(text):
            if char == " ":
                inside = 0 < place < len(text) - 1
                if split and not spaces and inside and self.column > self.best_width:
                    self.write_indent()
                    if text[place + 1] == " ":
                        self._put("\\")
                else:
                    self._put(char)
                spaces = True
            else:
                self._put(escaped(char))
                spaces = False
        self.write_indicator('"', False)
        self.whitespace = self.indention = False

    def _put(self, data: str) -> None:
        self.column += len(data)
        self.stream.write(data)


def printable(char: str) -> bool:
    """Return whether libyaml writes the character as it is (none beyond U+FFFF)."""
    return (
        char == "\n"
        or " " <= char <= "~"
        or "\xa0" <= char <= "\ud7ff"
        or ("\ue000" <= char <= "\ufffd" and char != "\ufeff")
    )


def escaped(char: str) -> str:
    """Return the character inside double quotes."""
    if printable(char) and char not in '"\\' and char not in _BREAKS:
        return char
    if char in _ESCAPES:
        return "\\" + _ESCAPES[char]
    number = ord(char)
    if number <= 0xFF:
        return f"\\x{number:02X}"
    return f"\\u{number:04X}" if number <= 0xFFFF else f"\\U{number:08X}"
