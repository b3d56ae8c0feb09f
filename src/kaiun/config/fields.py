"""The types of values in kaiun.yml: how each is checked, converted and described."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    StrictInt,
    WithJsonSchema,
)

from kaiun.config import values

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


def matching(
    expression: str | re.Pattern[str], expected: str, mend: Callable[[str], str] | None = None
) -> AfterValidator:
    """Return the validator of text that matches `expression` as a whole."""
    return AfterValidator(values.pattern(re.compile(expression), expected, mend))


def either(*forms: dict[str, object]) -> WithJsonSchema:
    """Return the JSON Schema of a value that may be written in several ways."""
    return WithJsonSchema({"anyOf": list(forms)})


@dataclass(frozen=True)
class OrText:
    """In the JSON Schema, text may stand in place of a mapping."""

    description: str

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of the mapping, or text."""
        return {
            "anyOf": [{"type": "string", "description": self.description}, handler(core_schema)]
        }


NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
NAME_EXPECTED = "expected a name of 1–32 of a–z, 0–9 and '-' that begins with a letter"

Name = Annotated[str, matching(NAME, NAME_EXPECTED, values.hyphened)]
Variable = Annotated[
    str,
    matching(
        r"[A-Za-z_][A-Za-z0-9_]*",
        "expected a variable's name: letters, digits and '_'",
        values.underscored,
    ),
]
Text = Annotated[str, AfterValidator(values.nonempty)]
Directory = Annotated[str, AfterValidator(values.inside)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
MiB = Annotated[
    StrictInt,
    BeforeValidator(values.to_mib),
    Field(ge=6),
    either(
        {"type": "integer", "minimum": 6}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?GB$"}
    ),
]
CpuUnits = Annotated[
    StrictInt,
    BeforeValidator(values.to_cpu_units),
    Field(ge=2),
    either(
        {"type": "integer", "minimum": 2},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?vCPU$"},
    ),
]
CpuBaseline = Annotated[str, AfterValidator(values.cpu_baseline)]
Argv = Annotated[
    tuple[str, ...],
    BeforeValidator(values.to_argv),
    either(
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
    ),
]
Written = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
Repository = Annotated[str, AfterValidator(values.repository)]
Reference = Annotated[
    str, matching(values.REFERENCE, "expected an image such as registry.example.com/redis:7")
]
HttpPath = Annotated[str, matching(r"/\S*", "expected a path that begins with '/'", "/{}".format)]
Matcher = Annotated[
    str, matching(values.MATCHER, "expected status codes such as '200', '200,204' or '200-399'")
]
TargetGroup = Annotated[
    str,
    matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?|arn:aws[\w-]*:\S+",
        "expected a target group: a name of 1–32 letters, digits and '-', or an ARN",
        values.hyphened,
    ),
]
BuildHost = Annotated[
    str,
    matching(
        r"ssh://(?:[\w.-]+@)?[\w.-]+(?::\d+)?",
        "expected a build host such as ssh://builder@host",
        "ssh://{}".format,
    ),
]
Address = Annotated[
    str,
    matching(
        r"[\w.-]+:\d{1,5}|unix:///\S+",
        "expected an address such as 127.0.0.1:24224",
        "{}:24224".format,
    ),
]
LogGroup = Annotated[
    str,
    matching(r"[\w./#-]{1,512}", "expected a log group of 1–512 letters, digits and '_-/.#'"),
]
Region = Annotated[
    str, matching(r"[a-z]{2}(?:-[a-z]+)+-\d+", "expected a region such as ap-northeast-1")
]
Cluster = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_-]{1,255}",
        "expected a cluster's name: letters, digits, '-' and '_'",
        values.hyphened,
    ),
]
Bucket = Annotated[
    str,
    matching(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[^\s/]+)*/?",
        "expected a bucket such as s3://bucket/prefix",
        "s3://{}".format,
    ),
]
Role = Annotated[
    str,
    matching(
        r"[\w+=,.@-]{1,64}|arn:aws[\w-]*:iam::\d{12}:role/\S+",
        "expected an IAM role: a name or an ARN",
    ),
]
Env = dict[Variable, Written]
Secrets = dict[Variable, Text]
PassThrough = dict[str, JsonValue]
