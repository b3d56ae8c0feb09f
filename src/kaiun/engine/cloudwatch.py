"""CloudWatch speaks several protocols; which one, a request says. Bodies may be compressed.

What the engine does not keep itself (dashboards, insight rules) is moto's.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from kaiun.engine.dispatch import Answer, answer_cbor, answer_json, answer_query, json_error
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.sigv4 import Request
from kaiun.engine.world import World

PROTOCOL: Final = "smithy-rpc-v2-cbor"  # the first of those that the model names
MAX_BODY: Final = 16 * 1024 * 1024
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


def answer(world: World, service: str, request: Request, body: bytes, request_id: str) -> Answer:
    """Answer a request in JSON, CBOR or the query protocol."""
    try:
        plain = _plain(request, body)
    except ValueError as problem:
        return json_error(ApiError("SerializationException", str(problem)))
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return answer_cbor(world, service, request.path.rpartition("/")[2], plain)
    target = request.headers.get("x-amz-target")
    if target is None:
        return answer_query(world, service, request.query, plain, request_id)
    return answer_json(world, service, target, plain, request_id)


def _plain(request: Request, body: bytes) -> bytes:
    """Return the body without its compression. Raises ValueError."""
    encoding = request.headers.get("content-encoding", "")
    if encoding in ("", "aws-chunked", "identity"):
        return body
    if encoding != "gzip":
        raise ValueError(f"Content-Encoding {encoding} is not known.")
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, MAX_BODY)
    except zlib.error:
        raise ValueError("The request body is not what Content-Encoding says.") from None
    if reader.unconsumed_tail or not reader.eof:
        raise ValueError("The request body is too large, or not whole.")
    return plain
