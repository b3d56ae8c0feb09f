from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.aws_fake import MemoryS3

from kaiun.deploy.lock import EXPIRY_S, KEY, Owner, locked
from kaiun.deploy.state import State
from kaiun.errors import AwsError, DeployLocked

ANN = Owner("ann", "build-1", 100, "R1", time=1000.0, expires=1000.0 + EXPIRY_S)
BOB = Owner("bob", "laptop", 200, "R2", time=1500.0, expires=1500.0 + EXPIRY_S)


def state(s3: MemoryS3, *, provision: bool = False) -> State:
    return State(s3.as_s3(), "bucket", "kaiun/shop/local/", provision)


def nobody(_pid: int) -> bool:
    return False


def everybody(_pid: int) -> bool:
    return True


def test_the_lock_is_there_while_held_and_gone_afterwards() -> None:
    s3 = MemoryS3("bucket")
    with locked(state(s3), ANN, clock=lambda: 1000.0):
        stored = s3.buckets["bucket"]["kaiun/shop/local/lock.json"]
        assert json.loads(stored.body)["owner"] == "ann"
    assert s3.buckets["bucket"] == {}
    assert [c for c in s3.calls if c != "put"] == ["put_if_absent", "delete"]


def test_a_second_deployer_is_refused_and_told_who_holds_it() -> None:
    s3 = MemoryS3("bucket")
    with locked(state(s3), ANN, clock=lambda: 1000.0):
        with (
            pytest.raises(DeployLocked, match=r"ann@build-1 \(process 100\) deploys R1") as caught,
            locked(state(s3), BOB, clock=lambda: 1500.0),
        ):
            pass
        assert caught.value.exit_code == 5
        assert caught.value.where == "s3://bucket/kaiun/shop/local/lock.json"
        assert KEY in s3.list("bucket", "")[0]


def test_an_expired_lock_is_taken() -> None:
    s3 = MemoryS3("bucket")
    late = ANN.expires + 1
    state(s3).put_if_absent(KEY, json.dumps({n: getattr(ANN, n) for n in Owner.__slots__}).encode())
    with locked(state(s3), replace(BOB, time=late, expires=late + 9), clock=lambda: late):
        stored = s3.buckets["bucket"]["kaiun/shop/local/lock.json"]
        assert json.loads(stored.body)["owner"] == "bob"


@pytest.mark.parametrize(("is_alive", "taken"), [(nobody, True), (everybody, False)])
def test_a_lock_of_a_dead_process_of_this_machine_is_taken(is_alive: object, taken: bool) -> None:
    s3 = MemoryS3("bucket")
    neighbour = replace(BOB, host=ANN.host)
    state(s3).put_if_absent(KEY, json.dumps({n: getattr(ANN, n) for n in Owner.__slots__}).encode())
    refused = False
    try:
        with locked(state(s3), neighbour, clock=lambda: 1500.0, is_alive=is_alive):  # type: ignore[arg-type]
            pass
    except DeployLocked:
        refused = True
    assert refused is not taken


def test_a_lock_that_cannot_be_read_is_taken() -> None:
    s3 = MemoryS3("bucket")
    state(s3).put_if_absent(KEY, b"{}")
    with locked(state(s3), BOB, clock=lambda: 1500.0):
        pass


def test_the_lock_of_whoever_took_over_an_expired_one_stays() -> None:
    s3 = MemoryS3("bucket")
    times = iter([1000.0, ANN.expires + 10])
    with locked(state(s3), ANN, clock=lambda: next(times)):
        s3.put("bucket", "kaiun/shop/local/lock.json", b'{"owner": "bob"}')
    assert s3.list("bucket", "") == ["kaiun/shop/local/lock.json"]


def test_the_lock_goes_back_when_the_deploy_fails() -> None:
    s3 = MemoryS3("bucket")
    with pytest.raises(ValueError, match="boom"), locked(state(s3), ANN, clock=lambda: 1000.0):
        raise ValueError("boom")
    assert s3.list("bucket", "") == []


def test_without_a_state_bucket_there_is_no_lock() -> None:
    with locked(None, ANN):
        pass


def test_a_missing_bucket_is_made_only_where_kaiun_provisions() -> None:
    s3 = MemoryS3()
    with locked(state(s3, provision=True), ANN, clock=lambda: 1000.0):
        assert list(s3.buckets) == ["bucket"]
    with (
        pytest.raises(AwsError, match="no such bucket"),
        locked(state(MemoryS3()), ANN, clock=lambda: 1000.0),
    ):
        pass
