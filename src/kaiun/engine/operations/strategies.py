"""deploymentConfiguration: what is refused, what ECS fills in, and the procedure that follows."""

from __future__ import annotations

import json
from typing import Any

from kaiun.engine.dispatch import Params
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.scheduler.hooks import TIMEOUT_S, Hook, HookAction, HookKind
from kaiun.scheduler.stages import Early, Procedure, Strategy

_OWN = {
    Strategy.CANARY: (
        "canaryConfiguration", "canaryPercent", 0.1, 5.0, "canaryBakeTimeInMinutes", 10
    ),
    Strategy.LINEAR: ("linearConfiguration", "stepPercent", 3.0, 10.0, "stepBakeTimeInMinutes", 6),
}  # fmt: skip
_MAX_BAKE_MIN = 1440
_LAMBDA_ONLY = {"TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"}


def filled(given: Doc, *, daemon: bool = False, before: Doc | None = None) -> Doc:
    """Return a deploymentConfiguration as ECS gives it back."""
    defaults: dict[str, Any] = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 100 if daemon else 200,
        "minimumHealthyPercent": 0 if daemon else 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    merged = {**defaults, **(before or {}), **given}
    for strategy, (name, percent, _, share, bake, minutes) in _OWN.items():
        if merged["strategy"] == strategy:
            merged[name] = {percent: share, bake: minutes, **merged.get(name, {})}
        elif name not in given:
            merged.pop(name, None)  # of the strategy that was there before
    return merged


def procedure_of(configuration: Doc, alarms_s: float = 0.0) -> Procedure:
    """Return how a deployment with this configuration goes.

    `alarms_s` is the time that its alarms need to tell, the least that a rolling one bakes.
    """
    strategy = Strategy(configuration["strategy"])
    if strategy is Strategy.ROLLING:
        bake_s = max(configuration["bakeTimeInMinutes"] * 60.0, alarms_s)
        return Procedure(bake_s=bake_s, early=_early(configuration))
    percent, step_bake_s = 100.0, 0.0
    if strategy in _OWN:
        name, share, _, _, bake, _ = _OWN[strategy]
        percent = float(configuration[name][share])
        step_bake_s = configuration[name][bake] * 60.0
    return Procedure(
        strategy=strategy,
        percent=percent,
        step_bake_s=step_bake_s,
        bake_s=configuration["bakeTimeInMinutes"] * 60.0,
        hooks=tuple(_hook(hook) for hook in configuration.get("lifecycleHooks", ())),
    )


def _early(configuration: Doc) -> Early | None:
    criteria = configuration.get("earlySuccessCriteria", {})
    if not criteria.get("enable"):
        return None
    deferred = criteria["sourceServiceRevisionCleanup"] == "DEFERRED"
    return Early(criteria["healthyPercent"], deferred)


def _hook(doc: Doc) -> Hook:
    timeout = doc.get("timeoutConfiguration", {})
    minutes = timeout.get("timeoutInMinutes")
    return Hook(
        kind=HookKind(doc.get("targetType", "AWS_LAMBDA")),
        stages=tuple(doc["lifecycleStages"]),
        target=doc.get("hookTargetArn", ""),
        details=json.dumps(doc["hookDetails"]) if "hookDetails" in doc else "",
        timeout_s=TIMEOUT_S if minutes is None else minutes * 60.0,
        timeout_action=HookAction(timeout.get("action", "ROLLBACK")),
    )


def check_strategy(configuration: Doc, params: Params, *, daemon: bool) -> None:
    """Raise InvalidParameterException for a configuration that cannot be.

    `configuration` is the filled one, `params` what the service is made of: its loadBalancers and
    serviceConnectConfiguration.
    """
    strategy = Strategy(configuration["strategy"])
    _check_minutes("bakeTimeInMinutes", configuration["bakeTimeInMinutes"])
    _check_own(strategy, configuration)
    _check_alarms(configuration.get("alarms"))
    _check_early(strategy, configuration)
    for hook in configuration.get("lifecycleHooks", ()):
        _check_hook(hook)
    if strategy is Strategy.ROLLING:
        if configuration.get("lifecycleHooks"):
            raise invalid_parameter("Lifecycle hooks are not supported with ROLLING deployments.")
        return
    if daemon:
        raise invalid_parameter(f"The DAEMON scheduling strategy does not support {strategy}.")
    balancers = params.get("loadBalancers", ())
    connected = params.get("serviceConnectConfiguration", {}).get("enabled", False)
    if strategy in _OWN and not balancers and not connected:
        raise invalid_parameter(
            f"{strategy} deployments need a load balancer or Service Connect to shift traffic."
        )
    for balancer in balancers:
        _check_advanced(balancer.get("advancedConfiguration", {}), strategy)


def _check_own(strategy: Strategy, configuration: Doc) -> None:
    for owner, (name, percent, low, _, bake, _) in _OWN.items():
        own = configuration.get(name)
        if own is None:
            continue
        if owner is not strategy:
            raise invalid_parameter(f"{name} is only valid with the deployment strategy {owner}.")
        tenths = round(own[percent] * 10, 6)
        if not (low <= own[percent] <= 100.0 and tenths == int(tenths)):
            raise invalid_parameter(f"{percent} must be a multiple of 0.1 from {low} to 100.0.")
        _check_minutes(bake, own[bake])


def _check_minutes(name: str, minutes: int) -> None:
    if not 0 <= minutes <= _MAX_BAKE_MIN:
        raise invalid_parameter(f"{name} must be 0 to {_MAX_BAKE_MIN} minutes.")


def _check_alarms(alarms: Doc | None) -> None:
    if alarms is not None and alarms["enable"] and not alarms["alarmNames"]:
        raise invalid_parameter("At least one alarm name is required when alarms are enabled.")


def _check_early(strategy: Strategy, configuration: Doc) -> None:
    criteria = configuration.get("earlySuccessCriteria", {})
    if not criteria.get("enable"):
        return
    if strategy is not Strategy.ROLLING:
        raise invalid_parameter(
            "earlySuccessCriteria is only valid with the deployment strategy ROLLING."
        )
    for name in ("healthyPercent", "sourceServiceRevisionCleanup"):
        if name not in criteria:
            raise invalid_parameter(f"{name} is required when earlySuccessCriteria is enabled.")
    if criteria["healthyPercent"] < configuration["minimumHealthyPercent"]:
        raise invalid_parameter(
            "healthyPercent must be greater than or equal to minimumHealthyPercent."
        )


def _check_hook(hook: Doc) -> None:
    stages = hook.get("lifecycleStages")
    if not stages:
        raise invalid_parameter("A lifecycle hook needs at least one lifecycle stage.")
    if hook.get("targetType", "AWS_LAMBDA") == "PAUSE":
        if wrong := sorted(_LAMBDA_ONLY & set(stages)):
            raise invalid_parameter(f"PAUSE hooks cannot be configured at {wrong[0]}.")
    elif not hook.get("hookTargetArn"):
        raise invalid_parameter("An AWS_LAMBDA lifecycle hook needs a hookTargetArn.")


def _check_advanced(advanced: Doc, strategy: Strategy) -> None:
    for name in ("alternateTargetGroupArn", "productionListenerRule", "roleArn"):
        if not advanced.get(name):
            raise invalid_parameter(
                f"advancedConfiguration.{name} is required in a load balancer of a service with "
                f"the deployment strategy {strategy}."
            )
