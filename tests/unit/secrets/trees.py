"""YAML files as people write them, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from kaiun.entry.vault.token import resembles

WORDS = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
TEXTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff\ufffe\uffff"),
    max_size=20,
).filter(lambda text: not resembles(text))
PLAIN = st.sampled_from(
    ["1", "true", "~", "", "x y", "a:b", "0x1F", "1_000", "開運", "お守り🎴", "-1"]
)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _double(text: str) -> str:
    import json

    return json.dumps(text)


SINGLE = TEXTS.map(lambda text: _quote("".join(c for c in text if c.isprintable())))
DOUBLE = TEXTS.filter(lambda text: all(ord(c) < 0x10000 for c in text)).map(_double)
SCALARS = st.one_of(PLAIN, SINGLE, DOUBLE, WORDS.map("!tag {}".format), WORDS)
LINE = st.sampled_from(["one", "  two", "three # not a comment", "", "a: b"])
LINES = st.lists(LINE, min_size=1, max_size=4).filter(lambda lines: lines[0][:1] not in {"", " "})


@st.composite
def blocks(draw: st.DrawFn, indent: int) -> str:
    head = draw(st.sampled_from(["|", "|-", "|+", ">", ">-"]))
    comment = draw(st.sampled_from(["", " # why"]))
    lines = draw(LINES)
    body = "\n".join(" " * (indent + 2) + line if line else "" for line in lines)
    return f"{head}{comment}\n{body}"


@st.composite
def mappings(draw: st.DrawFn, indent: int = 0, depth: int = 0) -> str:
    """A block mapping, each line with its line break."""
    shown: list[str] = []
    for key in draw(st.lists(WORDS, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["scalar"] * 4 + ["block", "map", "list", "flow"]))
        comment = draw(st.sampled_from(["", "", "  # note"]))
        space = " " * indent
        if kind == "map" and depth < 3:
            shown.append(f"{space}{key}:{comment}\n" + draw(mappings(indent + 2, depth + 1)))
        elif kind == "list" and depth < 3:
            items = draw(st.lists(SCALARS, min_size=1, max_size=3))
            gap = draw(st.sampled_from(["", "  "]))
            shown.append(f"{space}{key}:\n" + "".join(f"{space}{gap}- {it}\n" for it in items))
        elif kind == "flow":
            items = draw(st.lists(st.one_of(WORDS, SINGLE, DOUBLE), max_size=3))
            inner = ", ".join(f"k{n}: {item}" for n, item in enumerate(items))
            shown.append(f"{space}{key}: {{{inner}}}{comment}\n")
        elif kind == "block":
            shown.append(f"{space}{key}: {draw(blocks(indent))}\n")
        else:
            shown.append(f"{space}{key}: {draw(SCALARS)}{comment}\n")
    return "".join(shown)


@st.composite
def files(draw: st.DrawFn) -> str:
    """One document or several, with comments and blank lines between."""
    parts = draw(st.lists(mappings(), min_size=1, max_size=2))
    top = draw(st.sampled_from(["", "# top\n\n", "---\n"]))
    text = top + "---\n".join(part + draw(st.sampled_from(["", "\n", "# end\n"])) for part in parts)
    return text if draw(st.booleans()) else text.rstrip("\n")
