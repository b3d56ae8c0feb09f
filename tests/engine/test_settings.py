"""Account settings: the account's, a principal's, and what holds."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

NAME = "defaultLogDriverMode"


def test_principals_setting_goes_before_the_accounts(ecs: Any, family: str) -> None:
    principal = f"arn:aws:iam::000000000000:user/{family}"

    def read(**who: str) -> str:
        answer = ecs.list_account_settings(name=NAME, effectiveSettings=True, **who)
        return str(answer["settings"][0]["value"])

    ecs.put_account_setting_default(name=NAME, value="blocking")
    assert (read(), read(principalArn=principal)) == ("blocking", "blocking")
    ecs.put_account_setting(name=NAME, value="non-blocking", principalArn=principal)
    assert (read(), read(principalArn=principal)) == ("blocking", "non-blocking")
    own = ecs.list_account_settings(principalArn=principal)["settings"]
    assert [(s["name"], s["principalArn"]) for s in own] == [(NAME, principal)]
    ecs.delete_account_setting(name=NAME, principalArn=principal)
    assert read(principalArn=principal) == "blocking"
    ecs.delete_account_setting(name=NAME)
    assert read() == "non-blocking"


def test_a_new_cluster_inherits_container_insights(ecs: Any, family: str) -> None:
    name = "containerInsights"
    ecs.put_account_setting_default(name=name, value="enhanced")
    first = ecs.create_cluster(clusterName=f"{family}-a")["cluster"]
    ecs.delete_account_setting(name=name)
    second = ecs.create_cluster(clusterName=f"{family}-b")["cluster"]
    assert [c["settings"][0]["value"] for c in (first, second)] == ["enhanced", "disabled"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (NAME, "sometimes"),
        ("fargateTaskRetirementWaitPeriod", "8"),
        ("guardDutyActivate", "on"),
        ("taskLongArnFormat", "maybe"),
    ],
)
def test_values_that_cannot_be_are_refused(ecs: Any, name: str, value: str) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.put_account_setting(name=name, value=value)
