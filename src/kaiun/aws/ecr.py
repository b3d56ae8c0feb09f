"""Amazon ECR: a user and password for its registries."""

from __future__ import annotations

import base64
from typing import cast

from kaiun.aws.caller import Caller


class Ecr:
    """Every method raises AwsError."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def credentials(self) -> tuple[str, str]:
        """Return user and password for the account's registries, good for 12 hours."""
        answer = self._caller.call("ecr", "get_authorization_token", {})
        data = cast("list[dict[str, str]]", answer["authorizationData"])
        user, _, password = base64.b64decode(data[0]["authorizationToken"]).decode().partition(":")
        return user, password
