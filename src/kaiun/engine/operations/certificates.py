"""Certificates of HTTPS listeners: their ARNs are kept; what is served is the engine's own."""

from __future__ import annotations

from collections.abc import Sequence

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.elb_common import find, marked, validation_error
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

POLICY = "ELBSecurityPolicy-2016-08"  # where a listener names none
MAX_CERTIFICATES = 25


def https_members(params: Params, protocol: str) -> Doc:
    """Return SslPolicy and Certificates of a listener. Raises where they do not fit."""
    given = params.get("Certificates", [])
    if protocol != "HTTPS":
        if given or params.get("SslPolicy"):
            raise validation_error(
                "An SSL policy or certificate can only be specified for an HTTPS listener"
            )
        return {}
    if not given:
        raise validation_error("A certificate must be specified for HTTPS listeners")
    if len(given) != 1:
        raise validation_error("Exactly one default certificate must be specified")
    return {
        "SslPolicy": params.get("SslPolicy", POLICY),
        "Certificates": [{"CertificateArn": arn} for arn in _arns(given)],
    }


def _arns(certificates: Sequence[Doc]) -> list[str]:
    arns = [str(certificate.get("CertificateArn", "")) for certificate in certificates]
    if bad := [arn for arn in arns if not arn.startswith("arn:")]:
        raise ApiError("CertificateNotFound", f"Certificate ARN '{bad[0]}' is not valid")
    return arns


def _listener(world: World, params: Params) -> Doc:
    found = find(world.listeners, params["ListenerArn"], "Listener", "Listener")
    if found["Protocol"] != "HTTPS":
        raise validation_error("Certificates can only be used with an HTTPS listener")
    return found


@operation("elasticloadbalancing", "AddListenerCertificates")
def add_listener_certificates(world: World, params: Params) -> Params:
    listener = _listener(world, params)
    extra = listener["_"].setdefault("certificates", [])
    arns = [arn for arn in _arns(params["Certificates"]) if arn not in extra]
    if len(extra) + len(arns) > MAX_CERTIFICATES:
        raise ApiError("TooManyCertificates", "The listener has too many certificates")
    extra += arns
    world.listeners.touch(listener["ListenerArn"])
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": False} for arn in arns]}


@operation("elasticloadbalancing", "RemoveListenerCertificates")
def remove_listener_certificates(world: World, params: Params) -> Params:
    listener = _listener(world, params)
    gone = set(_arns(params["Certificates"]))
    if gone & {c["CertificateArn"] for c in listener["Certificates"]}:
        raise ApiError(
            "OperationNotPermitted", "The default certificate of a listener cannot be removed"
        )
    kept = [arn for arn in listener["_"].get("certificates", []) if arn not in gone]
    listener["_"]["certificates"] = kept
    world.listeners.touch(listener["ListenerArn"])
    return {}


@operation("elasticloadbalancing", "DescribeListenerCertificates")
def describe_listener_certificates(world: World, params: Params) -> Params:
    listener = _listener(world, params)
    own = [{**c, "IsDefault": True} for c in listener["Certificates"]]
    extra = listener["_"].get("certificates", [])
    own += [{"CertificateArn": arn, "IsDefault": False} for arn in extra]
    return marked("Certificates", own, params)
