"""What botocore raises, as people should read it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, SSOTokenLoadError

from kaiun.aws.errors import translate


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def test_error_tells_code_message_and_place() -> None:
    error = translate(refusal("InvalidParameterException", "bad\n thing"), "ecs:RunTask shop")
    assert (error.code, str(error)) == ("InvalidParameterException", "ecs:RunTask shop: bad thing")


def test_denied_action_is_named_by_aws_or_by_the_call() -> None:
    told = "User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on resource: r"
    assert "`iam:PassRole`" in translate(refusal("AccessDeniedException", told), "ecs:X y").hint
    assert "`ecs:RunTask`" in translate(refusal("AccessDenied"), "ecs:RunTask shop").hint


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (refusal("ExpiredTokenException"), "ExpiredTokenException", "sign in again"),
        (refusal("ClusterNotFoundException"), "ClusterNotFoundException", "`cluster`"),
        (refusal("UnrecognizedClientException"), "UnrecognizedClientException", "AWS_PROFILE"),
        (NoCredentialsError(), "NoCredentials", "AWS_PROFILE"),
        (SSOTokenLoadError(error_msg="x"), "ExpiredToken", "aws sso login"),
    ],
)
def test_usual_errors_have_a_hint(error: ClientError, code: str, hint: str) -> None:
    told = translate(error, "ecs:X")
    assert told.code == code
    assert hint in told.hint
