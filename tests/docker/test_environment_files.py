"""environmentFiles of task definitions and of RunTask: from S3 into real containers."""

from __future__ import annotations

import pytest
from support.engine import Engine, container
from support.real_tasks import shell, start

pytestmark = pytest.mark.docker

PRINT = 'echo "$A|$B|$C|$D"'


def env_file(key: str) -> dict[str, str]:
    return {"type": "s3", "value": f"arn:aws:s3:::settings/{key}"}


@pytest.fixture(scope="module")
def bucket(real: Engine) -> Engine:
    s3 = real.client("s3")
    s3.create_bucket(Bucket="settings")
    first = "# the first\n\nA=first file\nB='quoted'\n"
    s3.put_object(Bucket="settings", Key="a b/first.env", Body=first.encode())
    s3.put_object(Bucket="settings", Key="second.env", Body=b"A=second\nC=second\nD=second\n")
    return real


def test_first_file_wins_and_the_environment_over_all(bucket: Engine, image: str) -> None:
    app = shell(
        image,
        PRINT,
        environment=[{"name": "C", "value": "own"}],
        environmentFiles=[env_file("a b/first.env"), env_file("second.env")],
    )
    assert start(bucket, "env", app).said() == ["first file|'quoted'|own|second"]


def test_file_of_run_task_wins_over_those_of_the_definition(bucket: Engine, image: str) -> None:
    override = {"name": "app", "environmentFiles": [env_file("second.env")]}
    app = shell(image, PRINT, environmentFiles=[env_file("a b/first.env")])
    ran = start(bucket, "env", app, run={"overrides": {"containerOverrides": [override]}})
    assert ran.said() == ["second|'quoted'|second|second"]


@pytest.mark.parametrize(
    ("key", "said"), [("none.env", "NoSuchKey"), ("../elsewhere.env", "NoSuchKey")]
)
def test_file_that_is_missing_keeps_the_task_from_starting(
    bucket: Engine, image: str, key: str, said: str
) -> None:
    app = shell(image, PRINT, environmentFiles=[env_file(key)])
    stopped = start(bucket, "env", app).stopped()
    assert stopped["stopCode"] == "TaskFailedToStart"
    begun = "ResourceInitializationError: failed to download env files: "
    assert stopped["stoppedReason"].startswith(begun)
    assert stopped["stoppedReason"].endswith(
        f"unable to download env file with key {key} from bucket settings, error: {said}"
    )


def test_secret_that_is_missing_keeps_the_task_from_starting(bucket: Engine) -> None:
    app = container(secrets=[{"name": "A", "valueFrom": "/none"}])
    stopped = start(bucket, "secret", app).stopped()
    assert stopped["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth: ParameterNotFound"
    )
