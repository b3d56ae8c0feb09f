"""Which capacity provider new tasks go to."""

from __future__ import annotations

from collections import Counter

import pytest

from kaiun.scheduler.capacity import Share, distribute

SPOT, PLAIN = "spot", "plain"


def share_out(shares: list[Share], count: int, **present: int) -> Counter[str]:
    return Counter(distribute(shares, present, count))


def test_bases_are_filled_first() -> None:
    shares = [Share(PLAIN, 1, base=3), Share(SPOT, 1)]
    assert share_out(shares, 3) == {PLAIN: 3}


def test_the_rest_goes_by_weight() -> None:
    shares = [Share(PLAIN, 1, base=2), Share(SPOT, 3)]
    assert share_out(shares, 10) == {PLAIN: 4, SPOT: 6}


def test_what_runs_already_counts() -> None:
    shares = [Share(PLAIN, 1), Share(SPOT, 1)]
    assert share_out(shares, 2, plain=4, spot=2) == {SPOT: 2}


def test_a_provider_of_weight_0_gets_its_base_alone() -> None:
    assert share_out([Share(PLAIN, 0, base=1), Share(SPOT, 1)], 5) == {PLAIN: 1, SPOT: 4}


def test_a_sole_provider_needs_no_weight() -> None:
    assert share_out([Share(PLAIN)], 3) == {PLAIN: 3}


def test_nothing_can_be_shared_out_without_weights() -> None:
    with pytest.raises(ValueError, match="weight"):
        distribute([Share(PLAIN), Share(SPOT)], {}, 1)
