"""Values of `secrets` in a task definition, read from the side services.

Source: ECS API, Secret.valueFrom: the name or ARN of an SSM parameter, or the ARN of a Secrets
Manager secret, optionally followed by `:json-key:version-stage:version-id`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.engine.sidecall import CallFailure, SideCalls


class SecretReader:
    """Reads parameters and secrets; what cannot be had is a RuntimeFailure, as ECS reports it."""

    def __init__(self, calls: SideCalls) -> None:
        self._calls = calls

    async def value(self, name: str) -> str:
        """Return the value of a valueFrom."""
        if ":secretsmanager:" in name:
            return await self._secret_value(name)
        parameter = name.partition(":parameter")[2] if name.startswith("arn:") else name
        if name.startswith("arn:") and parameter.count("/") == 1:
            parameter = parameter[1:]
        asked = {"Name": parameter, "WithDecryption": True}
        answer = await self._call("ssm", "AmazonSSM.GetParameter", asked)
        return str(answer["Parameter"]["Value"])

    async def login(self, name: str) -> tuple[str, str]:
        """Return the user and password of a credentialsParameter: a secret's ARN or name."""
        found = await self._secret({"SecretId": name})
        try:
            login = json.loads(found)
            return str(login["username"]), str(login["password"])
        except (ValueError, KeyError, TypeError):
            raise _failure(f"the secret {name} must have the keys username and password") from None

    async def _secret_value(self, name: str) -> str:
        parts = name.split(":")
        request = {"SecretId": ":".join(parts[:7])}
        key, stage, version = (*parts[7:], "", "", "")[:3]
        if stage:
            request["VersionStage"] = stage
        if version:
            request["VersionId"] = version
        value = await self._secret(request)
        if not key:
            return value
        try:
            return str(json.loads(value)[key])
        except (ValueError, KeyError, TypeError):
            raise _failure(
                f"retrieved secret from Secrets Manager did not contain json key {key}"
            ) from None

    async def _secret(self, request: Mapping[str, str]) -> str:
        answer = await self._call("secretsmanager", "secretsmanager.GetSecretValue", request)
        return str(answer["SecretString"])

    async def _call(self, service: str, target: str, body: Mapping[str, Any]) -> Any:
        try:
            return await self._calls.ask(service, target, body)
        except CallFailure as failure:
            raise _failure(str(failure)) from failure


def _failure(text: str) -> RuntimeFailure:
    return RuntimeFailure(
        "ResourceInitializationError", f"unable to pull secrets or registry auth: {text}"
    )
