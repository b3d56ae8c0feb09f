"""The servers that run beside the app on the local ECS: PostgreSQL, MySQL, Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaiun.init.rails import Rails

PASSWORD = "development-only"  # noqa: S105  (of a server that only this machine can reach)


@dataclass(frozen=True, slots=True)
class Service:
    """One server: an image of its own, a volume for its data."""

    name: str
    image: str
    port: int
    healthy: tuple[str, ...]  # the command that says so
    data: str  # where it keeps its data
    env: Mapping[str, str] = field(default_factory=dict)
    memory: int = 512  # MiB


def beside(app: str, rails: Rails) -> tuple[Service, ...]:
    """Return the servers that the app needs."""
    return tuple(_beside(app, rails))


def addresses(app: str, rails: Rails) -> dict[str, str]:
    """Return the variables by which the app finds them."""
    database = rails.database
    name = _database_name(app)
    server = "mysql:3306" if database.kind == "mysql" else "postgres:5432"
    url = f"{database.adapter}://{name}:{PASSWORD}@{server}/{name}"
    found = {variable: f"{url}{suffix}" for variable, suffix in database.variables()}
    return found | ({"REDIS_URL": "redis://redis:6379/0"} if rails.redis else {})


def _beside(app: str, rails: Rails) -> Iterator[Service]:
    name = _database_name(app)
    if rails.database.kind in {"postgresql", "postgis"}:
        image = "postgres:16" if rails.database.kind == "postgresql" else "postgis/postgis:16-3.4"
        yield Service(
            "postgres", image, 5432, ("pg_isready", "--quiet", "--host=127.0.0.1"),
            "/var/lib/postgresql/data",
            {"POSTGRES_USER": name, "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": name},
        )  # fmt: skip
    if rails.database.kind == "mysql":
        yield Service(
            "mysql", "mysql:8.4", 3306, ("mysqladmin", "ping", "--silent", "--host=127.0.0.1"),
            "/var/lib/mysql",
            {"MYSQL_USER": name, "MYSQL_PASSWORD": PASSWORD, "MYSQL_DATABASE": name,
             "MYSQL_ROOT_PASSWORD": PASSWORD},
            1024,
        )  # fmt: skip
    if rails.redis:
        yield Service("redis", "redis:7", 6379, ("redis-cli", "ping"), "/data", memory=128)


def _database_name(app: str) -> str:
    return app.replace("-", "_")
