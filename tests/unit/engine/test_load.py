"""The file that tells the load of imagined services."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.engine.metrics.load import FILE, Load, Loads, read_loads


def test_load_is_told_by_service(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"c/web": {"cpu": 240, "requests": 1200}, "c/worker": {}}')
    loads = Loads(tmp_path).read()
    assert loads == {"c/web": Load(cpu=240, requests=1200), "c/worker": Load()}


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"c/web": 3}', '{"c/web": {"cpus": 1}}', '{"c/web": {"cpu": "1"}}',
     '{"c/web": {"cpu": -1}}', '{"c/web": {"cpu": true}}', '{"c/web": {"cpu": NaN}}'],
)  # fmt: skip
def test_what_is_no_load_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_loads(text)


def test_file_that_is_missing_or_wrong_tells_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loads = Loads(tmp_path)
    assert loads.read() == {}
    (tmp_path / FILE).write_text("[]")
    assert (loads.read(), loads.read()) == ({}, {})
    assert len(caplog.messages) == 1  # it is said once
