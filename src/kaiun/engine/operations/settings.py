"""ECS account settings."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import paged
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

DEFAULTS = {
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "containerInstanceLongArnFormat": "enabled",
    "defaultLogDriverMode": "non-blocking",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "serviceLongArnFormat": "enabled",
    "tagResourceAuthorization": "off",
    "taskLongArnFormat": "enabled",
}

_SWITCH = ("enabled", "disabled", "on", "off")
_ALLOWED: dict[str, tuple[str, ...]] = {
    "containerInsights": ("enabled", "disabled", "enhanced", "on", "off"),
    "defaultLogDriverMode": ("blocking", "non-blocking"),
    "fargateTaskRetirementWaitPeriod": ("0", "7", "14"),
    "guardDutyActivate": (),
    "tagResourceAuthorization": ("on", "off"),
}


def value_for_all(world: World, name: str) -> str:
    """Return what a setting is for the account: its own, or ECS's default."""
    stored = world.settings.get(name)
    return str(stored["value"]) if stored else DEFAULTS[name]


def _setting(world: World, principal: str, name: str) -> Doc | None:
    """Return what holds for a principal: its own setting, the account's, or ECS's default."""
    stored = world.settings.get(_key(world, principal, name)) or world.settings.get(name)
    value = stored["value"] if stored else DEFAULTS.get(name)
    if value is None:
        return None
    kind = "aws_managed" if name == "guardDutyActivate" else "user"
    return {"name": name, "value": value, "principalArn": principal, "type": kind}


def _key(world: World, principal: str, name: str) -> str:
    """Return a setting's key; those of the root user are the account's own."""
    return name if principal == world.identity.root else f"{principal} {name}"


def _principal(world: World, params: Params) -> str:
    principal: str = params.get("principalArn", world.identity.root)
    if not principal.startswith("arn:"):
        raise invalid_parameter(f"The principal ARN {principal!r} is invalid.")
    return principal


@operation("ecs", "ListAccountSettings")
def list_account_settings(world: World, params: Params) -> Params:
    principal = _principal(world, params)
    names = [params["name"]] if "name" in params else sorted(DEFAULTS)
    effective = params.get("effectiveSettings", False)
    shown = [
        setting
        for name in names
        if (effective or _key(world, principal, name) in world.settings)
        and (setting := _setting(world, principal, name))
    ]
    wanted = params.get("value")
    return paged("settings", [s for s in shown if wanted in (None, s["value"])], params)


@operation("ecs", "PutAccountSetting")
def put_account_setting(world: World, params: Params) -> Params:
    name, value = params["name"], params["value"]
    allowed = _ALLOWED.get(name, _SWITCH)
    if not allowed:
        raise invalid_parameter(f"The setting {name} is managed by AWS and cannot be changed.")
    if value not in allowed:
        raise invalid_parameter(
            f"Invalid value {value!r} for the account setting {name}. It must be one of: "
            f"{', '.join(allowed)}."
        )
    principal = _principal(world, params)
    world.settings[_key(world, principal, name)] = {"name": name, "value": value}
    return {"setting": _setting(world, principal, name)}


@operation("ecs", "PutAccountSettingDefault")
def put_account_setting_default(world: World, params: Params) -> Params:
    return put_account_setting(world, params)


@operation("ecs", "DeleteAccountSetting")
def delete_account_setting(world: World, params: Params) -> Params:
    name, principal = params["name"], _principal(world, params)
    key = _key(world, principal, name)
    if key in world.settings:
        del world.settings[key]
    return {
        "setting": _setting(world, principal, name) or {"name": name, "principalArn": principal}
    }
