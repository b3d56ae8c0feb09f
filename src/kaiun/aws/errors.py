"""The errors of botocore as AwsError: code, message, the operation, what to do next."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError

from kaiun.errors import AwsError

CREDENTIALS = "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run `aws sso login`"
LOCAL_DOWN = "is the local ECS running? `kaiun local up`"
HINTS = {
    "ExpiredToken": "the credentials have expired: sign in again",
    "ExpiredTokenException": "the credentials have expired: sign in again",
    "RequestExpired": "the clock of this machine is wrong, or the credentials have expired",
    "InvalidClientTokenId": CREDENTIALS,
    "UnrecognizedClientException": CREDENTIALS,
    "InvalidSignatureException": "the secret key does not belong to the access key",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "ClusterNotFoundException": "check `cluster` and `region` of the environment in kaiun.yml",
    "ServiceNotFoundException": "`kaiun deploy` creates it",
    "ThrottlingException": "AWS throttles this account: try again in a minute",
    "NoSuchBucket": "create the bucket, or correct its name in kaiun.yml",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
BY_CLASS = {
    "NoCredentialsError": ("NoCredentials", CREDENTIALS),
    "PartialCredentialsError": ("NoCredentials", CREDENTIALS),
    "CredentialRetrievalError": ("NoCredentials", CREDENTIALS),
    "TokenRetrievalError": ("ExpiredToken", "sign in again: `aws sso login`"),
    "SSOTokenLoadError": ("ExpiredToken", "sign in again: `aws sso login`"),
    "UnauthorizedSSOTokenError": ("ExpiredToken", "sign in again: `aws sso login`"),
    "ProfileNotFound": ("NoProfile", "correct AWS_PROFILE, or see `aws configure list-profiles`"),
    "NoRegionError": ("NoRegion", "set `region` of the environment in kaiun.yml"),
    "EndpointConnectionError": ("Unreachable", "check the network and `region`"),
    "ConnectTimeoutError": ("Unreachable", "check the network and `region`"),
    "ReadTimeoutError": ("Timeout", "try again"),
    "ConnectionClosedError": ("Unreachable", "try again"),
    "ParamValidationError": ("InvalidRequest", "check `task_definition:` and `service:`"),
}


def translate(error: ClientError | BotoCoreError, where: str, *, local: bool = False) -> AwsError:
    """Return the AwsError that says the same. `local`: the endpoint is the local ECS."""
    if isinstance(error, ClientError):
        return _refused(error, where)
    code, hint = BY_CLASS.get(type(error).__name__, (type(error).__name__, ""))
    if local and code in {"Unreachable", "Timeout"}:
        hint = LOCAL_DOWN
    return AwsError(_one_line(str(error)), code=code, where=where, hint=hint)


def _refused(error: ClientError, where: str) -> AwsError:
    told = error.response.get("Error", {})
    code = str(told.get("Code", ""))
    message = _one_line(str(told.get("Message") or code or error))
    hint = HINTS.get(code, "")
    if code in DENIED:
        hint = f"allow `{_action(message, where)}` to the user or role that deploys"
    return AwsError(message, code=code, where=where, hint=hint)


def _action(message: str, where: str) -> str:
    found = re.search(r"perform:? ([a-z0-9-]+:[A-Za-z]+)", message)
    return found[1] if found else where.partition(" ")[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())
