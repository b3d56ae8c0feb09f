"""Which assets the app compiles, by what, into which folders, from which files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaiun.init.javascript import JavaScript
    from kaiun.init.lockfile import Bundle
    from kaiun.init.tree import Tree

_BUNDLERS = {
    "propshaft": "Propshaft", "sprockets-rails": "Sprockets", "vite_rails": "Vite",
    "vite_ruby": "Vite", "shakapacker": "Shakapacker", "webpacker": "Webpacker",
    "jsbundling-rails": "jsbundling", "cssbundling-rails": "cssbundling",
    "importmap-rails": "importmap", "tailwindcss-rails": "Tailwind", "dartsass-rails": "Dart Sass",
}  # fmt: skip
_TO_PUBLIC_ASSETS = ("propshaft", "sprockets-rails")
_SCANS_TEMPLATES = ("tailwindcss-rails", "tailwindcss-ruby")
_CONFIGURATIONS = (
    "*.config.js", "*.config.cjs", "*.config.mjs", "*.config.ts", "*.config.mts", ".babelrc",
    ".postcssrc.yml", ".browserslistrc", "esbuild*", "build.mjs", "tsconfig*.json",
    "config/webpack", "config/esbuild", "config/webpacker.yml", "config/shakapacker.yml",
    "config/vite.json",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assets:
    """The `assets:` section of kaiun.yml."""

    bundlers: tuple[str, ...]
    output: tuple[str, ...]
    cache: tuple[str, ...]
    inputs: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    templates: bool = False  # a stylesheet is made of what the views name
    erb: tuple[str, ...] = ()  # assets that are ERB, and may read anything


def find(tree: Tree, bundle: Bundle, javascript: JavaScript | None) -> Assets | None:
    """Return what is compiled; None for an app without assets."""
    found = bundle.any_of(*_BUNDLERS)
    if not found or not (tree.has("app/assets") or tree.has("app/javascript") or _vite(bundle)):
        return None
    templates = bool(bundle.any_of(*_SCANS_TEMPLATES)) or "tailwindcss" in tree.text("package.json")
    return Assets(
        tuple(dict.fromkeys(_BUNDLERS[name] for name in found)),
        tuple(_output(tree, bundle)),
        tuple(_cache(tree, bundle)),
        tuple(_inputs(tree, bundle, javascript, templates=templates)),
        dict(_env(bundle)),
        templates,
        tree.any_of("app/assets/**/*.erb", "app/javascript/**/*.erb"),
    )


def _vite(bundle: Bundle) -> bool:
    return bool(bundle.any_of("vite_rails", "vite_ruby"))


def _packs(bundle: Bundle) -> str:
    """Return the gem that runs webpack, which also names its file in config/."""
    return next(iter(bundle.any_of("shakapacker", "webpacker")), "")


def _setting(tree: Tree, bundle: Bundle, key: str, default: str) -> str:
    """Return a setting of config/shakapacker.yml (or webpacker.yml) in production."""
    written = tree.yaml_mapping(f"config/{_packs(bundle)}.yml")
    for section in ("production", "default"):
        settings = written.get(section)
        if isinstance(settings, dict) and settings.get(key):
            return str(settings[key])
    return default


def _vite_setting(tree: Tree, key: str, default: str) -> str:
    written = tree.json_object("config/vite.json")
    for section in ("production", "all"):
        settings = written.get(section)
        if isinstance(settings, dict) and settings.get(key):
            return str(settings[key])
    return default


def _output(tree: Tree, bundle: Bundle) -> Iterator[str]:
    if bundle.any_of(*_TO_PUBLIC_ASSETS):
        yield "public/assets"
    if _vite(bundle):
        yield f"public/{_vite_setting(tree, 'publicOutputDir', 'vite')}"
    if _packs(bundle):
        yield f"public/{_setting(tree, bundle, 'public_output_path', 'packs')}"


def _cache(tree: Tree, bundle: Bundle) -> Iterator[str]:
    if "sprockets-rails" in bundle and "propshaft" not in bundle:
        yield "tmp/cache/assets"
    if gem := _packs(bundle):
        yield _setting(tree, bundle, "cache_path", f"tmp/{gem}")
    if _vite(bundle):
        yield "tmp/cache/vite"


def _inputs(
    tree: Tree, bundle: Bundle, javascript: JavaScript | None, *, templates: bool
) -> Iterator[str]:
    """Yield what the result depends on, of what is there."""
    places = ["app/assets", "app/javascript", "lib/assets", "vendor/assets", "vendor/javascript"]
    if _vite(bundle):
        places.append(_vite_setting(tree, "sourceCodeDir", "app/frontend"))
    if _packs(bundle):
        places.append(_setting(tree, bundle, "source_path", "app/javascript"))
    if templates:
        places += ["app/views", "app/helpers", "app/components"]
    if bundle.any_of("i18n-js"):
        places += ["config/locales", "config/i18n-js.yml", "config/i18n.yml"]
    places += ["config/importmap.rb", "config/initializers/assets.rb"]
    places += ["config/application.rb", "config/environments/production.rb"]  # compressors, hosts
    yield from tree.only(dict.fromkeys((*places, *bundle.inside)))
    yield "Gemfile.lock"
    if javascript and javascript.manager:
        yield from (file for file in javascript.files if not file.startswith("."))
        yield from javascript.folders
        yield from tree.any_of(*_CONFIGURATIONS)


def _env(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Yield what keeps the compile from installing packages: the image has them."""
    if bundle.any_of("jsbundling-rails", "cssbundling-rails"):
        yield "SKIP_YARN_INSTALL", "1"
    if _vite(bundle):
        yield "VITE_RUBY_SKIP_ASSETS_PRECOMPILE_INSTALL", "true"
