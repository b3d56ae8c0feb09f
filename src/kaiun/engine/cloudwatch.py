"""What of CloudWatch the engine does not keep itself is moto's: dashboards and insight rules."""

from __future__ import annotations

import re
from typing import Final

from kaiun.engine.sigv4 import Request

_TARGET: Final = "GraniteServiceVersion20100801."
_PATH: Final = "/service/GraniteServiceVersion20100801/operation/"
MOTOS: Final = frozenset(
    ("PutDashboard", "GetDashboard", "ListDashboards", "DeleteDashboards", "PutInsightRule",
     "DescribeInsightRules", "DeleteInsightRules", "EnableInsightRules", "DisableInsightRules")
)  # fmt: skip


def is_for_moto(request: Request, body: bytes) -> bool:
    """Tell whether a request is of CloudWatch, and of what moto keeps of it."""
    target = request.headers.get("x-amz-target", "")
    if request.headers.get("smithy-protocol"):
        return request.path.startswith(_PATH) and request.path.removeprefix(_PATH) in MOTOS
    if target:
        return target.startswith(_TARGET) and target.removeprefix(_TARGET) in MOTOS
    if "form-urlencoded" not in request.headers.get("content-type", ""):
        return False
    asked = re.search(rb"(?:^|&)Action=(\w+)", body)
    return asked is not None and asked[1].decode() in MOTOS
