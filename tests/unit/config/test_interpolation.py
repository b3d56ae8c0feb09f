"""Placeholders: where their values come from, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kaiun.errors import ConfigErrors

from .conftest import Loaded

SHA = "0123456789abcdef0123456789abcdef01234567"


class FakeAws:
    """Answers as AWS would, and remembers what it was asked."""

    def __init__(self, **answers: Mapping[str, str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, kind: str, names: Sequence[str]) -> Mapping[str, str]:
        self.asked.append((kind, tuple(names)))
        return self.answers.get(kind, {})


def problems(caught: pytest.ExceptionInfo[ConfigErrors]) -> list[str]:
    return [problem.message for problem in caught.value.problems]


def test_variable_of_the_environment(loaded: Loaded) -> None:
    config = loaded('env: {URL: "https://${env:HOST}/${env:HOST}"}', environ={"HOST": "a.example"})
    assert config.env == {"URL": "https://a.example/a.example"}


def test_revision_is_filled_late(loaded: Loaded) -> None:
    body = 'env: {SHA: "${revision}"}'
    assert loaded(body).env == {"SHA": "${revision}"}
    assert loaded(body, revision=SHA).env == {"SHA": SHA}
    assert loaded(body).unresolved == ()


def test_file_is_relative_to_the_configuration(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("1.2.3\n")
    assert loaded('env: {VERSION: "${file:VERSION}"}').env == {"VERSION": "1.2.3"}


def test_two_dollars_escape(loaded: Loaded) -> None:
    body = 'env: {A: "$${env:A} $${", B: "$5", C: "$$", D: "$${A}-${env:X}"}'
    config = loaded(body, environ={"X": "x"})
    assert config.env == {"A": "${env:A} ${", "B": "$5", "C": "$$", "D": "${A}-x"}


@pytest.mark.parametrize(("value", "count"), [("3", 3), ("0", 0)])
def test_unquoted_placeholder_becomes_a_number(loaded: Loaded, value: str, count: int) -> None:
    body = "processes:\n  web:\n    command: puma\n    count: ${env:COUNT}\n"
    assert loaded(body, environ={"COUNT": value}).processes["web"].count == count


def test_value_is_never_read_as_yaml(loaded: Loaded) -> None:
    body = "env:\n  A: ${env:A}\n  B: ${env:B}\n"
    config = loaded(body, environ={"A": "007", "B": "{a: ~}"})
    assert config.env == {"A": "007", "B": "{a: ~}"}


def test_value_that_looks_like_a_placeholder_is_left_alone(loaded: Loaded) -> None:
    config = loaded('env: {A: "${env:A}"}', environ={"A": "${env:B}"})
    assert config.env == {"A": "${env:B}"}


def test_aws_is_asked_once_for_each_kind(loaded: Loaded) -> None:
    aws = FakeAws(
        ssm={"/a": "1", "/b": "2"}, secret={"shop/key": "hush"}, cfn={"vpc.Subnet": "subnet-1"}
    )
    body = """
    env: {A: "${ssm:/a}${ssm:/b}", B: "${ssm:/a}", KEY: "${secret:shop/key}"}
    network: {mode: awsvpc, subnets: ["${cfn:vpc.Subnet}"]}
    """
    config = loaded(body, resolve=aws)
    assert aws.asked == [
        ("ssm", ("/a", "/b")),
        ("secret", ("shop/key",)),
        ("cfn", ("vpc.Subnet",)),
    ]
    assert config.env == {"A": "12", "B": "1", "KEY": "hush"}
    assert config.network.subnets == ("subnet-1",)
    assert config.unresolved == ()


def test_what_aws_does_not_know_is_an_error_at_its_place(loaded: Loaded) -> None:
    aws = FakeAws(ssm={"/empty": ""})
    with pytest.raises(ConfigErrors) as caught:
        loaded('env: {A: "${ssm:/a}", B: "${ssm:/empty}", C: "${secret:c}"}', resolve=aws)
    assert problems(caught) == [
        "env/A: the SSM parameter /a does not exist",
        "env/B: the SSM parameter /empty is empty",
        "env/C: the secret c does not exist",
    ]
    assert caught.value.problems[0].where.endswith(":3:10")


def test_without_aws_its_placeholders_stay_and_are_named(loaded: Loaded) -> None:
    config = loaded("""
    env: {A: "${ssm:/a}"}
    processes:
      web:
        command: puma
        count: ${ssm:/count}
    environments: {local: {image: {repository: "${cfn:ecr.Uri}"}}}
    """)
    assert config.image.repository == "${cfn:ecr.Uri}"
    assert config.processes["web"].count == 1
    assert set(config.unresolved) == {"${cfn:ecr.Uri}", "${ssm:/a}", "${ssm:/count}"}


def test_only_the_environment_that_is_asked_for_is_looked_up(loaded: Loaded) -> None:
    body = """
    processes: {web: {command: puma}}
    environments:
      staging:
        env: {A: "${env:ONLY_IN_STAGING}"}
        processes:
          web:
            count: ${env:COUNT}
    """
    assert loaded(body).env == {}
    with pytest.raises(ConfigErrors) as caught:
        loaded(body, "staging")
    assert len(caught.value.problems) == 2


def test_overridden_placeholder_is_not_looked_up(loaded: Loaded) -> None:
    body = 'env: {A: "${env:UNSET}"}\nenvironments: {local: {env: {A: here}}}'
    assert loaded(body).env == {"A": "here"}


def test_errors_never_show_what_was_looked_up(loaded: Loaded) -> None:
    aws = FakeAws(secret={"count": "hunter2"})
    body = 'processes: {web: {command: puma, memory: "${secret:count}"}}'
    with pytest.raises(ConfigErrors) as caught:
        loaded(body, resolve=aws)
    problem = caught.value.problems[0]
    assert "hunter2" not in f"{problem} {problem.hint}"
    assert "got '${secret:count}'" in problem.message


def test_dump_masks_secrets(loaded: Loaded) -> None:
    aws = FakeAws(secret={"url": "postgres://shop:hunter2@db"})
    config = loaded('env: {URL: "${secret:url}/shop"}', resolve=aws)
    assert config.env["URL"] == "postgres://shop:hunter2@db/shop"
    assert "hunter2" not in str(config.dump())
    assert config.mask("to postgres://shop:hunter2@db") == "to •••"
