"""A stack trace never hides its cause."""

from __future__ import annotations

from kaiun.deploy.lastwords import FRAMES_SHOWN, fold, last_words, start_failure

CAUSE = "/app/config/boot.rb:1:in `<main>': the anchor is missing (RuntimeError)"
FRAMES = [f"\tfrom /usr/lib/frame_{n}.rb:{n}:in `call'" for n in range(45)]


def test_cause_above_a_long_trace_is_among_the_last_lines() -> None:
    words = last_words(["booting", CAUSE, *FRAMES], 20)
    assert words[:2] == ("booting", CAUSE)
    assert words[-1] == f"\t… {45 - FRAMES_SHOWN} more lines"


def test_what_follows_the_trace_is_kept() -> None:
    assert last_words([CAUSE, *FRAMES, "bye"], 2)[-1] == "bye"


def test_short_indented_runs_and_plain_lines_stay_as_they_are() -> None:
    lines = ["a", *FRAMES[: FRAMES_SHOWN + 1], "b", "", "  c"]
    assert fold(lines) == lines
    assert last_words([str(n) for n in range(50)], 3) == ("47", "48", "49")


def test_frames_without_indent_are_folded_too() -> None:
    frames = [f"/usr/lib/ruby/frame_{n}.rb:{n}:in `call'" for n in range(30)]
    words = last_words(["the anchor is missing", *frames], 20)
    assert words[0] == "the anchor is missing"
    assert words[-1] == f"\t… {30 - FRAMES_SHOWN} more lines"


def test_line_of_a_start_that_failed_is_found() -> None:
    line = "kaiun: start failed at require: DATABASE_URL is not set"
    assert start_failure(["{}", line]) == line
    assert start_failure(["kaiun: web ended", "boom"]) == ""
