"""The shop, from a commit to orders that the worker confirms, through the whole command line.

One world serves the module; each test leaves the services on the first commit's behaviour and
undoes its own commits.
"""

from __future__ import annotations

import re
import subprocess
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from e2e.world import KAIUN, World, until
from support.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

DEPLOYS_IN_A_ROW = 10
HERO = "Good things, well shipped"
WRITES = re.compile(r"ecs:(Register|Create|Update|Run|Stop|Delete)\w*")


def order_something(world: World) -> str:
    """Place an order as a browser does, CSRF token and cookie; return the order's path."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    base = f"http://127.0.0.1:{world.web_port}"
    shelf = browser.open(base, timeout=10).read().decode()
    product = re.findall(r'href="(/products/[\w-]+)"', shelf)[0]
    page = browser.open(base + product, timeout=10).read().decode()
    form = page[page.index("order-form") - 200 :]
    token = re.findall(r'name="authenticity_token" value="([^"]+)"', form)[0]
    fields = {
        "authenticity_token": token.replace("&amp;", "&"),
        "order[customer_name]": "Ada",
        "order[email]": "ada@example.com",
        "order[quantity]": "2",
    }
    action = base + product + "/orders"
    answer = browser.open(action, urllib.parse.urlencode(fields).encode(), timeout=10)
    place: str = urllib.parse.urlsplit(answer.geturl()).path
    return place


def service_rows(world: World) -> dict[str, dict[str, object]]:
    """What ECS says of each service, by name; kaiun's own view is not asked."""
    arns = world.aws_json("ecs", "list-services", "--cluster", "shop")["serviceArns"]
    answer = world.aws_json("ecs", "describe-services", "--cluster", "shop", "--services", *arns)
    return {row["serviceName"]: row for row in answer["services"]}


def definitions(world: World) -> dict[str, object]:
    return {name: row["taskDefinition"] for name, row in service_rows(world).items()}


def status_of(world: World, process: str) -> dict[str, object]:
    rows: list[dict[str, object]] = world.kaiun("status", "--json").json()
    return next(row for row in rows if row["process"] == process)


def live_revision(world: World) -> str:
    """What the page itself says, in its footer."""
    found: list[str] = re.findall(r'<code title="(\w+)"', world.get())
    return found[0]


def test_an_order_is_placed_and_the_worker_confirms_it(shop: World) -> None:
    path = order_something(shop)
    page = until("the order is confirmed", lambda: _confirmed(shop, path), 60)
    assert re.search(r"Confirmation <strong>\S+</strong>", page)


def _confirmed(world: World, path: str) -> str:
    page = world.get(path)
    return page if 'data-order-status="confirmed"' in page else ""


def test_second_deploy_with_nothing_changed_writes_nothing(shop: World) -> None:
    before = definitions(shop)
    result = shop.kaiun("deploy", "--json")
    calls = result.json()["calls"]
    assert [name for name in calls if WRITES.match(name)] == []
    assert definitions(shop) == before


def test_ten_view_changes_are_served_and_no_request_fails(shop: World) -> None:
    with shop.branch_off():
        with Load(shop.web_port, look_for=("Fresh off the boat",)) as load:
            old = HERO
            for n in range(DEPLOYS_IN_A_ROW):
                new = f"Fresh off the boat {n}"
                shop.edit("app/views/products/index.html.erb", old, new)
                old = new
                shop.commit(f"Greet {n}")
                shop.kaiun("deploy")
                assert new in shop.get()
        assert load.report.failures == []
        assert load.report.ok >= 1000
        assert load.report.bodies_with["Fresh off the boat"] > 0
    shop.kaiun("deploy")


def test_crash_at_boot_is_explained_and_rolled_back(shop: World) -> None:
    before = definitions(shop)
    with shop.branch_off(), Load(shop.web_port) as load:
        broken = shop.shop / "config/initializers/zz_broken.rb"
        broken.write_text('raise "the anchor is missing" if ENV.key?("PORT")\n')
        shop.commit("Break the boot")
        result = shop.kaiun("deploy", expect=3)
    assert "the anchor is missing (RuntimeError)" in result.stderr
    assert "web" in result.stderr and "exit code 1" in result.stderr
    assert load.report.failures == []
    until("the services are as before", lambda: definitions(shop) == before)
    web = status_of(shop, "web")
    assert web["revision"] == live_revision(shop)
    assert (web["running"], web["rolled_back"]) == (2, True)
    assert HERO in shop.get()


def test_failing_migration_touches_no_service(shop: World) -> None:
    before = service_rows(shop)
    with shop.branch_off():
        migration = shop.shop / "db/migrate/20300101000000_sink.rb"
        migration.write_text(
            "class Sink < ActiveRecord::Migration[6.1]\n"
            '  def up\n    raise "the hull is leaking"\n  end\nend\n'
        )
        shop.commit("Break the migration")
        result = shop.kaiun("deploy", expect=3)
    assert "the hull is leaking" in result.stderr
    after = service_rows(shop)
    for name, row in before.items():
        assert after[name]["deployments"] == row["deployments"]


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("config/routes.rb", "[200, {", "[500, {", "unhealthy|[Hh]ealth checks failed"),
        ("kaiun.yml", "WEB_MEMORY", "WEB_MEMORY", "OutOfMemoryError"),
    ],
    ids=["health-never-green", "out-of-memory"],
)
def test_bad_release_is_explained_and_rolled_back(
    shop: World, path: str, old: str, new: str, said: str
) -> None:
    before = definitions(shop)
    with shop.branch_off(), Load(shop.web_port) as load:
        if old == "WEB_MEMORY":
            _starve_web(shop.shop / "kaiun.yml")
        else:
            shop.edit(path, old, new)
        shop.commit("A bad release")
        result = shop.kaiun("deploy", expect=3)
    assert re.search(said, result.stderr)
    assert load.report.failures == []
    assert definitions(shop) == before


def _starve_web(config: Path) -> None:
    """Give the web process too little memory to boot Rails."""
    text, count = re.subn(r"(\n  web:(?:\n    .*?)*?memory: )\d+", r"\g<1>48", config.read_text())
    assert count == 1
    config.write_text(text)


def test_rollout_survives_the_death_of_the_engine(shop: World) -> None:
    with shop.branch_off():
        shop.edit("app/views/products/index.html.erb", HERO, "After the storm")
        shop.commit("Storm")
        deploy = subprocess.Popen(
            [KAIUN, "deploy"],
            cwd=shop.shop,
            env=shop.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until("the rollout has begun", lambda: _rolling(shop), 240)
            shop.kill_engine()
        finally:
            deploy.terminate()
            deploy.wait(60)
        shop.up()
        until("the rollout finished", lambda: _steady(shop), 120)
        assert "After the storm" in shop.get()
        until("Docker runs what the API lists", lambda: listed(shop) == shop.containers(), 30)
    shop.kaiun("deploy")


def _rolling(world: World) -> bool:
    return len(service_rows(world)["shop-local-web"]["deployments"]) > 1  # type: ignore[arg-type]


def _steady(world: World) -> bool:
    rows = service_rows(world).values()
    return all(
        len(row["deployments"]) == 1  # type: ignore[arg-type]
        and row["deployments"][0]["rolloutState"] == "COMPLETED"  # type: ignore[index]
        for row in rows
    )


def listed(world: World) -> set[str]:
    """Runtime ids of the containers of all tasks that the API says are running."""
    arns = world.aws_json("ecs", "list-tasks", "--cluster", "shop")["taskArns"]
    answer = world.aws_json("ecs", "describe-tasks", "--cluster", "shop", "--tasks", *arns)
    return {c["runtimeId"] for task in answer["tasks"] for c in task["containers"]}


def test_aws_cli_lists_waits_runs_and_reads_the_exit_code(shop: World) -> None:
    clusters = shop.aws_json("ecs", "list-clusters")["clusterArns"]
    assert any(arn.endswith("cluster/shop") for arn in clusters)
    web = service_rows(shop)["shop-local-web"]
    assert web["runningCount"] == web["desiredCount"]
    shop_services = ("--cluster", "shop", "--services", "shop-local-web", "shop-local-worker")
    assert shop.aws("ecs", "wait", "services-stable", *shop_services).code == 0
    overrides = '{"containerOverrides":[{"name":"web","command":["sh","-c","exit 7"]}]}'
    run = shop.aws_json(
        "ecs",
        "run-task",
        "--cluster",
        "shop",
        "--overrides",
        overrides,
        "--task-definition",
        "shop-local-web",
    )
    arn = run["tasks"][0]["taskArn"]
    assert shop.aws("ecs", "wait", "tasks-stopped", "--cluster", "shop", "--tasks", arn).code == 0
    task = shop.aws_json("ecs", "describe-tasks", "--cluster", "shop", "--tasks", arn)["tasks"][0]
    assert task["containers"][0]["exitCode"] == 7
    assert task["stoppedReason"] == "Essential container in task exited"


def test_run_streams_the_output_and_returns_the_exit_code(shop: World) -> None:
    result = shop.kaiun("run", "--", "sh", "-c", "echo out of the tin; exit 7", expect=7)
    assert "out of the tin" in result.stdout + result.stderr


def test_exec_runs_in_a_container_that_serves(shop: World) -> None:
    runner = ("exec", "web", "--", "bundle", "exec", "rails", "runner")
    assert int(shop.kaiun(*runner, "print Product.count").stdout) > 0
    shop.kaiun(*runner, "exit 7", expect=7)


def test_logs_show_what_the_web_process_wrote(shop: World) -> None:
    assert "puma" in shop.kaiun("logs", "web").stdout.lower()


def test_scale_changes_the_count_and_deploy_keeps_it(shop: World) -> None:
    shop.kaiun("scale", "worker=2")
    assert service_rows(shop)["shop-local-worker"]["desiredCount"] == 2
    shop.kaiun("deploy")
    assert service_rows(shop)["shop-local-worker"]["desiredCount"] == 2
    shop.kaiun("scale", "worker=1")


def test_rollback_goes_back_to_the_release_before(shop: World) -> None:
    with shop.branch_off():
        shop.edit("app/views/products/index.html.erb", HERO, "A passing fancy")
        shop.commit("Fancy")
        shop.kaiun("deploy")
        assert "A passing fancy" in shop.get()
        shop.kaiun("rollback")
        assert HERO in shop.get()


def test_status_names_the_commit_that_is_live(shop: World) -> None:
    sha = shop.run("git", "rev-parse", "HEAD").stdout.strip()
    shop.kaiun("deploy")
    assert sha in shop.kaiun("status", "--json").stdout
