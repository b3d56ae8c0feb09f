"""Task definitions rendered from kaiun.yml."""

from __future__ import annotations

from typing import Any, cast

from support.deployed import app, release

from kaiun.plan.taskdef import Place, render

WEB = {"command": "bundle exec puma", "port": 3000, "cpu": 512, "memory": 1024}


def rendered(process: dict[str, object], **keys: Any) -> dict[str, Any]:
    place = keys.pop("place", None)
    config = app(processes={"web": process}, **keys)
    return cast("dict[str, Any]", render(config, "web", release(), place))


def container(process: dict[str, object], **keys: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", rendered(process, **keys)["containerDefinitions"][0])


def environment(process: dict[str, object], **keys: Any) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container(process, **keys)["environment"]}


def test_process_becomes_one_container_of_its_own_name() -> None:
    assert rendered(WEB, logs={"driver": "none"}) == {
        "family": "shop-local-web",
        "networkMode": "bridge",
        "requiresCompatibilities": ["EC2"],
        "containerDefinitions": [
            {
                "name": "web",
                "image": "localhost:5000/shop@sha256:" + "a" * 64,
                "essential": True,
                "command": ["bundle", "exec", "puma"],
                "environment": [
                    {"name": "KAIUN_ENVIRONMENT", "value": "local"},
                    {"name": "KAIUN_REVISION", "value": "a" * 40},
                    {"name": "PORT", "value": "3000"},
                ],
                "stopTimeout": 30,
                "cpu": 512,
                "memory": 1024,
                "portMappings": [{"containerPort": 3000, "hostPort": 0, "protocol": "tcp"}],
            }
        ],
        "tags": [
            {"key": "kaiun:app", "value": "shop"},
            {"key": "kaiun:environment", "value": "local"},
            {"key": "kaiun:process", "value": "web"},
            {"key": "kaiun:revision", "value": "a" * 40},
            {"key": "kaiun:release", "value": "20260102-a"},
        ],
    }


def test_environment_of_the_process_wins_over_the_top_level_and_kaiun() -> None:
    process = {**WEB, "env": {"PORT": "4000", "A": "process"}}
    assert environment(process, env={"A": "top", "B": "top"}) == {
        "A": "process",
        "B": "top",
        "KAIUN_ENVIRONMENT": "local",
        "KAIUN_REVISION": "a" * 40,
        "PORT": "4000",
    }


def test_image_of_another_make_is_told_nothing_about_the_app() -> None:
    postgres = {"image": "postgres:17", "port": 5432, "env": {"PGDATA": "/data"}}
    assert environment(postgres, env={"RAILS_ENV": "production"}) == {"PGDATA": "/data"}
    assert container(postgres)["image"] == "postgres:17"


def test_image_built_for_one_process_comes_from_the_release() -> None:
    config = app(processes={"db": {"image": {"context": "docker/db"}}})
    request = cast("dict[str, Any]", render(config, "db", release(db="localhost:5000/shop-db@d")))
    assert request["containerDefinitions"][0]["image"] == "localhost:5000/shop-db@d"


def test_secret_takes_the_place_of_a_variable() -> None:
    found = container({**WEB, "secrets": {"PORT": "/shop/port", "KEY": "arn:aws:ssm:x"}})
    assert found["secrets"] == [
        {"name": "KEY", "valueFrom": "arn:aws:ssm:x"},
        {"name": "PORT", "valueFrom": "/shop/port"},
    ]
    assert [pair["name"] for pair in found["environment"]] == [
        "KAIUN_ENVIRONMENT",
        "KAIUN_REVISION",
    ]


def test_health_command_is_run_without_a_shell() -> None:
    health = {"command": "pg_isready -q", "interval": 7, "timeout": 3, "unhealthy": 4, "start": 9}
    assert container({**WEB, "health": health})["healthCheck"] == {
        "command": ["CMD", "pg_isready", "-q"],
        "interval": 7,
        "timeout": 3,
        "retries": 4,
        "startPeriod": 9,
    }


def test_health_command_in_the_form_of_ecs_is_kept() -> None:
    health = {"command": ["CMD-SHELL", "a || b"]}
    assert container({**WEB, "health": health})["healthCheck"]["command"] == ["CMD-SHELL", "a || b"]


def test_health_path_is_the_load_balancers_affair() -> None:
    assert "healthCheck" not in container({**WEB, "health": "/up"})


def test_awslogs_go_to_the_group_of_the_app_in_streams_of_the_family() -> None:
    config = app("staging", processes={"web": WEB}, logs={"driver": "awslogs"})
    request = render(config, "web", release(), Place(region="ap-northeast-1"))
    logs = cast("Any", request)["containerDefinitions"][0]["logConfiguration"]
    assert logs == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/kaiun/shop/staging",
            "awslogs-stream-prefix": "shop-staging-web",
            "awslogs-region": "ap-northeast-1",
        },
    }


def test_fluentd_is_asked_to_tag_lines_with_the_log_group() -> None:
    logs = {"driver": "fluentd", "options": {"fluentd-buffer-limit": "1mb"}}
    assert container(WEB, logs=logs)["logConfiguration"] == {
        "logDriver": "fluentd",
        "options": {
            "fluentd-address": "127.0.0.1:24224",
            "fluentd-async": "true",
            "fluentd-sub-second-precision": "true",
            "tag": "/kaiun/shop/local",
            "fluentd-buffer-limit": "1mb",
        },
    }


def test_fluentd_of_the_local_ecs_takes_the_place_of_the_default_address_only() -> None:
    place = Place(fluentd="127.0.0.1:33333")

    def address(logs: dict[str, object]) -> str:
        found = container(WEB, logs={"driver": "fluentd", **logs}, place=place)
        return str(found["logConfiguration"]["options"]["fluentd-address"])

    assert address({}) == "127.0.0.1:33333"
    assert address({"address": "logs.example.com:24224"}) == "logs.example.com:24224"


def test_service_connect_needs_a_name_for_the_port() -> None:
    assert container(WEB, service_connect="shop")["portMappings"][0]["name"] == "web"


def test_fargate_is_sized_by_task_and_has_its_own_address() -> None:
    network = {"subnets": ["subnet-1"]}
    request = rendered(WEB, launch_type="FARGATE", network=network)
    assert (request["networkMode"], request["cpu"], request["memory"]) == ("awsvpc", "512", "1024")
    assert request["runtimePlatform"]["cpuArchitecture"] == "X86_64"
    found = request["containerDefinitions"][0]
    assert "memory" not in found
    assert found["portMappings"] == [{"containerPort": 3000, "hostPort": 3000, "protocol": "tcp"}]


def test_passed_through_containers_are_merged_by_name() -> None:
    over = {
        "volumes": [{"name": "data"}],
        "containerDefinitions": [
            {"name": "web", "user": "app", "environment": [{"name": "PORT", "value": "1"}]},
            {"name": "sidecar", "image": "envoy:1"},
        ],
    }
    request = rendered({**WEB, "task_definition": over}, logs={"driver": "none"})
    web, sidecar = request["containerDefinitions"]
    assert (web["user"], web["memory"], sidecar["image"]) == ("app", 1024, "envoy:1")
    assert {pair["name"]: pair["value"] for pair in web["environment"]}["PORT"] == "1"
    assert request["volumes"] == [{"name": "data"}]


def test_null_takes_a_field_away_and_family_can_be_another() -> None:
    over = {"family": "legacy", "containerDefinitions": [{"name": "web", "stopTimeout": None}]}
    request = rendered({**WEB, "task_definition": over})
    assert request["family"] == "legacy"
    assert "stopTimeout" not in request["containerDefinitions"][0]


def test_task_is_rendered_like_a_process_without_ports() -> None:
    config = app(tasks={"migrate": {"command": "rails db:migrate"}}, logs={"driver": "none"})
    request = cast("dict[str, Any]", render(config, "migrate", release()))
    found = request["containerDefinitions"][0]
    assert request["family"] == "shop-local-migrate"
    assert found["command"] == ["rails", "db:migrate"]
    assert "portMappings" not in found


def test_environment_is_told_to_what_runs_the_image_of_the_app_alone() -> None:
    assert environment(WEB)["KAIUN_ENVIRONMENT"] == "local"
    assert "environment" not in container({"image": "redis:7"})


def test_command_says_which_process_it_is_where_the_start_has_steps() -> None:
    start = {"require": ["RAILS_ENV"]}
    words = ["web", "--", "bundle", "exec", "puma"]
    assert container(WEB, start=start)["command"] == words
    assert container({"port": 3000}, start=start)["command"] == ["web"]
    assert container({**WEB, "entrypoint": "tini"}, start=start)["command"] == words[2:]
    assert container({**WEB, "image": "puma:1"}, start=start)["command"] == words[2:]
    beside = {**WEB, "with": {"nginx": "nginx"}}
    assert container(beside)["command"] == words


def test_task_says_its_name_where_the_start_has_steps() -> None:
    tasks = {"migrate": {"command": "rake db:migrate"}}
    config = app(processes={}, tasks=tasks, start={"require": ["RAILS_ENV"]})
    request = cast("dict[str, Any]", render(config, "migrate", release()))
    words = ["tasks", "migrate", "--", "rake", "db:migrate"]
    assert request["containerDefinitions"][0]["command"] == words
