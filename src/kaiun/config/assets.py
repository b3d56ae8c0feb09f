"""The models of `assets:`: what is compiled once for all tasks, and where browsers get it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt

from kaiun.config.fields import Argv, Bucket, Directory, Env, OrText, matching
from kaiun.config.start import one_or_more
from kaiun.config.workload import Model
from kaiun.local.home import API_PORT

Host = Annotated[
    str,
    matching(
        r"https?://[\w.:\[\]-]+(?:/[^\s?#]*[^\s?#/])?",
        "expected an address such as https://assets.example.com",
        lambda given: given.rstrip("/") if "://" in given else f"https://{given.strip('/')}",
    ),
]
Paths = Annotated[
    tuple[Directory, ...], BeforeValidator(one_or_more), OrText("short for a list of one")
]


class Keep(Model):
    """How long files that no running task refers to stay in the bucket: while either holds."""

    releases: Annotated[StrictInt, Field(ge=1, le=1000)] = Field(
        default=10, description="Those of the last releases stay."
    )
    days: Annotated[StrictInt, Field(ge=0, le=3650)] = Field(
        default=30, description="Those of releases that were live in the last days stay."
    )


class Assets(Model):
    """What is compiled once for all tasks, in a container of the image, and published."""

    command: Argv = Field(
        description="What compiles them, run in the image's WORKDIR; split as a shell would, "
        "but not run by one."
    )
    output: Paths = Field(
        default=("public/assets",),
        description="The folder that the command fills, or several, relative to the image's "
        "WORKDIR, below `root`.",
    )
    cache: Paths = Field(
        default=(),
        description="The folder that the command keeps its cache in, or several; carried from "
        "build to build.",
        examples=["tmp/cache/assets"],
    )
    inputs: Paths = Field(
        default=(),
        description="What the result depends on: files, folders and patterns (`*`, `**`, `?`) of "
        "the commit, relative to kaiun.yml. While none of them changes, nothing is compiled. "
        "The whole commit by default.",
        examples=[["app/assets", "package-lock.json", "config/**/*.js"]],
    )
    env: Env = Field(
        default={},
        description="Environment variables of the command. Not for secrets: the dummies that "
        "Rails needs are there.",
    )
    root: Directory = Field(
        default="public",
        description="The folder whose inside is what the paths of URLs begin at.",
    )
    bucket: Bucket | None = Field(
        default=None, description="The bucket that they are published to: s3://bucket[/prefix]."
    )
    host: Host | None = Field(
        default=None,
        description="What pages ask for them; ASSET_HOST while compiling and in containers. "
        "By default the bucket's own address.",
        examples=["https://assets.example.com"],
    )
    serve: Literal["s3", "image"] | None = Field(
        default=None,
        description="Whether browsers get them from the bucket, or from the app, in whose image "
        "they then stay; `s3` by default where there is a bucket.",
    )
    keep: Keep = Field(
        default=Keep.model_construct(),
        description="How long files in the bucket that no running task refers to stay.",
    )

    @property
    def in_image(self) -> bool:
        """Return whether the files themselves are in the image."""
        return self.serve == "image"


def complete(given: Assets | None, region: str | None, *, local: bool) -> Assets | None:
    """Return the section with `serve` and, where they are served from S3, `host` filled in."""
    if given is None:
        return None
    serve = given.serve or ("s3" if given.bucket else "image")
    host = given.host
    if host is None and serve == "s3" and given.bucket:
        host = bucket_address(given.bucket, region, local=local)
    return given.model_copy(update={"serve": serve, "host": host})


def bucket_address(bucket: str, region: str | None, *, local: bool) -> str:
    """Return the URL of s3://bucket/prefix itself: virtual-hosted on AWS, by path locally.

    Source: "Methods for accessing a general purpose bucket", Amazon S3 user guide.
    """
    name, _, prefix = bucket.removeprefix("s3://").rstrip("/").partition("/")
    if local:
        base = f"http://localhost:{API_PORT}/{name}"
    elif "." in name:  # no certificate covers it as a host name
        base = (
            f"https://s3.{region}.amazonaws.com/{name}"
            if region
            else (f"https://s3.amazonaws.com/{name}")
        )
    else:
        base = (
            f"https://{name}.s3.{region}.amazonaws.com"
            if region
            else (f"https://{name}.s3.amazonaws.com")
        )
    if region and region.startswith("cn-"):
        base = base.replace("amazonaws.com", "amazonaws.com.cn")
    return f"{base}/{prefix}" if prefix else base
