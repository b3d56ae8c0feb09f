"""CloudWatch Logs: groups, and the events of streams."""

from __future__ import annotations

from typing import cast

from kaiun.aws.caller import Answer, Caller
from kaiun.aws.types import LogEvent, LogPage
from kaiun.errors import AwsError

NOT_FOUND = "ResourceNotFoundException"


class Logs:
    """Every method raises AwsError; a group or stream that is not there yet is empty."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def group_exists(self, group: str) -> bool:
        answer = self._call("describe_log_groups", {"logGroupNamePrefix": group}, group)
        groups = cast("list[dict[str, object]]", answer.get("logGroups", []))
        return any(item.get("logGroupName") == group for item in groups)

    def create_group(self, group: str) -> None:
        """Create a log group; one that exists is left as it is."""
        try:
            self._call("create_log_group", {"logGroupName": group}, group)
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    def read(self, group: str, stream: str, *, token: str = "", limit: int = 1000) -> LogPage:
        """Return the next events of one stream, oldest first; give `token` back to go on.

        A page without events means: nothing new yet (GetLogEvents).
        """
        params: dict[str, object] = {"startFromHead": True, "limit": limit}
        if token:
            params["nextToken"] = token
        return self._events(group, stream, params, token)

    def last(self, group: str, stream: str, limit: int = 20) -> tuple[LogEvent, ...]:
        """Return the last events of one stream, oldest first."""
        return self._events(group, stream, {"startFromHead": False, "limit": limit}, "").events

    def _events(self, group: str, stream: str, params: dict[str, object], token: str) -> LogPage:
        wanted = {"logGroupName": group, "logStreamName": stream, **params}
        try:
            answer = self._call("get_log_events", wanted, f"{group} {stream}")
        except AwsError as error:
            if error.code == NOT_FOUND:
                return LogPage((), token)
            raise
        return LogPage(_log_events(answer, stream), str(answer.get("nextForwardToken", "")))

    def search(
        self,
        group: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        stream_prefix: str = "",
        pattern: str = "",
        token: str = "",
        limit: int = 1000,
    ) -> LogPage:
        """Return events of all streams of a group, by time; `token` "" on the last page.

        (FilterLogEvents)
        """
        chosen = {
            "startTime": start_ms,
            "endTime": end_ms,
            "logStreamNamePrefix": stream_prefix or None,
            "filterPattern": pattern or None,
            "nextToken": token or None,
        }
        params: dict[str, object] = {"logGroupName": group, "limit": limit}
        params |= {key: value for key, value in chosen.items() if value is not None}
        try:
            answer = self._call("filter_log_events", params, group)
        except AwsError as error:
            if error.code == NOT_FOUND:
                return LogPage((), "")
            raise
        return LogPage(_log_events(answer, ""), str(answer.get("nextToken", "")))

    def streams(self, group: str, prefix: str) -> list[str]:
        """Return the names of the streams that begin with `prefix`."""
        params = {"logGroupName": group, "logStreamNamePrefix": prefix}
        try:
            pages = self._caller.pages("logs", "describe_log_streams", params, where=group)
        except AwsError as error:
            if error.code == NOT_FOUND:
                return []
            raise
        found = [one for page in pages for one in cast("list[Answer]", page["logStreams"])]
        return [str(stream["logStreamName"]) for stream in found]

    def _call(self, operation: str, params: dict[str, object], where: str) -> Answer:
        return self._caller.call("logs", operation, params, where=where)


def _log_events(answer: Answer, stream: str) -> tuple[LogEvent, ...]:
    events = cast("list[dict[str, object]]", answer.get("events", []))
    return tuple(
        LogEvent(
            timestamp_ms=int(str(event.get("timestamp", 0))),
            message=str(event.get("message", "")),
            stream=str(event.get("logStreamName", stream)),
        )
        for event in events
    )
