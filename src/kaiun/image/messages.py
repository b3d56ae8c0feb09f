"""Events, errors and results as JSON: for a build's record and for the wire to a build host."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from kaiun import errors
from kaiun.errors import ConfigError, ConfigErrors, ImageError, KaiunError
from kaiun.image.events import BuildEvent

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

Json = dict[str, Any]


def from_event(event: BuildEvent) -> Json:
    """Return an event without the fields that say nothing."""
    return {name: value for name, value in asdict(event).items() if value not in ("", 0)}


def to_event(given: Json) -> BuildEvent:
    return made(BuildEvent, given)


def from_problem(problem: KaiunError) -> Json:
    """Return an expected failure, with all of its parts."""
    given: Json = {
        "kind": type(problem).__name__,
        "message": problem.message,
        "where": problem.where,
        "hint": problem.hint,
        "detail": list(problem.detail),
    }
    if isinstance(problem, ConfigErrors):
        given["problems"] = [from_problem(each) for each in problem.problems]
    return given


def to_problem(given: Json) -> KaiunError:
    """Return the failure again; one of a kind that is not known here is an ImageError."""
    if "problems" in given:
        problems = [to_problem(each) for each in given["problems"]]
        return ConfigErrors([each for each in problems if isinstance(each, ConfigError)])
    kind = getattr(errors, str(given.get("kind")), ImageError)
    if not (isinstance(kind, type) and issubclass(kind, KaiunError)):
        kind = ImageError
    parts = {name: given.get(name, "") for name in ("where", "hint")}
    problem: KaiunError = kind(given["message"], **parts, detail=given.get("detail", ()))
    return problem


def made(kind: type[T], given: Json) -> T:
    """Return a dataclass made of the fields it knows; a newer side may have sent others."""
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in given.items() if name in known})
