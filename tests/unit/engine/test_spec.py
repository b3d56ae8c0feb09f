"""A task's document and definition become what the runtime is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from kaiun.engine import envfiles, spec
from kaiun.engine.operations.taskdefs import with_defaults
from kaiun.engine.runtime.base import ContainerSpec
from kaiun.engine.supplies import Supplies


def render(supplies: Supplies, override: dict[str, Any], **fields: Any) -> ContainerSpec:
    own = with_defaults({"name": "web", "image": "shop", "memory": 64, **fields}, "bridge")
    definition = {"family": "shop", "revision": 1, "volumes": [], "containerDefinitions": [own]}
    task = {
        "taskArn": "arn:task",
        "clusterArn": "arn:cluster/c",
        "overrides": {"containerOverrides": [{"name": "web", **override}]},
        "_": {"id": "0" * 32, "aliases": []},
    }
    (container,) = spec.render(task, definition, supplies, {}).containers
    return container


def files(*names: str) -> dict[str, Any]:
    return {"environmentFiles": [{"type": "s3", "value": f"arn:{name}"} for name in names]}


FILES = {
    "arn:one": {"A": "one", "B": "one"},
    "arn:two": {"A": "two", "C": "two", "D": "two", "E": "two"},
    "arn:run": {"C": "run", "D": "run"},
}


def test_variables_of_a_container_come_from_the_one_that_knows_best() -> None:
    """Overrides, secrets, the definition's own, the files of RunTask, then the first file."""
    supplies = Supplies(secrets={"/d": "secret"}, files=FILES)
    found = render(
        supplies,
        {"environment": [{"name": "F", "value": "override"}], **files("run")},
        environment=[{"name": "B", "value": "own"}, {"name": "F", "value": "own"}],
        secrets=[{"name": "D", "valueFrom": "/d"}],
        **files("one", "two"),
    ).environment
    assert found == {
        "A": "one", "B": "own", "C": "run", "D": "secret", "E": "two", "F": "override",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2", {"A": "1", "B": "2"}),
        ("# A=1\n\n#B=2\nC=3", {"C": "3"}),
        ("A=x=y", {"A": "x=y"}),
        ("A='q' # no comment", {"A": "'q' # no comment"}),
        ("A= b ", {"A": " b "}),
        ("A=", {"A": ""}),
        ("=1\nwhat is this\n", {}),
        ("export A=1", {"export A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=${B}\\n", {"A": "${B}\\n"}),
    ],
)
def test_environment_file_is_read_line_by_line_as_it_stands(
    text: str, expected: dict[str, str]
) -> None:
    assert envfiles.parse(text) == expected


@pytest.mark.parametrize(
    ("permissions", "expected"), [(None, "rwm"), ([], "rwm"), (["read"], "r"), (["write"], "w")]
)
def test_device_is_open_for_all_unless_something_is_said(
    permissions: list[str] | None, expected: str
) -> None:
    device: dict[str, Any] = {"hostPath": "/dev/fuse"}
    if permissions is not None:
        device["permissions"] = permissions
    found = render(Supplies(), {}, linuxParameters={"devices": [device]}).devices[0]
    assert (found.container_path, found.permissions) == ("/dev/fuse", expected)


def test_swappiness_counts_only_with_swap() -> None:
    without = render(Supplies(), {}, linuxParameters={"swappiness": 60})
    assert (without.swap_mib, without.swappiness) == (0, None)
    given = render(Supplies(), {}, linuxParameters={"swappiness": 60, "maxSwap": 128})
    assert (given.swap_mib, given.swappiness) == (128, 60)


def test_login_of_a_registry_is_never_shown() -> None:
    supplies = Supplies(logins={"arn:login": ("user", "hidden-word")})
    found = render(supplies, {}, repositoryCredentials={"credentialsParameter": "arn:login"})
    assert found.login == ("user", "hidden-word")
    assert "hidden-word" not in repr(found) + repr(supplies)
