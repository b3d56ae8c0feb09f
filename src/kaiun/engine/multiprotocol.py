"""Services that speak several protocols; which one, a request says. Bodies may be compressed."""

from __future__ import annotations

import zlib
from typing import Final

from kaiun.engine.dispatch import Answer, answer_cbor, answer_json, answer_query, json_error
from kaiun.engine.protocol import model as models
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.sigv4 import Request
from kaiun.engine.world import World

PROTOCOL: Final = "smithy-rpc-v2-cbor"  # the first of those that their models name
MAX_BODY: Final = 16 * 1024 * 1024


def answer(world: World, service: str, request: Request, body: bytes, request_id: str) -> Answer:
    """Answer a request in JSON, CBOR or, where the service has it, the query protocol."""
    try:
        plain = _plain(request, body)
    except ValueError as problem:
        return json_error(ApiError("SerializationException", str(problem)))
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return answer_cbor(world, service, request.path.rpartition("/")[2], plain)
    target = request.headers.get("x-amz-target", "")
    if not target and models.load(service).was_query:
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
