"""The shop's start: one image for three environments, keys, and a wrong one."""

from __future__ import annotations

import re

import pytest
from e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

KEY = re.compile(r"KAIUN_SECRETS_KEY: ([0-9a-f]{64})")


def digest(world: World) -> str:
    services = world.aws_json(
        "ecs", "describe-task-definition", "--task-definition", "shop-local-web"
    )
    image: str = services["taskDefinition"]["containerDefinitions"][0]["image"]
    return image


def test_one_image_starts_in_every_environment_that_it_has_the_key_of(shop: World) -> None:
    image = digest(shop)
    given = KEY.search((shop.shop / "kaiun.yml").read_text())
    assert given
    common = ("-e", "DATABASE_URL=postgres://a", "-e", "REDIS_URL=redis://b")
    for environment, code in (("local", 0), ("staging", 67), ("production", 67), ("test", 64)):
        told = (
            *common,
            "-e",
            f"KAIUN_ENVIRONMENT={environment}",
            "-e",
            f"KAIUN_SECRETS_KEY={given[1]}",
        )
        done = shop.run("docker", "run", "--rm", *told, image, "cat", "config/secrets.yml")
        assert done.code == code, done.stderr
        if code == 67:
            line = f"config/secrets/{environment}.yml: $.production.secret_key_base: was encrypted"
            assert line in done.stderr.splitlines()[-1]
    assert (
        "admin_password: development-only"
        in shop.run(
            *("docker", "run", "--rm", *common, "-e", "KAIUN_ENVIRONMENT=local"),
            *("-e", f"KAIUN_SECRETS_KEY={given[1]}", image, "cat", "config/secrets.yml"),
        ).stdout
    )


def test_wrong_key_stops_the_task_and_deploy_shows_that_line(shop: World) -> None:
    with shop.branch_off():
        config = shop.shop / "kaiun.yml"
        config.write_text(KEY.sub(f"KAIUN_SECRETS_KEY: {'0' * 64}", config.read_text()))
        shop.commit("Lose the key")
        result = shop.kaiun("deploy", expect=3)
    error = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert "kaiun: start failed at secrets config/secrets/local.yml: $.production." in error
    assert "0" * 64 not in result.stdout + result.stderr
    assert "Good things" in shop.get()
