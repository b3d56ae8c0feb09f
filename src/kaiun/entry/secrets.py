"""Open the vault files and write what they hold, readable by the app's user alone."""

from __future__ import annotations

from kaiun.entry import files
from kaiun.entry.failure import Failure
from kaiun.entry.steps import limited, stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context


def step(items: list[Item], context: Context) -> None:
    """Open each file; none is in place before all have opened."""
    opened = []

    def open_one(item: Item) -> None:
        source = files.original(context.path(item["file"]))
        staged = stage(context.path(item["to"]))
        staged.write(_opened(files.read(source), item, context))
        mode = int(item["mode"], 8) if item.get("mode") else None
        staged.dress(mode=mode, owner=item.get("owner") or "", like="", secret=True)
        opened.append(staged)

    for item in items:
        limited(item, open_one)
    for staged in opened:
        staged.commit()


def _opened(data: bytes, item: Item, context: Context) -> bytes:
    """Return the plaintext. Raises Failure with the key path that does not open, never a value."""
    try:
        from kaiun.entry.vault import VaultError, open_vault
    except ImportError as problem:
        raise Failure(f"the image's Python has no {problem.name}") from None
    keys = {name: _key(source, item, context) for name, source in item["keys"].items()}
    try:
        return open_vault(data, item["format"], keys, _options(item, context))
    except VaultError as problem:
        raise Failure(str(problem)) from None
    except ImportError as problem:
        raise Failure(f"the image's Python has no {problem.name}") from None


def _key(source: str, item: Item, context: Context) -> str:
    """Return the key material that "env:NAME", "file:/path" or an AWS address stands for."""
    kind, _, rest = source.partition(":")
    if kind == "env":
        return context.variables.environ.get(rest, "")
    if kind == "file":
        text = files.read(context.path(rest), 1 << 20).decode("utf-8", "replace").strip()
    else:
        from kaiun.entry import fetch

        asked = {**item, "attempt": 10.0, "retries": 3}
        found = fetch.aside(lambda: fetch.source(source, asked, context), item)
        text = found.decode("utf-8", "replace").strip()
    context.variables.hide(text)
    return text


def _options(item: Item, context: Context) -> Mapping[str, Any]:
    options = dict(item["options"])
    if "kms" in str(options.get("cryptor", "")):
        options["unwrap"] = lambda data: _unwrap(data, item, context)
    return options


def _unwrap(data: bytes, item: Item, context: Context) -> bytes:
    """Ask KMS to decrypt some bytes."""
    import base64

    from kaiun.entry import fetch
    from kaiun.entry.aws import Aws
    from kaiun.entry.http import Line

    def ask() -> bytes:
        aws = Aws(context.settings.region, Line(10.0, 3))
        request = {"CiphertextBlob": base64.b64encode(data).decode()}
        return base64.b64decode(aws.call("kms", "Decrypt", request)["Plaintext"])

    return fetch.aside(ask, item)
