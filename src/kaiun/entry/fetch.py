"""Fetch files and variables from S3, SSM, Secrets Manager, etcd v3 and https.

Requests are made in a thread, so that nothing keeps the start from ending when it is told to.
"""

from __future__ import annotations

import _thread
import os
import time

from kaiun.entry import signals
from kaiun.entry.failure import Failure, say
from kaiun.entry.files import SECRET_MODE
from kaiun.entry.steps import limited, stage
from kaiun.entry.wait import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context


def step(items: list[Item], context: Context) -> None:
    """Fetch each, in the order written; a variable is there for those that follow."""

    def fetch(item: Item) -> None:
        _fetch(item, context)

    for item in items:
        limited(item, fetch)


def _fetch(item: Item, context: Context) -> None:
    address = context.variables.expand(item["from"])
    target = context.path(item["to"]) if item.get("to") else ""
    if target and _fresh(target, item.get("cache", 0)):
        return
    try:
        data = aside(lambda: source(address, item, context), item)
    except Failure as failure:
        if not (target and item.get("cache") and os.path.exists(target)):
            failure.item = shown(item["from"])
            raise
        say(f"kaiun: fetch {shown(item['from'])}: {failure.why}; the copy of before is used")
        return
    _keep(data, target, item, context)


def _keep(data: bytes, target: str, item: Item, context: Context) -> None:
    if item.get("env"):
        name = item["env"]
        context.variables.environ[name] = data.decode("utf-8", "surrogateescape")
        if item.get("secret", True):
            context.variables.secret.add(name)
        return
    staged = stage(target)
    staged.write(data)
    mode = int(item["mode"], 8) if item.get("mode") else SECRET_MODE
    staged.dress(mode=mode, owner=item.get("owner") or "", like="", secret=True)
    staged.commit()


def _fresh(target: str, seconds: float) -> bool:
    try:
        return time.time() - os.stat(target).st_mtime < seconds
    except OSError:
        return False


def aside(work: Callable[[], bytes], item: Item) -> bytes:
    """Do the work in a thread and wait for it, or for a signal."""
    done = _thread.allocate_lock()
    done.acquire()
    outcome: list[bytes | Failure] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Failure as failure:
            outcome.append(failure)
        except Exception as problem:  # noqa: BLE001  (a thread's traceback might show values)
            outcome.append(Failure(f"cannot be fetched ({type(problem).__name__})"))
        finally:
            done.release()

    try:
        _thread.start_new_thread(run, ())
        done.acquire()
    except signals.TimedOut:
        raise Failure(f"not within {item['timeout']:g} s") from None
    found = outcome[0]
    if isinstance(found, Failure):
        raise found
    return found


def source(address: str, item: Item, context: Context) -> bytes:
    """Return what an address names. Raises Failure."""
    from kaiun.entry.http import Line

    line = Line(item.get("attempt", 10.0), item.get("retries", 3))
    scheme, _, rest = address.partition(":")
    if scheme in ("http", "https"):
        return _page(address, item, context, line)
    if scheme in ("etcd", "etcds"):
        from kaiun.entry.etcd import value

        return value(scheme, rest, line)
    return _selected(_aws(scheme, rest, item, context, line), item.get("key") or "")


def _page(address: str, item: Item, context: Context, line) -> bytes:  # type: ignore[no-untyped-def]
    headers = {
        name: context.variables.expand(text) for name, text in (item.get("headers") or {}).items()
    }
    answer = line.get(address, headers)
    if answer.status != 200:
        raise Failure(f"status {answer.status}")
    body: bytes = answer.body
    if item.get("sha256"):
        import hashlib

        if hashlib.sha256(body).hexdigest() != item["sha256"].lower():
            raise Failure("what came has another SHA-256")
    return _selected(body, item.get("key") or "")


def _aws(scheme: str, rest: str, item: Item, context: Context, line) -> bytes:  # type: ignore[no-untyped-def]
    from kaiun.entry.aws import Aws

    aws = Aws(item.get("region") or context.settings.region, line)
    if scheme == "s3":
        bucket, _, key = rest.lstrip("/").partition("/")
        return aws.object(bucket, key)
    if scheme == "ssm":
        found = aws.call("ssm", "GetParameter", {"Name": rest, "WithDecryption": True})
        return str(found["Parameter"]["Value"]).encode()
    if scheme == "secretsmanager":
        found = aws.call("secretsmanager", "GetSecretValue", {"SecretId": rest})
        if "SecretString" in found:
            return str(found["SecretString"]).encode()
        import base64

        return base64.b64decode(found["SecretBinary"])
    raise Failure("expected s3://, ssm:, secretsmanager:, etcd://, etcds://, https:// or http://")


def _selected(data: bytes, key: str) -> bytes:
    """Return one member of a JSON object, or all of it without a key."""
    if not key:
        return data
    import json

    try:
        value = json.loads(data)[key]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"is no JSON object with the key {key!r}") from None
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
