"""How an environment is merged over the top level."""

from __future__ import annotations

import pytest

from kaiun.errors import ConfigErrors

from .conftest import Loaded

SHOP = """
env: {RAILS_ENV: production, DEBUG: 1}
processes:
  web: {command: puma -C config/puma.rb, port: 3000, health: /up, count: 3}
  redis: {image: redis:7}
tasks:
  migrate: {command: rake db:migrate, needs: [redis]}
environments:
  staging:
    env: {RAILS_ENV: staging, DEBUG: null}
    processes:
      web: {count: null, health: {interval: 30}, command: [rackup]}
      redis: null
    tasks: {migrate: {needs: []}}
"""


def test_mappings_merge_key_by_key(loaded: Loaded) -> None:
    web = loaded(SHOP, "staging").processes["web"]
    assert (web.port, web.command) == (3000, ("rackup",))


def test_shorthand_of_the_top_level_takes_further_keys(loaded: Loaded) -> None:
    health = loaded(SHOP, "staging").processes["web"].health
    assert health
    assert (health.path, health.interval) == ("/up", 30)


def test_null_takes_a_key_away_and_its_default_applies(loaded: Loaded) -> None:
    config = loaded(SHOP, "staging")
    assert config.processes["web"].count == 1
    assert list(config.processes) == ["web"]
    assert config.env == {"RAILS_ENV": "staging"}


def test_lists_are_replaced(loaded: Loaded) -> None:
    assert loaded(SHOP, "staging").tasks["migrate"].needs == ()


def test_other_environments_change_nothing(loaded: Loaded) -> None:
    config = loaded(SHOP)
    assert config.env == {"RAILS_ENV": "production", "DEBUG": "1"}
    assert config.processes["web"].count == 3


@pytest.mark.parametrize("body", ["", "environments: {}", "environments: {local: null}"])
def test_local_is_there_even_when_nobody_declares_it(loaded: Loaded, body: str) -> None:
    config = loaded(body)
    assert (config.environment, config.is_local, config.provision) == ("local", True, True)
    assert (config.region, config.cluster, config.state) == (
        "us-east-1",
        "shop",
        "s3://kaiun-state",
    )


def test_environment_on_aws_provisions_nothing_by_itself(loaded: Loaded) -> None:
    config = loaded("environments: {staging: }", "staging")
    assert (config.is_local, config.provision, config.region, config.state) == (
        False,
        False,
        None,
        None,
    )
    assert config.logs.group == "/kaiun/shop/staging"


def test_any_environment_may_be_local(loaded: Loaded) -> None:
    config = loaded("environments: {laptop: {local: true, provision: false}}", "laptop")
    assert (config.is_local, config.provision) == (True, False)


def test_what_only_an_environment_gives_need_not_stand_at_the_top(loaded: Loaded) -> None:
    body = "environments: {staging: {processes: {web: {command: puma}}}}"
    assert list(loaded(body, "staging").processes) == ["web"]
    assert not loaded(body).processes


def test_error_in_a_merged_value_points_to_where_it_was_written(loaded: Loaded) -> None:
    body = """
    processes: {web: {command: puma, port: 3000}}
    environments:
      local:
        processes: {web: {health: {path: up}}}
    """
    with pytest.raises(ConfigErrors) as caught:
        loaded(body)
    problem = caught.value.problems[0]
    assert problem.where.endswith("kaiun.yml:7:38")
    assert problem.message.startswith("environments/local/processes/web/health/path: expected")


def test_anchors_and_merge_keys_share_what_processes_have_in_common(loaded: Loaded) -> None:
    body = """
    processes:
      web: &app {command: puma, memory: 256, env: {A: 1}}
      worker: {<<: *app, command: sidekiq}
      cron: {<<: [{memory: 128}, *app], command: cron}
    """
    worker, cron = (loaded(body).processes[name] for name in ("worker", "cron"))
    assert (worker.command, worker.memory, worker.env) == (("sidekiq",), 256, {"A": "1"})
    assert (cron.command, cron.memory) == (("cron",), 128)
