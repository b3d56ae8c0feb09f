"""config/database.yml: which server, and how many databases on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.init.lockfile import Bundle
    from kaiun.init.tree import Tree

_KIND_OF_ADAPTER = {
    "postgresql": "postgresql",
    "postgis": "postgis",
    "mysql2": "mysql",
    "trilogy": "mysql",
    "sqlite3": "sqlite",
}
_GEMS = (
    ("activerecord-postgis-adapter", "postgis"),
    ("pg", "postgresql"),
    ("mysql2", "mysql"),
    ("trilogy", "mysql"),
    ("sqlite3", "sqlite"),
)


@dataclass(frozen=True, slots=True)
class Database:
    """The app's database in production; `kind` is "" where it has none."""

    kind: str  # postgresql, postgis, mysql or sqlite
    adapter: str = ""  # the scheme of DATABASE_URL
    others: tuple[str, ...] = ()  # names of further databases: cache, queue, cable

    @property
    def server(self) -> bool:
        """Whether it is a server, met over the network."""
        return self.kind not in {"", "sqlite"}

    def variables(self) -> tuple[tuple[str, str], ...]:
        """Return the variables that Rails reads a database's URL from, with the suffix of its name.

        Source: ActiveRecord::DatabaseConfigurations, NAME_DATABASE_URL (Rails 6.1 and later).
        """
        further = ((f"{name.upper()}_DATABASE_URL", f"_{name}") for name in self.others)
        return (("DATABASE_URL", ""), *further) if self.server else ()


def find(tree: Tree, bundle: Bundle) -> Database:
    """Return the database of the production environment."""
    if "activerecord" not in bundle:
        return Database("")
    written = tree.yaml_mapping("config/database.yml") or tree.yaml_mapping(
        "config/database.yml.erb"
    )
    production = written.get("production")
    settings = production if isinstance(production, dict) else {}
    several = {name: each for name, each in settings.items() if isinstance(each, dict)}
    first = next(iter(several.values()), settings)
    adapter = str(first.get("adapter", ""))
    kind = _KIND_OF_ADAPTER.get(adapter) or _by_gem(bundle)
    replicas = {name for name, each in several.items() if each.get("replica")}
    others = tuple(name for name in list(several)[1:] if name not in replicas)
    return Database(kind, _scheme(kind, adapter), others)


def _by_gem(bundle: Bundle) -> str:
    return next((kind for gem, kind in _GEMS if gem in bundle), "")


def _scheme(kind: str, adapter: str) -> str:
    if kind in {"postgresql", "sqlite"}:
        return {"postgresql": "postgres", "sqlite": "sqlite3"}[kind]
    return adapter if adapter in {"mysql2", "trilogy"} else {"mysql": "mysql2"}.get(kind, kind)
