"""A plan as people read it: short, and without secrets."""

from __future__ import annotations

import json
from typing import Any

from support.deployed import app, everything, release

from kaiun.plan.desired import Desired, desired
from kaiun.plan.diff import MASK, changes
from kaiun.plan.live import Live
from kaiun.plan.plan import plan
from kaiun.plan.render import change_line, lines, to_json
from kaiun.plan.steps import Change
from kaiun.plan.taskdef import Place

SECRET = "hunter2-very-secret"


def wants(sha: str = "a", **env: str) -> Desired:
    web: dict[str, Any] = {"command": "puma", "port": 3000, "listen": 80, "env": env}
    tasks: dict[str, Any] = {"migrate": {"command": "rails db:migrate", "run": "before-deploy"}}
    return desired(app(processes={"web": web}, tasks=tasks), release(sha))


def test_new_commit_reads_as_a_list_of_differences() -> None:
    assert lines(plan(wants("b"), everything(wants("a")))) == [
        "register:",
        "  ~ register task definition shop-local-web",
        "      containers.web.image: localhost:5000/shop@sha256:aaaaaaaaaaaa"
        " → localhost:5000/shop@sha256:bbbbbbbbbbbb",
        f"      containers.web.environment.KAIUN_REVISION: {'a' * 40} → {'b' * 40}",
        "  ~ register task definition shop-local-migrate",
        "      containers.migrate.image: localhost:5000/shop@sha256:aaaaaaaaaaaa"
        " → localhost:5000/shop@sha256:bbbbbbbbbbbb",
        f"      containers.migrate.environment.KAIUN_REVISION: {'a' * 40} → {'b' * 40}",
        "before-deploy tasks:",
        "  > run task migrate",
        "      timeout: 600 s",
        "services:",
        "  ~ update service shop-local-web",
        "      taskDefinition: shop-local-web:1 → (new task definition web)",
    ]


def test_first_deploy_reads_as_a_list_of_what_is_made() -> None:
    text = lines(plan(wants(), Live(cluster=True, log_group=True)))
    assert text[:6] == [
        "provision:",
        "  + create target group shop-local-web",
        "      port: 3000",
        "      health: /",
        "  + create load balancer shop-local",
        "listeners:",
    ]
    assert '      containers.web.command: ["puma"]' in text


def test_nothing_to_do_is_said() -> None:
    assert lines(plan(wants(), everything(wants()))) == [
        "nothing to do: what is live is what kaiun.yml wants"
    ]


def test_secrets_are_shown_neither_as_text_nor_as_json() -> None:
    old = wants(SECRET_KEY_BASE="old-" + SECRET, DATABASE_URL=f"postgres://u:old{SECRET}@h/d")
    new = wants(SECRET_KEY_BASE=SECRET, DATABASE_URL=f"postgres://u:{SECRET}@h/d", API_TOKEN=SECRET)
    for live in (everything(old), Live(cluster=False)):
        found = plan(new, live)
        shown = "\n".join(lines(found)) + json.dumps(to_json(found), ensure_ascii=False)
        assert SECRET not in shown + repr(found.steps)
        assert MASK in shown
    text = lines(plan(new, everything(old)))
    assert f"      containers.web.environment.SECRET_KEY_BASE: {MASK} → {MASK} (changed)" in text
    assert f"      containers.web.environment.API_TOKEN: + {MASK}" in text


def test_secrets_of_a_container_that_goes_are_not_shown() -> None:
    gone = {"image": "envoy:1", "environment": {"API_TOKEN": SECRET, "LEVEL": "debug"}}
    assert change_line(Change("containers.proxy", gone, None)) == (
        'containers.proxy: - {"image": "envoy:1", "environment":'
        f' {{"API_TOKEN": "{MASK}", "LEVEL": "debug"}}}}'
    )


def test_secret_that_was_interpolated_is_hidden_wherever_it_stands() -> None:
    web: dict[str, Any] = {"command": ["puma", f"--x={SECRET}"], "env": {"PLAIN": SECRET}}
    wanted = desired(
        app(processes={"web": web}), release(), Place(hide=frozenset({SECRET, "a", "web"}))
    )
    found = plan(wanted, Live(cluster=True))
    assert SECRET not in "\n".join(lines(found)) + json.dumps(to_json(found)) + repr(found)
    assert f'      containers.web.command: ["puma", "--x={MASK}"]' in lines(found)


def test_json_tells_the_steps_with_their_differences() -> None:
    found: Any = to_json(plan(wants("b"), everything(wants("a"))))
    assert json.loads(json.dumps(found)) == found
    assert (found["empty"], [wave["name"] for wave in found["waves"]]) == (
        False,
        ["register", "before-deploy tasks", "services"],
    )
    (step,) = found["waves"][2]["steps"]
    assert (step["action"], step["name"]) == ("update-service", "web")
    assert step["changes"][0]["new"] == "(new task definition web)"


def test_lists_of_mappings_are_compared_item_by_item() -> None:
    old = {"a": [{"x": 1}, {"y": 2}], "b": [1], "c": 1}
    new = {"a": [{"x": 1}, {"y": 3}, {"z": 4}], "b": [2], "d": 1}
    assert changes(old, new) == (
        Change("a[1].y", 2, 3),
        Change("a[2]", None, {"z": 4}),
        Change("b", [1], [2]),
        Change("c", 1, None),
        Change("d", None, 1),
    )
