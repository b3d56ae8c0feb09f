"""Releases that change the health check, on imagined containers whose checks know the path."""

from __future__ import annotations

import pytest
from support.cli_app import App, Yaml, config


def checked(path: str, answers: str, **changes: object) -> Yaml:
    """Return a kaiun.yml whose balancer asks for `path` and whose app answers at `answers`."""
    health = {"path": path, "interval": 5, "healthy": 2, "unhealthy": 2}
    labels = {"kaiun.null.path": answers}
    served = {"port": 3000, "listen": 18080, "drain": 0, "health": health, "grace": 0}
    return config("checked", labels, **served, **changes)


@pytest.mark.parametrize("deploy", [{}, {"minimum": 50}], ids=["code", "settings"])
def test_a_health_path_that_never_answers_goes_back_with_its_release(
    app: App, deploy: Yaml
) -> None:
    app.commit(checked("/up", "/up"))
    assert app.kaiun("deploy") == 0, app.err
    app.commit(checked("/healthz", "/nowhere", deploy=deploy))
    assert app.kaiun("deploy") == 3, app.err
    assert "is as it was" in app.err
    now = app.worker()
    assert (now["rollout"], now["running"]) == ("COMPLETED", 2)
    assert now["targets"] == {"healthy": 2}
