"""kaiun secrets: vault files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaiun.cli.common import Setup, verb
from kaiun.cli.vaultfile import VaultFile, edited_from_here, find, find_all, vault_options
from kaiun.errors import SecretsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.cli.console import Console

FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
OUT = click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
                   help="The file to write.")  # fmt: skip
ERB_HINT = "the file holds ERB; --erb runs it"


@click.group(name="secrets")
def command() -> None:
    """Vault files: yaml_vault's, Rails' credentials, and kaiun's own format."""


@command.command()
@FILE
@OUT
@vault_options
@verb
def encrypt(setup: Setup, /, path: Path, output: Path | None, **given: Any) -> None:
    """Encrypt the values of FILE under the key paths; in place unless -o names a file."""
    from kaiun.secrets.files import write
    from kaiun.secrets.vault import told

    chosen = find(setup, path, given)
    data = chosen.data()
    with told(str(path), _hint(chosen, data)):
        sealed = chosen.vault().encrypt(data)
    write(output or path, sealed)
    setup.console.done(f"encrypted {path} -> {output or path}")


@command.command()
@FILE
@OUT
@vault_options
@verb
def decrypt(setup: Setup, /, path: Path, output: Path | None, **given: Any) -> None:
    """Decrypt FILE into the file that -o names (mode 0600), or to stdout."""
    from kaiun.secrets.files import write
    from kaiun.secrets.vault import told

    chosen = find(setup, path, given)
    data = chosen.data()
    with told(str(path), _hint(chosen, data)):
        plain = chosen.vault().decrypt(data)
    if output is None or str(output) == "-":
        _out(plain)
        return
    write(output, plain, private=True)
    setup.console.done(f"decrypted {path} -> {output}")


@command.command()
@FILE
@vault_options
@verb
def edit(setup: Setup, /, path: Path, **given: Any) -> None:
    """Open $EDITOR on the plaintext of FILE; encrypt again only what was changed.

    A FILE that does not exist is begun.
    """
    from kaiun.secrets.editor import edit as in_editor
    from kaiun.secrets.files import write
    from kaiun.secrets.vault import told

    chosen = find(setup, path, given)
    vault = chosen.vault()
    before = chosen.raw() if path.exists() else b""
    with told(str(path)):
        plain = vault.plain(before) if before else b""

    def take(edited: bytes) -> bytes:
        with told(str(path)):
            return vault.update(before, edited)

    name = path.name.removesuffix(".enc")
    sealed = in_editor(name, plain, take, environment=_without_keys(os.environ),
                       again=lambda error: _again(setup.console, error))  # fmt: skip
    if sealed is None or sealed == before:
        setup.console.say(f"{path}: nothing was changed")
        return
    edited_from_here(chosen, before)
    write(path, sealed)
    setup.console.done(f"{path}: saved")


@command.command()
@FILE
@click.option("--new-key-from", metavar="SOURCE", required=True, help="Where the new key is.")
@click.option("--new-sign-key-from", metavar="SOURCE", help="The same for the sign passphrase.")
@vault_options
@verb
def rotate(
    setup: Setup, /, path: Path, new_key_from: str, new_sign_key_from: str | None, **given: Any
) -> None:
    """Encrypt every value of FILE with a new key, in place."""
    from kaiun.secrets.files import write
    from kaiun.secrets.vault import told

    chosen = find(setup, path, given)
    before = chosen.raw()
    old, fresh = chosen.vault(), chosen.vault(new_key_from, new_sign_key_from)
    with told(str(path)):
        sealed = old.rotate(before, fresh)
    edited_from_here(chosen, before)
    write(path, sealed)
    setup.console.done(f"{path}: encrypted with the new key")


@command.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@vault_options
@verb
def check(setup: Setup, /, files: tuple[Path, ...], **given: Any) -> int:
    """Check FILES, or all that kaiun.yml lists; tell key paths and never a value.

    Fails on plaintext under a key path, on a key path that matches nothing, on values that are
    encrypted twice or do not open.
    """
    from kaiun.secrets.vault import told

    chosen = [find(setup, path, given) for path in files] or find_all(setup, given)
    found: list[dict[str, str]] = []
    for one in chosen:
        with told(str(one.file)):
            problems = one.vault().check(one.data())
        found += [{"file": str(one.file), "key": item.path, "problem": item.message}
                  for item in problems]  # fmt: skip
    for item in found:
        setup.console.data(f"{item['file']}: {item['key']}: {item['problem']}")
    setup.console.document(found)
    if not found:
        setup.console.done(f"{len(chosen)} file{'s' * (len(chosen) != 1)} in order")
    return 2 if found else 0


@command.command()
@click.option("--format", "kind", type=click.Choice(["kaiun", "rails"]), default="kaiun",
              show_default=True, help="What the key is for.")  # fmt: skip
@OUT
@verb
def keygen(setup: Setup, kind: str, output: Path | None) -> None:
    """Make a random key: on stdout, or in a new file of mode 0600."""
    import secrets as random

    from kaiun.secrets.files import write

    key = random.token_hex(32 if kind == "kaiun" else 16)
    if output is None:
        _out(f"{key}\n".encode())
        return
    if output.exists():
        raise SecretsError("is there already; a key is not overwritten", where=str(output))
    write(output, f"{key}\n".encode(), private=True)
    setup.console.done(f"wrote {output}; keep it out of git")


@command.command()
@FILE
@click.argument("other", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--textconv", is_flag=True, help="Print FILE decrypted, for git's textconv.")
@click.option("--rev", default="HEAD", show_default=True, help="The commit to compare with.")
@click.option("--show", is_flag=True, help="Show the values, not only their key paths.")
@vault_options
@verb
def diff(
    setup: Setup,
    /,
    path: Path,
    other: Path | None,
    *,
    textconv: bool,
    rev: str,
    show: bool,
    **given: Any,
) -> None:
    """Compare the plaintext of FILE with that of OTHER, or of FILE in a commit."""
    from kaiun.secrets import compare

    chosen = find(setup, path, given)
    if textconv:
        _out(_textconv(setup, chosen))
        return
    new = _plain(chosen, chosen.raw())
    if other is not None:
        old = _plain(VaultFile(setup, other, given, chosen.listed), None)
    else:
        before = compare.committed(path, rev)
        old = _plain(chosen, before) if before else b""
    if show:
        _out(compare.unified(old, new, str(path)).encode())
        return
    changes = compare.by_path(old, new)
    for change in changes:
        setup.console.data(f"{change.kind:8}{change.path}")
    setup.console.document([{"key": item.path, "change": item.kind} for item in changes])


def _plain(chosen: VaultFile, data: bytes | None) -> bytes:
    from kaiun.secrets.vault import told

    with told(str(chosen.file)):
        return chosen.vault().plain(chosen.raw() if data is None else data)


def _textconv(setup: Setup, chosen: VaultFile) -> bytes:
    """Return the plaintext, or the file as it is where it cannot be opened: git goes on."""
    raw = chosen.raw()
    try:
        return _plain(chosen, raw)
    except SecretsError as error:
        setup.console.faint(f"not decrypted: {error}")
        return raw


def _out(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _again(console: Console, error: SecretsError) -> bool:
    console.error(error)
    return console.interactive and console.ask("edit again? [Y/n]").lower() in {"", "y", "yes"}


def _hint(chosen: VaultFile, data: bytes) -> str:
    return ERB_HINT if b"<%" in data and not chosen.given.get("erb") else ""


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    from kaiun.secrets.erb import OURS

    return {name: value for name, value in environment.items() if name not in OURS}
