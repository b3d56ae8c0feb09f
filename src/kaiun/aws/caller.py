"""One way to call AWS: clients made when first needed, every attempt counted, errors told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar, cast

from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from kaiun.aws.errors import translate

S = TypeVar("S")
T = TypeVar("T")
Answer = dict[str, object]

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30.0
ATTEMPTS = 5
PARALLEL = 8
S3_PARALLEL = 32  # small objects wait for the network most of the time


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. Without `url` and keys botocore finds both as every AWS tool does.

    `fluentd` is the address of the local ECS's log receiver.
    """

    region: str | None = None
    url: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    fluentd: str | None = None

    @property
    def is_local(self) -> bool:
        return self.url is not None


class Client(Protocol):
    """The part of a botocore client that does not depend on the service."""

    def can_paginate(self, operation_name: str) -> bool: ...


class Caller:
    """Calls operations of AWS by name. Safe to use from several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        session: Session | None = None,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.endpoint = endpoint
        self._read_timeout_s = read_timeout_s
        self.calls: Counter[str] = Counter()
        self._session = session or Session()
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()
        self._count_lock = threading.Lock()

    def call(
        self, service: str, operation: str, params: Mapping[str, object], *, where: str = ""
    ) -> Answer:
        """Return the answer of `operation` (in snake case). Raises AwsError."""
        place = f"{service}:{_camel(operation)}" + (f" {where}" if where else "")
        try:
            method = getattr(self.client(service), operation)
            return cast("Answer", method(**params))
        except (ClientError, BotoCoreError) as error:
            raise translate(error, place, local=self.endpoint.is_local) from error

    def pages(
        self, service: str, operation: str, params: Mapping[str, object], *, where: str = ""
    ) -> list[Answer]:
        """Return the answers of every page. Raises AwsError."""
        place = f"{service}:{_camel(operation)}" + (f" {where}" if where else "")
        try:
            paginator = self.client(service).get_paginator(operation)  # type: ignore[attr-defined]
            return [cast("Answer", page) for page in paginator.paginate(**params)]
        except (ClientError, BotoCoreError) as error:
            raise translate(error, place, local=self.endpoint.is_local) from error

    @property
    def region(self) -> str | None:
        """Return the region that requests go to, None when there is none."""
        found = self.endpoint.region or self._session.get_config_variable("region")
        return str(found) if found else None

    def client(self, service: str) -> Client:
        """Return the botocore client, made on first use (ecs 100 ms, others 10–60 ms)."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Client:
        made = self._session.create_client(
            service,
            region_name=self.endpoint.region,
            endpoint_url=self.endpoint.url,
            aws_access_key_id=self.endpoint.access_key,
            aws_secret_access_key=self.endpoint.secret_key,
            config=self._config(service),
        )

        def count(event_name: str, **_: object) -> None:
            with self._count_lock:
                self.calls[f"{service}:{event_name.rpartition('.')[2]}"] += 1

        made.meta.events.register("before-send", count)
        return cast("Client", made)

    def _config(self, service: str) -> BotoConfig:
        return BotoConfig(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=self._read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=S3_PARALLEL if service == "s3" else PARALLEL * 2,
            user_agent_extra="kaiun",
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path"} if self.endpoint.is_local else None,
        )


def parallel(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Return the results of `calls`, run side by side, in their order; the first error wins."""
    todo: Sequence[Callable[[], T]] = tuple(calls)
    if len(todo) < 2:
        return [call() for call in todo]
    with ThreadPoolExecutor(min(PARALLEL, len(todo))) as pool:
        return list(pool.map(lambda call: call(), todo))


def each(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return `function(item)` of every item, run side by side, in their order."""
    return parallel(partial(function, item) for item in items)


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return `items` in slices of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _camel(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))
