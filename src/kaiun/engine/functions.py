"""Lifecycle hooks that are Lambda functions: what answers for them on this machine.

No Lambda runs here. `hooks.json` in the engine's home says who answers, by the function's ARN or
name: an address that the payload is POSTed to (that of Lambda's own runtime interface emulator,
or of any server), or the answer itself. A function that it does not name has failed.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from kaiun.scheduler.hooks import ASK_AGAIN_S, HookAnswer, HookStatus

log = logging.getLogger(__name__)

FILE = "hooks.json"
TIMEOUT_S = 900.0  # the longest that a Lambda function runs
_STATUSES = {s.value: s for s in (HookStatus.SUCCEEDED, HookStatus.FAILED, HookStatus.IN_PROGRESS)}


class Functions:
    """Calls functions as `hooks.json` says at the moment of the call."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    async def call(self, arn: str, payload: dict[str, Any]) -> HookAnswer:
        """Return a function's answer; whatever goes wrong is FAILED, as on AWS."""
        try:
            place = self._place(arn)
            if isinstance(place, dict):
                return read_answer(place)
            return read_answer(await _post(place, payload))
        except (OSError, ValueError) as problem:
            log.warning("lifecycle hook %s: %s", arn, problem)
            return HookAnswer(HookStatus.FAILED, reason=str(problem))

    def _place(self, arn: str) -> str | dict[str, Any]:
        try:
            known = json.loads(self._file.read_text())
        except FileNotFoundError:
            known = {}
        name = arn.rsplit(":function:", maxsplit=1)[-1].partition(":")[0]
        place = known.get(arn, known.get(name)) if isinstance(known, dict) else None
        if isinstance(place, dict) or (isinstance(place, str) and place.startswith("http")):
            return place
        raise ValueError(f"{self._file} does not say what answers for it: an address or an answer")


async def _post(address: str, payload: dict[str, Any]) -> Any:
    """Ask over HTTP. (Not in a thread: one that waits would keep the engine from ending.)"""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.post(address, json=payload) as answer,
        ):
            return json.loads(await answer.read())
    except aiohttp.ClientError as problem:
        raise OSError(str(problem)) from problem


def read_answer(returned: Any) -> HookAnswer:
    """Return what a function returned. Raises ValueError where it has no valid hookStatus."""
    status = returned.get("hookStatus") if isinstance(returned, dict) else None
    if status not in _STATUSES:
        raise ValueError(f"it returned no valid hookStatus: {str(returned)[:200]}")
    delay = returned.get("callBackDelay", ASK_AGAIN_S)
    details = returned.get("hookDetails")
    return HookAnswer(
        status=_STATUSES[status],
        delay_s=float(delay) if isinstance(delay, int | float) and delay >= 0 else ASK_AGAIN_S,
        details=None if details is None else json.dumps(details),
    )
