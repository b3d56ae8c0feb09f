"""Connecting: to the local ECS by its env.json, to AWS as every AWS tool does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.deployed import app
from support.fake_aws import fake_aws

from kaiun.aws.session import connect
from kaiun.errors import EngineError


def test_local_environment_without_an_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        connect(app(), home=tmp_path)
    assert caught.value.hint == "kaiun local up"


def test_local_environment_talks_to_the_engine_of_its_home(tmp_path: Path) -> None:
    with fake_aws({"DescribeClusters": lambda _: (200, {"clusters": []})}) as fake:
        env = {"endpoint": fake.url, "region": "us-east-1", "access_key": "a", "secret_key": "b"}
        (tmp_path / "env.json").write_text(json.dumps({**env, "fluent": "127.0.0.1:3"}))
        aws = connect(app(), home=tmp_path)
        assert (aws.is_local, aws.region) == (True, "us-east-1")
        assert aws.fluentd_address == "127.0.0.1:3"
        assert aws.ecs.describe_cluster("shop") is None
        assert len(fake.requests) == 1


def test_other_environments_talk_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert connect(app("staging", region="ap-northeast-1")).region == "ap-northeast-1"
    aws = connect(app("staging"))
    assert (aws.is_local, aws.region, aws.fluentd_address) == (False, "eu-west-1", None)
