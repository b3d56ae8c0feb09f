"""Environment files of a task definition: read from S3, one VARIABLE=VALUE a line.

Sources: ECS developer guide, "Pass environment variables to an Amazon ECS container"; the ECS
agent's `envfile.go` for lines that are neither: skipped, as are those without a name.
"""

from __future__ import annotations

from urllib.parse import quote

from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.engine.sidecall import FAILURES, SideCalls

S3_ARN = ":s3:::"


class EnvFileReader:
    """Reads them by their ARN."""

    def __init__(self, calls: SideCalls) -> None:
        self._calls = calls

    async def __call__(self, arn: str) -> dict[str, str]:
        """Return the variables of a file. Raises RuntimeFailure, as ECS reports it."""
        path = arn.partition(S3_ARN)[2]
        try:
            status, body = await self._calls.send("s3", "GET", f"/{quote(path)}", {})
        except FAILURES as problem:
            raise _failure(f"S3 does not answer: {problem}") from problem
        if status != 200:
            bucket, _, key = path.partition("/")
            code = body.decode(errors="replace").partition("<Code>")[2].partition("<")[0]
            raise _failure(
                f"unable to download env file with key {key} from bucket {bucket}, error: "
                f"{code or status}"
            )
        try:
            return parse(body.decode())
        except UnicodeDecodeError:
            raise _failure(f"{arn} is no UTF-8") from None


def parse(text: str) -> dict[str, str]:
    """Return the variables: what follows the first `=` is the value, blanks and quotes included.

    Lines that begin with # or have no `=`, or nothing before it, say nothing.
    """
    variables = {}
    for line in text.split("\n"):
        name, equals, value = line.removesuffix("\r").partition("=")
        if name and equals and not name.startswith("#"):
            variables[name] = value
    return variables


def _failure(text: str) -> RuntimeFailure:
    return RuntimeFailure(
        "ResourceInitializationError",
        f"failed to download env files: file download command: non empty error stream: {text}",
    )
