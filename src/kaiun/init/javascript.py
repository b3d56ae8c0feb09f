"""What of Node the app needs: nothing, the program alone, or packages by npm, yarn or pnpm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaiun.init import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaiun.init.lockfile import Bundle
    from kaiun.init.tree import Tree

# Gems that compile assets by a JavaScript engine, which ExecJS looks for even when Rails boots.
_EXECJS = ("execjs", "uglifier", "terser", "coffee-rails", "autoprefixer-rails", "react-rails")
_ENGINES = ("mini_racer", "therubyracer", "duktape")
_LOCKS = (
    ("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"), ("bun.lock", "bun"), ("bun.lockb", "bun"),
)  # fmt: skip
_PNPM_OF_LOCK = {"5": "7", "6": "8", "9": "10"}


@dataclass(frozen=True, slots=True)
class JavaScript:
    """The Node of the app. `manager` is "" where no package is installed."""

    node: versions.Version
    manager: str = ""  # npm, yarn, berry (yarn 2 and later), pnpm or bun
    program: str = ""  # what npm installs first: "yarn@1.22.22"
    files: tuple[str, ...] = ()  # what the manager reads: package.json, the lock, its settings
    folders: tuple[str, ...] = ()  # of workspaces and of the manager's own plugins
    locked: bool = True
    by_rails: bool = False  # Rails itself calls `bin/yarn install` before it compiles


def find(tree: Tree, bundle: Bundle) -> JavaScript | None:
    """Return what of Node the app needs; None where nothing."""
    package = tree.json_object("package.json")
    if not (package.get("dependencies") or package.get("devDependencies")):
        wants_engine = bundle.any_of(*_EXECJS) and not bundle.any_of(*_ENGINES)
        return JavaScript(versions.node(tree)) if wants_engine else None
    lock, manager = next(((lock, name) for lock, name in _LOCKS if tree.has(lock)), ("", "npm"))
    named = str(package.get("packageManager", "")).partition("+")[0]
    manager = named.partition("@")[0] or manager
    if manager == "yarn" and _is_berry(tree, named):
        manager = "berry"
    return JavaScript(
        versions.node(tree),
        manager,
        _program(tree, manager, named),
        tree.only(("package.json", lock, ".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml"))
        if lock
        else tree.only(("package.json", ".npmrc")),
        tree.only((*dict.fromkeys(_workspaces(tree, package)), ".yarn")),
        bool(lock),
        manager == "yarn" and tree.has("bin/yarn") and bundle.version("railties") < (7,),
    )


def _is_berry(tree: Tree, named: str) -> bool:
    major = re.match(r"yarn@(\d+)", named)
    return int(major[1]) > 1 if major else "__metadata:" in tree.text("yarn.lock")


def _program(tree: Tree, manager: str, named: str) -> str:
    """Return the package of npm's registry that is the manager, "" for npm itself."""
    number = named.partition("@")[2]
    if manager == "berry" and number:
        return f"@yarnpkg/cli-dist@{number}"
    if manager in {"yarn", "berry"}:  # yarn 1 hands over to the one that .yarnrc.yml names
        return f"yarn@{number or '1'}"
    if manager == "pnpm":
        written = re.search(r"lockfileVersion:\s*'?(\d+)", tree.text("pnpm-lock.yaml"))
        return f"pnpm@{number or _PNPM_OF_LOCK.get(written[1] if written else '', '10')}"
    return ""


def _workspaces(tree: Tree, package: Mapping[str, Any]) -> Iterator[str]:
    """Yield the folders that hold workspaces: their package.json is read by the install."""
    listed = package.get("workspaces")
    given = listed.get("packages") if isinstance(listed, dict) else listed
    patterns = [*(given or ()), *(tree.yaml_mapping("pnpm-workspace.yaml").get("packages") or ())]
    for pattern in patterns:
        if folder := str(pattern).removeprefix("./").split("/*", 1)[0].strip("*/!"):
            yield folder
