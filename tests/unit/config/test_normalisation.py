"""What people write, and what the rest of kaiun reads."""

from __future__ import annotations

import pytest

from kaiun.config import Build
from kaiun.config.values import BadValueError, to_argv, to_cpu_units, to_mib

from .conftest import Loaded


@pytest.mark.parametrize(
    ("written", "mib"),
    [(512, 512), ("512", 512), ("1 GB", 1024), ("0.5 GB", 512), ("2GB", 2048), ("1.5 gb", 1536)],
)
def test_memory_is_in_mib(written: object, mib: int) -> None:
    assert to_mib(written) == mib


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("512 mb", "write `memory: 512`"),
        ("1g", "write `memory: 1024`"),
        ("0.3333 GB", "write `memory: 341`"),
        (0.5, "write `memory: 512`"),
        ("lots", ""),
        ("", ""),
        (True, ""),
        (None, ""),
        ([512], ""),
    ],
)
def test_other_units_of_memory_are_refused_with_the_number_to_write(
    written: object, hint: str
) -> None:
    with pytest.raises(BadValueError, match="expected MiB or '<n> GB'") as caught:
        to_mib(written)
    assert caught.value.hint == hint


@pytest.mark.parametrize(("written", "units"), [(256, 256), ("0.25 vCPU", 256), ("2 vcpu", 2048)])
def test_cpu_is_in_units(written: object, units: int) -> None:
    assert to_cpu_units(written) == units


@pytest.mark.parametrize(
    ("written", "argv"),
    [
        ("bundle exec puma -C config/puma.rb", ("bundle", "exec", "puma", "-C", "config/puma.rb")),
        ("sh -c 'cd app && exec puma -p $PORT'", ("sh", "-c", "cd app && exec puma -p $PORT")),
        ('rails runner "puts 1; puts 2"', ("rails", "runner", "puts 1; puts 2")),
        (["sh", "-c", "a && b", "$HOME"], ("sh", "-c", "a && b", "$HOME")),
    ],
)
def test_command_is_split_as_a_shell_would(written: object, argv: tuple[str, ...]) -> None:
    assert to_argv(written) == argv


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3000", "3000"),
        ("3.10", "3.10"),
        ("0755", "0755"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("no", "no"),
        ("on", "on"),
        ("True", "True"),
        ("2026-01-02", "2026-01-02"),
        ("0x1F", "0x1F"),
        ("'007'", "007"),
        ('""', ""),
    ],
)
def test_variable_is_what_stands_in_the_file(loaded: Loaded, written: str, value: str) -> None:
    assert loaded(f"env: {{KEY: {written}}}").env == {"KEY": value}


def test_numbers_in_other_texts_are_what_stands_in_the_file(loaded: Loaded) -> None:
    config = loaded("""
    processes:
      web:
        command: [sleep, 1.50, true]
        image: {context: web, args: {RUBY: 3.30}}
        port: 80
        health: {path: /, matcher: 200}
    logs: {options: {max-file: 3}}
    """)
    web = config.processes["web"]
    assert web.command == ("sleep", "1.50", "true")
    assert isinstance(web.image, Build)
    assert web.image.args == {"RUBY": "3.30"}
    assert web.health
    assert web.health.matcher == "200"
    assert config.logs.options == {"max-file": "3"}


def test_names_that_yaml_1_1_takes_for_booleans_are_names(loaded: Loaded) -> None:
    config = loaded("processes: {on: {command: a}, no: {command: b}}\nenv: {Y: 1}")
    assert list(config.processes) == ["on", "no"]
    assert config.env == {"Y": "1"}


def test_health_path_is_short_for_a_mapping(loaded: Loaded) -> None:
    body = "processes: {{web: {{port: 80, health: {}}}}}"
    short, long = (loaded(body.format(form)) for form in ("/up", "{path: /up}"))
    assert short.processes == long.processes


def test_top_level_environment_goes_to_what_runs_the_image_of_the_app(loaded: Loaded) -> None:
    config = loaded("""
    env: {RAILS_ENV: production, URL: a}
    secrets: {KEY: /shop/key, TOKEN: /shop/token}
    processes:
      web: {command: puma, env: {TOKEN: mine}, secrets: {URL: /shop/url}}
      redis: {image: redis:7, env: {A: 1}}
    tasks:
      migrate: {command: rake}
    """)
    web, redis = config.processes["web"], config.processes["redis"]
    assert (web.env, web.secrets) == (
        {"RAILS_ENV": "production", "TOKEN": "mine"},
        {"KEY": "/shop/key", "URL": "/shop/url"},
    )
    assert (redis.env, redis.secrets) == ({"A": "1"}, {})
    assert config.tasks["migrate"].env == {"RAILS_ENV": "production", "URL": "a"}


def test_memory_has_a_default_unless_it_is_reserved(loaded: Loaded) -> None:
    config = loaded("""
    processes:
      web: {command: puma}
      worker: {command: sidekiq, memory_reservation: 256}
    """)
    assert [each.memory for each in config.processes.values()] == [512, None]
    assert config.processes["web"].cpu is None


def test_fargate_begins_with_its_smallest_task_and_awsvpc(loaded: Loaded) -> None:
    config = loaded("launch_type: FARGATE\nprocesses: {web: {command: puma}}")
    web = config.processes["web"]
    assert (web.cpu, web.memory, config.network.mode) == (256, 512, "awsvpc")


def test_root_is_the_folder_of_the_file(loaded: Loaded) -> None:
    config = loaded("")
    assert (config.root / "kaiun.yml").exists()
    assert config.root.is_absolute()


@pytest.mark.parametrize(
    ("check", "timeout"),
    [
        ("/up", 5),
        ("{path: /up, interval: 5}", 4),
        ("{path: /up, interval: 6}", 5),
        ("{command: pgrep puma, interval: 5}", 4),
        ("{path: /up, interval: 5, timeout: 2}", 2),
    ],
)
def test_a_timeout_that_nobody_asked_for_stays_below_the_interval(
    loaded: Loaded, check: str, timeout: int
) -> None:
    health = loaded(f"processes: {{web: {{port: 3000, health: {check}}}}}").processes["web"].health
    assert health
    assert health.timeout == timeout
