"""The models of `start:`: what happens in a container before its process."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StrictBool,
    StrictInt,
    model_validator,
)

from kaiun.config import values
from kaiun.config.fields import (
    Argv,
    Name,
    OrText,
    Region,
    Text,
    Variable,
    Written,
    either,
    matching,
)
from kaiun.config.workload import Model

Kind = Literal["require", "fetch", "secrets", "templates", "assets", "wait", "hooks"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Seconds = Annotated[StrictInt, Field(ge=1, le=3600)]
Mode = Annotated[
    str,
    matching(r"0?[0-7]{3}", "expected a file's mode such as '0640'"),
    either({"type": "string", "pattern": "^0?[0-7]{3}$"}, {"type": "integer"}),
]
Sha256 = Annotated[str, matching(r"[0-9a-fA-F]{64}", "expected a SHA-256: 64 hexadecimal digits")]
SOURCES = r"s3://[^/]+/.+|ssm:.+|secretsmanager:.+|etcds?://[^/]+/.+|https?://[^/]+.*"
SourceOf = Annotated[
    str,
    matching(
        SOURCES,
        "expected s3://bucket/key, ssm:/name, secretsmanager:name, etcd://host:port/key or https://…",
    ),
]
Awaited = Annotated[
    str,
    matching(
        r"tcp://\S+:\S+|https?://\S+|unix:/\S+|file:/\S+",
        "expected tcp://host:port, http://host/path, unix:/path or file:/path",
        "tcp://{}".format,
    ),
]
KeySource = Annotated[
    str,
    matching(
        r"env:[A-Za-z_]\w*|file:/.+|ssm:.+|secretsmanager:.+",
        "expected env:NAME, file:/path, ssm:/name or secretsmanager:name",
        "env:{}".format,
    ),
]


def short(key: str) -> BeforeValidator:
    """Return the validator that takes text in place of a mapping with that key alone."""
    return BeforeValidator(lambda given: {key: given} if isinstance(given, str) else given)


def one_or_more(given: object) -> object:
    """Return one name as a list of one."""
    return [given] if isinstance(given, str) else given


Names = Annotated[tuple[Name, ...], BeforeValidator(one_or_more), OrText("short for a list of one")]


class When(Model):
    """Where a part of a step applies; everywhere by default."""

    environment: Names = Field(default=(), description="The environments; all by default.")
    process: Names = Field(
        default=(),
        description="The processes and tasks; all by default, other commands too.",
    )


class Part(Model):
    """What the parts of all steps have in common."""

    when: When = Field(default=When.model_construct(), description="Where it applies.")


class Require(Part):
    """A variable without which no process starts."""

    name: Variable = Field(description="The variable; it must be set and not empty.")


class Fetch(Part):
    """A file or a variable that is fetched."""

    source: SourceOf = Field(
        alias="from",
        description="Where from: s3://bucket/key, ssm:/name, secretsmanager:name, "
        "etcd://host:port/key (etcds:// by TLS), https://…; `${VAR}` is a variable.",
        examples=["s3://shop-config/${KAIUN_ENVIRONMENT}/ca.pem"],
    )
    to: Text | None = Field(default=None, description="The file to write, or …")
    env: Variable | None = Field(default=None, description="… the variable to set.")
    key: Text | None = Field(
        default=None, description="The member to take where the value is a JSON object."
    )
    mode: Mode | None = Field(default=None, description="The file's mode; 0600 by default.")
    owner: Text | None = Field(
        default=None, description="The file's owner: user, user:group or numbers (as root only)."
    )
    timeout: Seconds = Field(default=30, description="Time for it all, in seconds.")
    retries: Annotated[StrictInt, Field(ge=0, le=10)] = Field(
        default=3, description="How often a request is repeated."
    )
    cache: Annotated[StrictInt, Field(ge=0, le=31_536_000)] = Field(
        default=0,
        description="Age up to which a file that is there is taken without asking, in seconds; "
        "an older one is taken where the source does not answer.",
    )
    region: Region | None = Field(
        default=None, description="The AWS region; that of the environment by default."
    )
    headers: dict[Text, Written] = Field(
        default={}, description="Request headers (https only); `${VAR}` is a variable."
    )
    sha256: Sha256 | None = Field(
        default=None, description="The SHA-256 that the content must have (https only)."
    )
    secret: StrictBool = Field(
        default=True, description="Whether the variable is a secret, which no message shows."
    )


class Secret(Part):
    """A vault file that is opened."""

    file: Text = Field(description="The encrypted file, relative to the image's WORKDIR.")
    to: Text | None = Field(
        default=None, description="The file to write; by default it takes the place of `file`."
    )
    format: Literal["yaml_vault", "rails", "kaiun"] = Field(
        default="kaiun", description="The format of the file."
    )
    key: KeySource | None = Field(
        default=None,
        description="Where the key is: env:NAME, file:/path, ssm:/name or secretsmanager:name; "
        "the format's own variable by default (YAML_VAULT_PASSPHRASE, RAILS_MASTER_KEY, "
        "KAIUN_SECRETS_KEY). A variable is taken out of the environment before the process starts.",
    )
    sign_key: KeySource | None = Field(
        default=None, description="Where the sign passphrase is (yaml_vault only)."
    )
    options: dict[Text, Written] = Field(
        default={}, description="Options of the format, named as those of `kaiun secrets`."
    )
    mode: Mode | None = Field(default=None, description="The file's mode; 0600 by default.")
    owner: Text | None = Field(
        default=None, description="The file's owner: user, user:group or numbers (as root only)."
    )
    timeout: Seconds = Field(default=30, description="Time for it all, in seconds.")


class Template(Part):
    """A template that is rendered."""

    file: Annotated[
        str,
        matching(r".+\.(?:erb|j2|tmpl)", "expected a template: a name in .erb, .j2 or .tmpl"),
    ] = Field(description="The template (.erb, .j2, .tmpl), relative to the image's WORKDIR.")
    to: Text | None = Field(
        default=None,
        description="The file to write; the template's name without its ending by default.",
    )
    mode: Mode | None = Field(
        default=None,
        description="The file's mode; by default 0600 where a secret was used, else that of the "
        "file in the image, else that of the template.",
    )
    owner: Text | None = Field(
        default=None, description="The file's owner: user, user:group or numbers (as root only)."
    )
    check: Argv | None = Field(
        default=None,
        description="A command that must accept the file before it is put in place; `{}` is the "
        "file, or it comes last.",
    )
    timeout: Seconds = Field(default=30, description="Time for it all, in seconds.")


class Wait(Part):
    """Something that must answer first."""

    address: Awaited = Field(
        description="What to wait for: tcp://host:port, http(s)://host/path, unix:/path or "
        "file:/path; `${VAR}` is a variable.",
    )
    timeout: Seconds = Field(
        default=60, description="Time after which the start fails, in seconds."
    )


class Hook(Part):
    """A command of the app's own."""

    command: Argv = Field(description="The command, split as a shell would but not run by one.")
    timeout: Seconds = Field(default=300, description="Time for it all, in seconds.")


class Start(Model):
    """What happens in a container before its process: steps, in the order written."""

    require: tuple[Annotated[Require, short("name"), OrText("short for `{name: …}`")], ...] = Field(
        default=(), description="Variables that must be set."
    )
    fetch: tuple[Fetch, ...] = Field(
        default=(), description="Files and variables that are fetched."
    )
    secrets: tuple[Annotated[Secret, short("file"), OrText("short for `{file: …}`")], ...] = Field(
        default=(), description="Vault files that are opened."
    )
    templates: tuple[Annotated[Template, short("file"), OrText("short for `{file: …}`")], ...] = (
        Field(default=(), description="Templates that are rendered.")
    )
    assets: StrictBool = Field(
        default=True,
        description="Whether the environment's asset manifest is put in place, where it has "
        "`assets`; by default right after `require`.",
    )
    wait: tuple[Annotated[Wait, short("address"), OrText("short for `{address: …}`")], ...] = Field(
        default=(), description="What must answer first."
    )
    hooks: dict[
        Name,
        Annotated[Hook, BeforeValidator(values.to_command), OrText("short for `{command: …}`")],
    ] = Field(default={}, description="Commands of the app's own, by name.")
    console: Argv | None = Field(
        default=None,
        description="What `console` stands for; bin/console or `bin/rails console` by default.",
    )
    directory: (
        Annotated[str, matching(r"/[\w./-]+[\w-]", "expected a directory such as /run/kaiun")]
        | None
    ) = Field(
        default=None,
        description="Where the files are written, the app's own paths being links to them; for a "
        "read-only root (a tmpfs there) or an app that runs as another user than root. By default "
        "they are written in place.",
    )
    _order: tuple[Kind, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _in_order(cls, given: object, handler: ModelWrapValidatorHandler[Start]) -> Start:
        start = handler(given)
        if isinstance(given, dict):
            start._order = tuple(kind for kind in given if kind in KINDS)
        return start

    @property
    def order(self) -> tuple[Kind, ...]:
        """Return the steps in the order of the file."""
        return self._order

    @property
    def paths(self) -> tuple[tuple[str, str], ...]:
        """Return (source, target) of each vault file and template."""
        secrets = ((each.file, each.to or each.file) for each in self.secrets)
        return (*secrets, *((each.file, target(each)) for each in self.templates))


def target(template: Template) -> str:
    """Return the file that a template becomes: config/database.yml.erb → config/database.yml."""
    return template.to or template.file.rpartition(".")[0]
