"""What ECS tells a container by its variables."""

from __future__ import annotations

import pytest

from kaiun.engine.runtime.docker_addresses import LABEL, LinkLocal
from kaiun.engine.taskvars import DOOR, Given, complete

HOST = "http://127.0.0.1:4580"
KEYS = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


def given(base: str = DOOR, role: str | None = "1-2", launch_type: str = "EC2") -> Given:
    return Given(base, "t-1", role, "us-east-1", launch_type)


def test_container_is_told_its_own_addresses_whatever_it_says() -> None:
    told = complete({"ECS_CONTAINER_METADATA_URI_V4": "mine"}, given(role=None))
    assert told == {
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "ECS_CONTAINER_METADATA_URI": f"{DOOR}/v3/t-1",
        "ECS_CONTAINER_METADATA_URI_V4": f"{DOOR}/v4/t-1",
        "ECS_AGENT_URI": f"{DOOR}/api/t-1",
    }


def test_no_endpoint_tells_nothing() -> None:
    assert complete({"A": "b"}, None) == {"A": "b"}


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [(DOOR, KEYS[0], "/v2/credentials/1-2"), (HOST, KEYS[1], f"{HOST}/v2/credentials/1-2")],
)
def test_task_with_a_role_is_told_where_its_keys_and_the_api_are(
    base: str, name: str, value: str
) -> None:
    told = complete({}, given(base))
    assert {key: told[key] for key in KEYS if key in told} == {name: value}
    assert (told["AWS_ENDPOINT_URL"], told["AWS_REGION"]) == (base, "us-east-1")
    assert told["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"


@pytest.mark.parametrize("own", ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"])
def test_container_with_keys_or_an_address_of_its_own_is_told_no_other(own: str) -> None:
    told = complete({own: "mine", "AWS_REGION": "eu-west-1"}, given())
    assert told.get("AWS_ENDPOINT_URL") == ("mine" if own == "AWS_ENDPOINT_URL" else None)
    assert told["AWS_REGION"] == "eu-west-1"


def test_fargate_tells_the_region_without_a_role_too() -> None:
    told = complete({}, given(role=None, launch_type="FARGATE"))
    assert (told["AWS_EXECUTION_ENV"], told["AWS_REGION"]) == ("AWS_ECS_FARGATE", "us-east-1")


def test_link_local_addresses_are_each_containers_own_and_rest_after_use() -> None:
    addresses = LinkLocal()
    first = addresses.claim("t1", "web")
    assert (first, addresses.claim("t1", "web")) == ("169.254.172.1", "169.254.172.1")
    assert addresses.claim("t1", "db") == "169.254.172.2"
    addresses.release("t1")
    assert addresses.claim("t2", "web") == "169.254.172.3"


def test_link_local_addresses_of_containers_that_are_there_are_not_given_again() -> None:
    addresses = LinkLocal()
    labels = {"kaiun.task": "t1", "kaiun.container": "web", LABEL: "169.254.172.9"}
    addresses.note(labels)
    addresses.note({"kaiun.task": "t1", "kaiun.container": "none"})
    assert addresses.claim("t1", "web") == "169.254.172.9"
    assert addresses.claim("t2", "web") == "169.254.172.10"


def test_link_local_addresses_begin_again_at_their_end() -> None:
    addresses = LinkLocal()
    addresses.note({"kaiun.task": "t1", "kaiun.container": "web", LABEL: "169.254.255.253"})
    assert addresses.claim("t2", "web") == "169.254.172.1"
