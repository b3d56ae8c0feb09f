"""What the API shows of a service deployment that is being rolled back."""

from __future__ import annotations

import pytest

from kaiun.engine.views import rollback_progress
from kaiun.scheduler.model import Deployment, RolloutState


@pytest.mark.parametrize(
    ("back", "state", "status"),
    [
        (True, RolloutState.IN_PROGRESS, "ROLLBACK_IN_PROGRESS"),
        (True, RolloutState.FAILED, "ROLLBACK_FAILED"),
        (False, RolloutState.COMPLETED, "ROLLBACK_SUCCESSFUL"),
        (False, RolloutState.IN_PROGRESS, "STOPPED"),
    ],
)
def test_a_rollback_ends_as_the_deployment_does_that_it_went_back_to(
    back: bool, state: RolloutState, status: str
) -> None:
    primary = Deployment("ecs-svc/1", "web:1", rollout_state=state, rolled_back_to=back)
    assert rollback_progress({}, primary)[0] == status
