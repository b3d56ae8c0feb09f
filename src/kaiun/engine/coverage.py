"""Write docs/reference/coverage.md: which operations of each service this engine implements.

python -m kaiun.engine.coverage > docs/reference/coverage.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from kaiun.engine import (
    cloudwatch,
    operations,  # noqa: F401  (registers the handlers)
)
from kaiun.engine.dispatch import HANDLERS
from kaiun.engine.protocol import model as models

_TITLES = {
    "application-autoscaling": "Application Auto Scaling",
    "ecs": "Amazon ECS",
    "ecr": "Amazon ECR",
    "elasticloadbalancing": "Elastic Load Balancing v2",
    "logs": "CloudWatch Logs",
    "monitoring": "Amazon CloudWatch",
    "scheduler": "EventBridge Scheduler",
    "servicediscovery": "AWS Cloud Map",
}
_HEAD = """\
# Coverage of the local ECS

<!-- Made by `python -m kaiun.engine.coverage`; a test checks that it is up to date. -->

Operations of the services that live in the engine itself, by botocore's models. One that is not
implemented answers with an error of the service's own protocol, which no client retries. Every
other service goes to [moto](https://docs.getmoto.org/en/latest/docs/services/index.html), as do
dashboards and insight rules of CloudWatch.
What differs from AWS within an operation: [local-ecs.md](local-ecs.md).
"""


def render() -> str:
    """Return the page."""
    sections = (line for name in models.SERVICES for line in _section(name))
    return "\n".join([_HEAD, *sections]).rstrip("\n") + "\n"


def _section(service: str) -> Iterator[str]:
    model = models.load(service)
    known = sorted(model.operations)
    ours = [name for name in known if (service, name) in HANDLERS]
    others = set(ours) | (cloudwatch.MOTOS if service == "monitoring" else set())
    yield f"## {_TITLES[service]}: {len(ours)} of {len(known)}\n"
    yield "Implemented: " + _listed(ours) + ".\n"
    yield "Not implemented: " + _listed([name for name in known if name not in others]) + ".\n"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(render())
