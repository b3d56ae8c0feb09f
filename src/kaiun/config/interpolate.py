"""Replace `${…}` in the text of kaiun.yml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

Kind = Literal["ssm", "secret", "cfn"]


class Resolver(Protocol):
    """Looks values up in AWS, a batch at a time.

    `resolve("ssm", ["/a", "/b"])` → {"/a": "1"}: those that do not exist are left out.
    """

    def __call__(self, kind: Kind, names: Sequence[str]) -> Mapping[str, str]:
        """Return the values of those names that exist."""
