"""From a verified request of a service that lives here to its answer, in the protocol's form."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from kaiun.engine.protocol import model as models
from kaiun.engine.protocol import query, rest
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.protocol.validate import Validator, WrongType
from kaiun.engine.sigv4 import Request
from kaiun.engine.world import World

log = logging.getLogger(__name__)

Params = dict[str, Any]
Handler = Callable[[World, Params], Params | bytes]
H = TypeVar("H", bound=Handler)
HANDLERS: dict[tuple[str, str], Handler] = {}

_NOT_HERE = {
    "application-autoscaling": "ValidationException",
    "ecr": "ValidationException",
    "ecs": "UnsupportedFeatureException",
    "elasticloadbalancing": "OperationNotPermitted",
    "logs": "InvalidOperationException",
    "monitoring": "InvalidAction",
    "scheduler": "ValidationException",
    "servicediscovery": "InvalidInput",
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def operation(service: str, name: str) -> Callable[[H], H]:
    """Register the handler of one operation. It returns a document, or JSON ready to send."""

    def register(handler: H) -> H:
        HANDLERS[service, name] = handler
        return handler

    return register


@lru_cache
def validator(service: str) -> Validator:
    return Validator(models.load(service))


def answer_json(world: World, service: str, target: str, body: bytes, request_id: str) -> Answer:
    """Answer an awsJson request; `target` is the X-Amz-Target header."""
    del request_id
    model = models.load(service)
    try:
        _, _, name = target.partition(".")
        if name not in model.operations:
            raise ApiError("UnknownOperationException", f"Operation {name or target!r} is unknown.")
        return Answer(200, _JSON, _as_bytes(_run(world, service, name, _read_json(body))))
    except ApiError as error:
        return _queryish_error(model, error) if model.was_query else json_error(error)


def answer_cbor(world: World, service: str, name: str, body: bytes) -> Answer:
    """Answer a request of Smithy's RPC v2 protocol."""
    from kaiun.engine.protocol import cbor  # few clients speak it

    model, own = models.load(service), ("smithy-protocol", "rpc-v2-cbor")
    try:
        if name not in model.operations:
            raise ApiError("UnknownOperationException", f"Operation {name!r} is unknown.")
        result = _run(world, service, name, cbor.read(body))
        assert isinstance(result, dict)  # noqa: S101  (only JSON services render by themselves)
        return Answer(200, cbor.CONTENT_TYPE, cbor.render(model, name, result), (own,))
    except ValueError as problem:
        error = ApiError("SerializationException", str(problem))
    except ApiError as refusal:
        error = refusal
    told = cbor.render_error(model.shape_of_error(error.code), error.message)
    headers = (own, ("x-amzn-query-error", f"{error.code};Sender")) if model.was_query else (own,)
    return Answer(error.status, cbor.CONTENT_TYPE, told, headers)


def _queryish_error(model: models.ServiceModel, error: ApiError) -> Answer:
    """Return an error of a service that once spoke the query protocol: a header has its old code.

    Source: Smithy, "AWS query compatible" trait.
    """
    shape = ApiError(model.shape_of_error(error.code), error.message, status=error.status)
    header = ("x-amzn-query-error", f"{error.code};Sender")
    return dataclasses.replace(json_error(shape), headers=(header,))


def answer_rest(world: World, service: str, request: Request, body: bytes) -> Answer:
    """Answer a rest-json request."""
    model = models.load(service)
    try:
        name, labels = rest.match(model, request.method, request.path)
        content = _read_json(body)
        if not isinstance(content, dict):
            raise ApiError("SerializationException", "The request body is not a JSON object.")
        params = rest.gather(model, name, labels, request.query, content)
        return Answer(200, _PLAIN_JSON, _as_bytes(_run(world, service, name, params)))
    except LookupError:
        text = f"{request.method} {request.path} is unknown."
        return rest_error(model, ApiError("UnknownOperationException", text, status=404))
    except ValueError as problem:
        return rest_error(model, ApiError("SerializationException", str(problem)))
    except ApiError as error:
        return rest_error(model, error)


def rest_error(model: models.ServiceModel, error: ApiError) -> Answer:
    """Return an error; its code goes into a header."""
    status = rest.status_of(model, error.code, error.status)
    body = json.dumps({"Message": error.message, **error.fields}).encode()
    return Answer(status, _PLAIN_JSON, body, (("x-amzn-errortype", error.code),))


_JSON = "application/x-amz-json-1.1"
_PLAIN_JSON = "application/json"
_XML = "text/xml"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def json_error(error: ApiError) -> Answer:
    body = {"__type": error.code, "message": error.message, **error.fields}
    return Answer(error.status, _JSON, json.dumps(body).encode())


def _as_bytes(result: Params | bytes) -> bytes:
    return (
        result if isinstance(result, bytes) else json.dumps(result, separators=(",", ":")).encode()
    )


def _read_json(body: bytes) -> Any:
    try:
        content = json.loads(body, parse_constant=_refuse_constant) if body else {}
        if _SURROGATE.search(body):
            json.dumps(content, ensure_ascii=False).encode()  # half a pair is no character
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "The request body is not JSON.") from None
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def answer_query(
    world: World, service: str, query_string: str, body: bytes, request_id: str
) -> Answer:
    """Answer a query-protocol request: parameters in the body, or in the URL of a GET."""
    model = models.load(service)
    try:
        form = _read_form(body or query_string.encode())
        name = form.pop("Action", "")
        form.pop("Version", None)
        if name not in model.operations:
            raise ApiError("InvalidAction", f"The action {name} is not valid for this endpoint.")
        result = _run(world, service, name, _parse_form(model, name, form))
        assert isinstance(result, dict)  # noqa: S101  (only JSON services render by themselves)
        return Answer(200, _XML, query.render(model, name, result, request_id))
    except ApiError as error:
        return query_error(model.namespace, error, request_id)


def query_error(namespace: str, error: ApiError, request_id: str) -> Answer:
    body = query.render_error(namespace, error.code, error.message, request_id)
    return Answer(error.status, _XML, body)


def _read_form(body: bytes) -> dict[str, str]:
    try:
        return query.read_form(body)
    except ValueError:
        raise ApiError("MalformedQueryString", "The request body is not a form.") from None


def _parse_form(model: models.ServiceModel, name: str, form: dict[str, str]) -> Any:
    shape = model.input_shape(name)
    try:
        return query.parse(model, shape, form) if shape else {}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as problem:
        raise ApiError("MalformedInput", str(problem)) from None


def _run(world: World, service: str, name: str, raw: Any) -> Params | bytes:
    try:
        return perform(world, service, name, raw)
    finally:
        world.store.commit()


def perform(world: World, service: str, name: str, raw: Any) -> Params | bytes:
    """Do what is asked for; it is not committed yet. Raises ApiError."""
    handler = HANDLERS.get((service, name))
    if handler is None:
        raise ApiError(_NOT_HERE[service], f"{name} is not supported by this local ECS.")
    params = _validated(service, name, raw)
    try:
        return handler(world, params)
    except ApiError:
        raise
    except Exception:
        log.exception("%s.%s failed", service, name)
        raise ApiError(
            _FAILED.get(service, "InternalFailure"),
            f"{name} failed inside the local ECS; its log has the traceback.",
        ) from None


def _validated(service: str, name: str, raw: Any) -> Params:
    shape = models.load(service).input_shape(name)
    if shape is None:
        return {}
    try:
        params, problems = validator(service).check(shape, raw)
    except (WrongType, RecursionError) as problem:
        raise ApiError("SerializationException", str(problem)) from None
    if problems:
        plural = "s" * (len(problems) != 1)
        text = f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"
        raise ApiError(_INVALID.get(service, "InvalidParameterException"), text)
    assert isinstance(params, dict)  # noqa: S101  (every input shape is a structure)
    return params


_INVALID = {
    "application-autoscaling": "ValidationException",
    "elasticloadbalancing": "ValidationError",
    "monitoring": "ValidationError",
    "scheduler": "ValidationException",
    "servicediscovery": "InvalidInput",
}
_FAILED = {
    "application-autoscaling": "InternalServiceException",
    "ecr": "ServerException",
    "ecs": "ServerException",
    "monitoring": "InternalServiceError",
    "scheduler": "InternalServerException",
}
