"""Who this engine is: made at the first start, kept for good."""

from __future__ import annotations

import secrets
import string
from dataclasses import asdict, dataclass

from kaiun.engine.store import Store
from kaiun.local.home import ACCOUNT, REGION

_KEY_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Identity:
    """`engine_id` labels the containers; the keys sign every request."""

    engine_id: str
    access_key: str
    secret_key: str
    account: str = ACCOUNT
    region: str = REGION

    def __repr__(self) -> str:
        return f"Identity({self.engine_id!r}, keys hidden)"

    @property
    def root(self) -> str:
        return f"arn:aws:iam::{self.account}:root"

    def routed(self, service: str) -> dict[str, str]:
        """Return the headers of a request to the side services, which do not check a signature
        but route by it."""
        scope = f"{self.access_key}/20200101/{self.region}/{service}/aws4_request"
        signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        return {"Authorization": signature}

    def arn(self, resource: str, service: str = "ecs") -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def name_of(name_or_arn: str) -> str:
    """Return the last part of an ARN, or the name or id itself."""
    return name_or_arn.rpartition("/")[2]


def recall(store: Store) -> Identity:
    """Return the identity in the store, making one if there is none."""
    table = store.table("identity")
    if "self" not in table:
        table["self"] = asdict(
            Identity(
                engine_id=secrets.token_hex(8),
                access_key="AKIA" + _random(_KEY_ALPHABET, 16),
                secret_key=_random(_SECRET_ALPHABET, 40),
            )
        )
        store.commit()
    return Identity(**table["self"])


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
