"""The example, the JSON Schema and the reference agree with the models."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from kaiun.config import environments, jsonschema, load, places, reference
from kaiun.config.problems import MODELS, keys
from kaiun.config.schema import Environment

PACKAGE = Path(str(files("kaiun.config")))
EXAMPLE = PACKAGE / "example.yml"
ENVIRONMENTS = ("local", "laptop", "production")
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "kaiun-yml.md"


NAMED = {("processes",), ("tasks",), ("processes", "*", "with"), ("start", "hooks")}


def used(node: places.Node, above: places.Path = ()) -> set[tuple[places.Path, str]]:
    """Return each key of the file with the place of its model."""
    found: set[tuple[places.Path, str]] = set()
    for key, below in node.items.items():
        found.add((above, key))
        inner = (*above, "*") if above in NAMED else (*above, key)
        found |= used(below, inner)
        for item in below.value if isinstance(below.value, list) else ():
            found |= used(item, (*inner, "*"))
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_example_loads_in_every_environment(environment: str) -> None:
    config = load(EXAMPLE, environment, environ={})
    assert config.app == "shop"
    assert config.is_local == (environment != "production")


def test_example_shows_every_key() -> None:
    root = places.parse(EXAMPLE.read_text(), [])
    shown = set().union(*(used(environments.selected(root, name)) for name in ENVIRONMENTS))
    of_tasks = {(("processes", "*"), key) for place, key in shown if place == ("tasks", "*")}
    of_processes = {(("tasks", "*"), key) for place, key in shown if place == ("processes", "*")}
    shown |= of_tasks | of_processes
    shown |= {(("tasks", *place[1:]), key) for place, key in shown if place[:1] == ("processes",)}
    whens = {key for place, key in shown if place[-1:] == ("when",)}
    shown |= {(place, key) for place in MODELS if place[-1:] == ("when",) for key in whens}
    missing = [
        (place, key)
        for place, model in MODELS.items()
        for key in keys(model)
        if (place, key) not in shown and (model, key) != (Environment, "local")
    ]
    assert missing == []


def test_shipped_json_schema_is_up_to_date() -> None:
    shipped = (PACKAGE / "schema.json").read_text()
    assert shipped == jsonschema.text(), "python -m kaiun.config.schema > …/config/schema.json"


def test_reference_is_up_to_date() -> None:
    assert PAGE.read_text() == reference.text(), "python -m kaiun.config.reference > docs/…"


def test_every_key_is_described() -> None:
    for model in MODELS.values():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_example_satisfies_the_json_schema() -> None:
    checker = pytest.importorskip("jsonschema").Draft202012Validator
    schema = json.loads((PACKAGE / "schema.json").read_text())
    checker.check_schema(schema)
    example = yaml.safe_load(EXAMPLE.read_text())
    assert [error.message for error in checker(schema).iter_errors(example)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"app": "shop"},
        {"app": "shop", "image": {"repository": "a", "tag": "b"}},
        {"app": "shop", "image": {"repository": "a"}, "processes": {"web": {"count": "two"}}},
        {"app": "shop", "image": {"repository": "a"}, "environments": {"a": {"app": "b"}}},
    ],
)
def test_json_schema_refuses(wrong: object) -> None:
    checker = pytest.importorskip("jsonschema").Draft202012Validator
    schema = json.loads((PACKAGE / "schema.json").read_text())
    assert list(checker(schema).iter_errors(wrong))


def test_json_schema_takes_placeholders_and_nulls_in_environments() -> None:
    checker = pytest.importorskip("jsonschema").Draft202012Validator
    schema = json.loads((PACKAGE / "schema.json").read_text())
    good = {
        "app": "shop",
        "image": {"repository": "a"},
        "processes": {"web": {"count": "${env:COUNT}"}},
        "environments": {"a": {"processes": {"web": {"count": None}, "b": None}}, "c": None},
    }
    assert list(checker(schema).iter_errors(good)) == []
