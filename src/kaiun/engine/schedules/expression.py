"""Schedule expressions: rate(…), cron(…), at(…).

Source: EventBridge Scheduler user guide, "Schedule types".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from kaiun.engine.schedules import cron
from kaiun.engine.schedules.cron import Cron

_UNITS_S = {"minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"rate\(\s*([0-9]{1,9})\s+(minute|hour|day)(s?)\s*\)")
_CRON = re.compile(r"cron\((.*)\)")
_AT = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")


@dataclass(frozen=True, slots=True)
class Rate:
    period_s: int


@dataclass(frozen=True, slots=True)
class At:
    """Once, at this local time."""

    moment: datetime


Expression = Rate | Cron | At


def parse(text: str) -> Expression:
    """Return a schedule's expression. Raises ValueError."""
    if found := _RATE.fullmatch(text):
        value, unit, _ = found.groups()
        if int(value) < 1:
            raise ValueError("a rate has to be positive")
        return Rate(int(value) * _UNITS_S[unit])
    if found := _CRON.fullmatch(text):
        return cron.parse(found[1])
    if found := _AT.fullmatch(text):
        moment = datetime.fromisoformat(found[1])
        if not cron.FIRST_YEAR <= moment.year <= cron.LAST_YEAR:
            raise ValueError("not a year that schedules know")
        return At(moment)
    raise ValueError("neither rate(…) nor cron(…) nor at(…)")


def parse_for_rule(text: str) -> Expression:
    """Return a rule's expression: once is not possible, and 1 wants its unit in the singular.

    Source: EventBridge user guide, "Rate expressions". Raises ValueError.
    """
    found = _RATE.fullmatch(text)
    if found and (found[1] == "1") == bool(found[3]):
        raise ValueError("the unit does not go with the value")
    expression = parse(text)
    if isinstance(expression, At):
        raise ValueError("a rule has no one-time schedule")  # noqa: TRY004
    return expression


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as problem:  # a folder of zones is an OSError
        raise ValueError(f"{name} is not a time zone") from problem
