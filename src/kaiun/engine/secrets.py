"""Values of `secrets` in a task definition, read from the side services.

Source: ECS API, Secret.valueFrom: the name or ARN of an SSM parameter, or the ARN of a Secrets
Manager secret, optionally followed by `:json-key:version-stage:version-id`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from kaiun.engine.identity import Identity
from kaiun.engine.runtime.base import RuntimeFailure

Resolve = Callable[[Iterable[str]], Awaitable[Mapping[str, str]]]
TIMEOUT_S = 10.0


class SecretReader:
    """Reads secrets; `locate` says where the side services listen."""

    def __init__(
        self, identity: Identity, locate: Callable[[], Awaitable[tuple[str, int]]]
    ) -> None:
        self._identity = identity
        self._locate = locate

    async def __call__(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return valueFrom → value. Raises RuntimeFailure, as ECS reports it."""
        host, port = await self._locate()
        return {name: await asyncio.to_thread(self._read, host, port, name) for name in names}

    def _read(self, host: str, port: int, name: str) -> str:
        if ":secretsmanager:" in name:
            return self._read_secret(host, port, name)
        parameter = name.partition(":parameter")[2] if name.startswith("arn:") else name
        if name.startswith("arn:") and parameter.count("/") == 1:
            parameter = parameter[1:]
        answer = self._call(
            host, port, "ssm", "AmazonSSM.GetParameter", {"Name": parameter, "WithDecryption": True}
        )
        return str(answer["Parameter"]["Value"])

    def _read_secret(self, host: str, port: int, name: str) -> str:
        parts = name.split(":")
        request = {"SecretId": ":".join(parts[:7])}
        key, stage, version = (*parts[7:], "", "", "")[:3]
        if stage:
            request["VersionStage"] = stage
        if version:
            request["VersionId"] = version
        answer = self._call(host, port, "secretsmanager", "secretsmanager.GetSecretValue", request)
        value = str(answer["SecretString"])
        if not key:
            return value
        try:
            return str(json.loads(value)[key])
        except (ValueError, KeyError, TypeError):
            raise _failure(
                f"retrieved secret from Secrets Manager did not contain json key {key}"
            ) from None

    def _call(
        self, host: str, port: int, service: str, target: str, body: Mapping[str, Any]
    ) -> Any:
        import http.client

        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": target,
            **self._identity.routed(service),
        }
        try:
            connection.request("POST", "/", json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise _failure(f"{service} does not answer: {problem}") from problem
        finally:
            connection.close()
        if response.status != http.client.OK:
            code = str(answer.get("__type", "")).rpartition("#")[2]
            raise _failure(f"{code}: {answer.get('message', answer.get('Message', ''))}")
        return answer


def _failure(text: str) -> RuntimeFailure:
    return RuntimeFailure(
        "ResourceInitializationError", f"unable to pull secrets or registry auth: {text}"
    )
