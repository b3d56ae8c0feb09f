"""Service models as botocore ships them, read without importing botocore, and without prose."""

from __future__ import annotations

import gzip
import importlib.util
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

Shape = dict[str, Any]

# signing name → (directory, API version)
SERVICES = {
    "application-autoscaling": ("application-autoscaling", "2016-02-06"),
    "ecs": ("ecs", "2014-11-13"),
    "ecr": ("ecr", "2015-09-21"),
    "elasticloadbalancing": ("elbv2", "2015-12-01"),
    "logs": ("logs", "2014-03-28"),
    "monitoring": ("cloudwatch", "2010-08-01"),
    "scheduler": ("scheduler", "2021-06-30"),
    "servicediscovery": ("servicediscovery", "2017-03-14"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ServiceModel:
    """One service: its operations and shapes by name. There is one of each (see `load`)."""

    name: str
    protocol: str
    target_prefix: str
    namespace: str
    was_query: bool
    operations: dict[str, Shape]
    shapes: dict[str, Shape]

    def shape_of_error(self, code: str) -> str:
        """Return the name of the shape that has this error code; the code itself if none has."""
        named = {
            shape.get("error", {}).get("code", name): name
            for name, shape in self.shapes.items()
            if shape.get("exception") and not name.startswith("Dashboard")
        }
        return named.get(code, code)

    def input_shape(self, operation: str) -> str | None:
        return _name_of(self.operations[operation].get("input"))

    def output_shape(self, operation: str) -> tuple[str, str] | None:
        """Return the name of the output shape and of the XML element around it ("" for none)."""
        output = self.operations[operation].get("output")
        return (output["shape"], output.get("resultWrapper", "")) if output else None


def _name_of(reference: Shape | None) -> str | None:
    return reference["shape"] if reference else None


@lru_cache
def load(service: str) -> ServiceModel:
    """Return the model of a service that this engine implements. Raises KeyError."""
    directory, version = SERVICES[service]
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("botocore")
    path = Path(spec.submodule_search_locations[0], "data", directory, version)
    packed = gzip.decompress((path / "service-2.json.gz").read_bytes())
    raw = json.loads(packed, object_hook=_without_prose)
    metadata = raw["metadata"]
    return ServiceModel(
        name=service,
        protocol=metadata["protocol"],
        target_prefix=metadata.get("targetPrefix", ""),
        namespace=metadata.get("xmlNamespace", ""),
        was_query="awsQueryCompatible" in metadata,
        operations=raw["operations"],
        shapes=raw["shapes"],
    )


def _without_prose(item: Shape) -> Shape:
    if isinstance(item.get("documentation"), str):
        del item["documentation"]
    return item
