"""The variables of a start: read by name, the use of secret ones noted.

`${VAR}`, `${VAR:-default}` and `${VAR:?message}` in a text stand for them; `$${` is a plain `${`.
"""

from __future__ import annotations

NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


class Missing(Exception):
    """A variable without a value, or a text that is no template; `line` counts from 1."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


class Variables:
    """The environment that the process will get. `secret` names the variables not to be shown."""

    def __init__(self, environ: dict[str, str], secret: set[str]) -> None:
        self.environ = environ
        self.secret = secret
        self.used: set[str] = set()
        self.more: list[str] = []

    def hide(self, value: str) -> None:
        """Note a value that no message may show, though no variable holds it."""
        self.more.append(value)

    def get(self, name: str) -> str | None:
        """Return a value, and note that it was used."""
        self.used.add(name)
        return self.environ.get(name)

    def used_secret(self) -> bool:
        """Return whether a secret was used since this was asked last."""
        used, self.used = self.used, set()
        return not used.isdisjoint(self.secret)

    def hidden(self) -> list[str]:
        """Return the values that no message may show."""
        values = [self.environ[name] for name in self.secret if self.environ.get(name)]
        return [*values, *(value for value in self.more if value)]

    def expand(self, text: str) -> str:
        """Return the text with its variables replaced. Raises Missing."""
        return expand(text, self) if "$" in text else text


def expand(text: str, variables: Variables) -> str:
    """Return the text with every `${…}` replaced. Raises Missing with the line."""
    parts = []
    at = 0
    while (begin := text.find("${", at)) >= 0:
        if begin > at and text[begin - 1] == "$":
            parts += [text[at : begin - 1], "${"]
            at = begin + 2
            continue
        end = _closing(text, begin)
        if end < 0:
            raise Missing("'${' is not closed", _line(text, begin))
        parts += [text[at:begin], _value(text[begin + 2 : end], variables, _line(text, begin))]
        at = end + 1
    parts.append(text[at:])
    return "".join(parts)


def _closing(text: str, begin: int) -> int:
    """Return where the brace closes that opens at `begin`, -1 if it does not."""
    depth, at = 1, begin + 2
    while at < len(text):
        if text.startswith("${", at):
            depth, at = depth + 1, at + 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return -1


def _value(body: str, variables: Variables, line: int) -> str:
    name, operator, rest = _parts(body)
    if not name or not NAME_CHARACTERS.issuperset(name) or name[0].isdigit():
        raise Missing(f"'${{{body}}}' is no variable", line)
    value = variables.get(name)
    if operator == ":-" and not value:
        return expand(rest, variables)
    if operator == ":?" and not value:
        raise Missing(f"{name}: {rest}" if rest else f"{name} is not set or empty", line)
    if operator == ":-":
        return value or ""
    if value is None:
        raise Missing(f"{name} is not set", line)
    return value


def _parts(body: str) -> tuple[str, str, str]:
    """Return name, operator and the rest: "A:-b" → ("A", ":-", "b")."""
    head, colon, rest = body.partition(":")
    if colon and rest[:1] in ("-", "?"):
        return head, colon + rest[0], rest[1:]
    return body, "", ""


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
