"""What the API shows of a deployment that shifts traffic, and what its hooks are told."""

from __future__ import annotations

import json
from typing import Any

from kaiun.engine.store import Doc
from kaiun.scheduler.hooks import HookRun
from kaiun.scheduler.model import ServiceState
from kaiun.scheduler.shifting import Shares, shares


def show_lifecycle(service: Doc, state: ServiceState, doc: Doc) -> None:
    """Bring stage, hooks and weights of a service deployment in line with the state."""
    if doc["deploymentConfiguration"]["strategy"] == "ROLLING":
        return
    _show_weights(service, state, doc)
    shift = state.primary.shift
    own = doc["_"]["deployment"] == state.primary.id
    if shift is not None and (own or doc["status"].startswith("ROLLBACK")):
        doc["lifecycleStage"] = shift.stage.value
        doc["lifecycleHookDetails"] = [_detail(run) for run in shift.runs]


def _show_weights(service: Doc, state: ServiceState, doc: Doc) -> None:
    weights = by_revision(service, shares(state))
    for revision in (doc["targetServiceRevision"], *doc["sourceServiceRevisions"]):
        revision.update(weight_members(weights, revision["arn"]))


def by_revision(service: Doc, by_deployment: Shares) -> Shares:
    """Return shares by the ARN of the service revision instead of by deployment."""
    arns: dict[str, str] = service["_"]["revisions"]
    return Shares(
        {arns[d]: share for d, share in by_deployment.production.items() if d in arns},
        {arns[d]: share for d, share in by_deployment.test.items() if d in arns},
    )


def weight_members(weights: Shares, arn: str) -> Doc:
    """Return the members of a ServiceRevisionSummary that tell its shares."""
    return {
        "requestedTestTrafficWeight": weights.test.get(arn, 0.0),
        "requestedProductionTrafficWeight": weights.production.get(arn, 0.0),
    }


def _detail(run: HookRun) -> Doc:
    return {
        "hookId": run.id,
        "targetType": run.kind.value,
        "status": run.status.value,
        "expiresAt": run.expires_at,
        "timeoutAction": run.timeout_action.value,
        **({"targetArn": run.target} if run.target else {}),
    }


def payload(service: Doc, state: ServiceState, run: HookRun) -> dict[str, Any]:
    """Return what a hook's function is given. Source: developer guide, lifecycle payloads."""
    shift = state.primary.shift
    weights = by_revision(service, shares(state))
    return {
        "serviceArn": service["serviceArn"],
        "targetServiceRevisionArn": service["_"]["revisions"][state.primary.id],
        "testTrafficWeights": weights.test,
        "productionTrafficWeights": weights.production,
        "lifecycleStage": shift.stage.value if shift else None,
        **({"hookDetails": json.loads(run.details)} if run.details else {}),
    }
