"""CloudWatch alarms, evaluated on data points that somebody puts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.awscli import aws
from support.engine import Engine, until

ERRORS: dict[str, Any] = {
    "AlarmName": "errors", "Namespace": "web", "MetricName": "errors", "Statistic": "Sum",
    "Period": 60, "EvaluationPeriods": 2, "Threshold": 10.0,
    "ComparisonOperator": "GreaterThanThreshold",
}  # fmt: skip
OLD = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, "null", "--time-scale", "120")  # a minute is half a second
    yield engine
    engine.shut_down()


@pytest.fixture
def watch(engine: Engine) -> Any:
    return engine.client("cloudwatch")


def alarm_of(watch: Any, name: str = "errors") -> dict[str, Any]:
    found: dict[str, Any] = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return found


def wait_state(watch: Any, state: str, name: str = "errors") -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        found = alarm_of(watch, name)
        return found if found["StateValue"] == state else None

    found = until(there)
    assert found is not None
    return found


@contextmanager
def putting(engine: Engine, name: str, value: float) -> Iterator[None]:
    """Put a data point all the time, as a program would that runs by the engine's clock."""
    watch, over = engine.client("cloudwatch"), threading.Event()

    def put() -> None:
        while not over.wait(0.03):
            datum = {"MetricName": name, "Value": value}
            watch.put_metric_data(Namespace="web", MetricData=[datum])

    thread = threading.Thread(target=put)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        watch.close()


def test_alarm_follows_its_metric_and_tells_why(fast: Engine) -> None:
    watch = fast.client("cloudwatch")
    watch.put_metric_alarm(**{**ERRORS, "Statistic": "Average"})
    assert alarm_of(watch)["StateReason"] == "Unchecked: Initial alarm creation"
    with putting(fast, "errors", 3):
        wait_state(watch, "OK")
    with putting(fast, "errors", 50):
        found = wait_state(watch, "ALARM")
    assert "2 out of the last 2 datapoints [50.0 (" in found["StateReason"]
    assert "were greater than the threshold (10.0)" in found["StateReason"]
    data = json.loads(found["StateReasonData"])
    assert (data["recentDatapoints"][-1], data["threshold"]) == (50, 10)
    found = wait_state(watch, "INSUFFICIENT_DATA")
    assert found["StateReason"] == "Insufficient Data: 2 datapoints were unknown."
    items = aws(fast, "cloudwatch", "describe-alarm-history", "--alarm-name", "errors")
    summaries = [item["HistorySummary"] for item in items["AlarmHistoryItems"]][::-1]
    assert summaries == [
        'Alarm "errors" created',
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to INSUFFICIENT_DATA",
    ]


def test_missing_data_counts_as_the_alarm_says(fast: Engine) -> None:
    watch = fast.client("cloudwatch")
    for kind in ("breaching", "notBreaching", "ignore"):
        watch.put_metric_alarm(**{**ERRORS, "AlarmName": kind, "TreatMissingData": kind})
    found = wait_state(watch, "ALARM", "breaching")
    assert "2 missing datapoints were treated as [Breaching]" in found["StateReason"]
    wait_state(watch, "OK", "notBreaching")
    assert alarm_of(watch, "ignore")["StateReason"] == "Unchecked: Initial alarm creation"


def test_metric_math_can_be_watched(fast: Engine) -> None:
    watch = fast.client("cloudwatch")
    metrics = [
        {"Id": name, "ReturnData": False, "MetricStat": {
            "Metric": {"Namespace": "web", "MetricName": name}, "Period": 60, "Stat": "Average"}}
        for name in ("bad", "all")
    ]  # fmt: skip
    rate = {"Id": "rate", "Expression": "100 * bad / all"}
    shared = ("AlarmName", "EvaluationPeriods", "ComparisonOperator")
    watch.put_metric_alarm(
        **{name: ERRORS[name] for name in shared}, Threshold=5.0, Metrics=[*metrics, rate]
    )
    with putting(fast, "bad", 6), putting(fast, "all", 100):
        assert "[6.0 (" in wait_state(watch, "ALARM")["StateReason"]
    assert "Dimensions" not in alarm_of(watch)


def test_a_state_that_was_set_holds_until_the_alarm_is_judged_again(fast: Engine) -> None:
    watch = fast.client("cloudwatch")
    watch.put_metric_alarm(**ERRORS)
    watch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a drill")

    def updates() -> list[dict[str, Any]]:
        found = watch.describe_alarm_history(
            HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
        )
        return [item for item in found["AlarmHistoryItems"] if item["AlarmName"] == "errors"]

    until(lambda: len(updates()) == 2)
    there, back = updates()
    assert json.loads(there["HistoryData"])["newState"]["stateReason"] == "a drill"
    assert back["HistorySummary"] == "Alarm updated from ALARM to INSUFFICIENT_DATA"
    assert back["Timestamp"] - there["Timestamp"] >= timedelta(minutes=1)


def test_alarms_survive_kill(own_engine: Engine) -> None:
    watch = own_engine.client("cloudwatch")
    watch.put_metric_alarm(**ERRORS, Tags=[{"Key": "team", "Value": "web"}])
    watch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="a drill")
    before, history = alarm_of(watch), watch.describe_alarm_history()["AlarmHistoryItems"]
    own_engine.kill()
    own_engine.start()
    watch = own_engine.client("cloudwatch")
    assert alarm_of(watch) == before
    assert watch.describe_alarm_history()["AlarmHistoryItems"] == history
    tags = watch.list_tags_for_resource(ResourceARN=before["AlarmArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "web"}]


def test_alarms_are_found_by_name_prefix_state_action_and_metric(watch: Any) -> None:
    action = "arn:aws:sns:us-east-1:000000000000:pager"
    for name in ("found-1", "found-2", "other"):
        watch.put_metric_alarm(**{**ERRORS, "AlarmName": name, "AlarmActions": [action]})
    watch.set_alarm_state(AlarmName="found-2", StateValue="ALARM", StateReason="test")

    def names(**asked: Any) -> list[str]:
        found = watch.describe_alarms(**asked)["MetricAlarms"]
        return [alarm["AlarmName"] for alarm in found]

    assert names(AlarmNamePrefix="found-") == ["found-1", "found-2"]
    assert names(AlarmNamePrefix="found-", StateValue="ALARM") == ["found-2"]
    assert set(names(ActionPrefix="arn:aws:sns")) == {"found-1", "found-2", "other"}
    assert names(AlarmTypes=["CompositeAlarm"]) == []
    first = watch.describe_alarms(AlarmNamePrefix="found-", MaxRecords=1)
    rest = watch.describe_alarms(AlarmNamePrefix="found-", NextToken=first["NextToken"])
    assert rest["MetricAlarms"][0]["AlarmName"] == "found-2"
    found = watch.describe_alarms_for_metric(Namespace="web", MetricName="errors")["MetricAlarms"]
    assert {"found-1", "found-2", "other"} <= {alarm["AlarmName"] for alarm in found}
    watch.disable_alarm_actions(AlarmNames=["other"])
    assert not alarm_of(watch, "other")["ActionsEnabled"]
    watch.delete_alarms(AlarmNames=["found-1", "found-2", "other"])
    assert names(AlarmNamePrefix="found-") == []


def test_composite_alarm_follows_the_alarms_of_its_rule_at_once(watch: Any) -> None:
    for name in ("left", "right"):
        watch.put_metric_alarm(**{**ERRORS, "AlarmName": name})
    rule = "ALARM(left) AND NOT OK(right)"
    watch.put_composite_alarm(AlarmName="both", AlarmRule=rule)
    watch.put_composite_alarm(AlarmName="above", AlarmRule='ALARM("both")')

    def states() -> list[str]:
        found = watch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return [alarm["StateValue"] for alarm in found]

    assert states() == ["OK", "OK"]
    watch.set_alarm_state(AlarmName="left", StateValue="ALARM", StateReason="test")
    assert states() == ["ALARM", "ALARM"]
    watch.set_alarm_state(AlarmName="right", StateValue="OK", StateReason="test")
    assert states() == ["OK", "OK"]
    [both] = watch.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ]
    assert ":alarm:right transitioned to OK at " in both["StateReason"]
    below = watch.describe_alarms(ChildrenOfAlarmName="both")
    assert [alarm["AlarmName"] for alarm in below["MetricAlarms"]] == ["left", "right"]
    over = watch.describe_alarms(ParentsOfAlarmName="both")["CompositeAlarms"]
    assert [alarm["AlarmName"] for alarm in over] == ["above"]
    for wrong, code in (
        ({"AlarmName": "both", "AlarmRule": "ALARM(above)"}, "ValidationError"),
        ({"AlarmName": "both", "AlarmRule": "ALARM(nobody)"}, "ValidationError"),
        ({"AlarmName": "both", "AlarmRule": "ALARM(left"}, "ValidationError"),
        ({"AlarmName": "left", "AlarmRule": "ALARM(right)"}, "ValidationError"),
    ):
        with pytest.raises(ClientError) as refused:
            watch.put_composite_alarm(**wrong)
        assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="used by composite alarm"):
        watch.delete_alarms(AlarmNames=["left"])
    watch.delete_alarms(AlarmNames=["left", "right", "both", "above"])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"TreatMissingData": "never"}, "ValidationError"),
        ({"DatapointsToAlarm": 3}, "ValidationError"),
        ({"EvaluateLowSampleCountPercentile": "never"}, "ValidationError"),
        ({"Period": 61}, "ValidationError"),
        ({"EvaluationPeriods": 1441}, "ValidationError"),
        ({"ExtendedStatistic": "p90"}, "InvalidParameterCombination"),
        ({"AlarmActions": ["pager"]}, "ValidationError"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "ValidationError"),
        ({"Metrics": [{"Id": "a", "Expression": "1"}]}, "InvalidParameterCombination"),
    ],
)
def test_alarm_that_cannot_be_is_refused(watch: Any, wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        watch.put_metric_alarm(**{**ERRORS, **wrong})
    assert refused.value.response["Error"]["Code"] == code


def test_alarm_that_is_not_there_is_not_found(watch: Any) -> None:
    with pytest.raises(ClientError) as refused:
        watch.set_alarm_state(AlarmName="nobody", StateValue="OK", StateReason="r")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    arn = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:nobody"
    assert watch.list_tags_for_resource(ResourceARN=arn)["Tags"] == []
    with pytest.raises(ClientError) as refused:
        watch.tag_resource(ResourceARN=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_alarms_are_deleted_all_or_none(watch: Any) -> None:
    watch.put_metric_alarm(**{**ERRORS, "AlarmName": "stays"})
    watch.delete_alarms(AlarmNames=["stays", "nobody"])
    assert alarm_of(watch, "stays")
    watch.delete_alarms(AlarmNames=["stays"])
    assert watch.describe_alarms(AlarmNames=["stays"])["MetricAlarms"] == []


def test_history_goes_back_only_as_far_as_asked(watch: Any) -> None:
    watch.put_metric_alarm(**{**ERRORS, "AlarmName": "past"})
    items = watch.describe_alarm_history(AlarmName="past", EndDate=OLD)["AlarmHistoryItems"]
    assert items == []
    items = watch.describe_alarm_history(AlarmName="past", StartDate=OLD)["AlarmHistoryItems"]
    assert [item["HistoryItemType"] for item in items] == ["ConfigurationUpdate"]
    assert items[0]["Timestamp"] - datetime.now(UTC) < timedelta(minutes=1)
