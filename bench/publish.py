"""Publish 2,000 small files to the local ECS's S3: all new beside `aws s3 sync`, and none new.

python -m bench.publish
"""

from __future__ import annotations

import hashlib
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench._machine import BIN, Machine, machine

FILES = 2000
SIZES = (200, 6000)  # bytes: what most icons, styles and chunks have
RUNS = 3
BUCKET = "bench-assets"
CONCURRENT = (10, 32)  # aws s3 sync's max_concurrent_requests: its default, and ours
SHARE = 0.7
NONE_NEW_S = 1.0
NONE_NEW_CALLS = 3


@dataclass(frozen=True, slots=True)
class Goods:
    """The files twice: as `aws s3 sync` wants them, and by checksum."""

    tree: Path
    blobs: Path
    bodies: dict[str, bytes]  # path → content


def goods(root: Path) -> Goods:
    """Make files that do not compress and that are the same in every run."""
    chance = random.Random(2000)
    bodies = {}
    for number in range(FILES):
        body = chance.randbytes(chance.randint(*SIZES))
        bodies[f"assets/{number:04}-{hashlib.sha256(body).hexdigest()[:16]}.css"] = body
    made = Goods(root / "tree", root / "blobs", bodies)
    (made.tree / "assets").mkdir(parents=True)
    made.blobs.mkdir()
    for path, body in bodies.items():
        (made.tree / path).write_bytes(body)
        (made.blobs / hashlib.sha256(body).hexdigest()).write_bytes(body)
    return made


class Ours:
    """kaiun's publication to one prefix of the bucket, with its count of calls."""

    def __init__(self, local: Machine, made: Goods, prefix: str) -> None:
        from kaiun.assets.bucket import AssetBucket
        from kaiun.assets.publish import Publisher
        from kaiun.aws.caller import Caller, Endpoint
        from kaiun.aws.client import Aws

        env = local.env
        keys = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
        self.aws = Aws(Caller(Endpoint(env["AWS_REGION"], env["AWS_ENDPOINT_URL"], *keys)))
        self.aws.s3.create_bucket(BUCKET)
        self.bucket = AssetBucket(self.aws.s3, f"s3://{BUCKET}/{prefix}")
        self.made = made
        self.publisher = Publisher(self.bucket, self.aws.uploader(BUCKET), self.files)

    @contextmanager
    def files(self, _: object) -> Iterator[Path]:
        yield self.made.blobs

    def publish(self, revision: str) -> int:
        """Publish as one release; return how many files were uploaded."""
        from kaiun.assets.bucket import Published
        from kaiun.assets.manifest import AssetFile, AssetManifest, sha256

        files = tuple(
            AssetFile(path, len(body), sha256(body), "text/css", immutable=True)
            for path, body in self.made.bodies.items()
        )
        manifest = AssetManifest("0" * 64, "public", files)
        published = Published("bench", "production", revision, "", 0.0, manifest)
        return self.publisher.publish(published).uploaded

    def measured(self, call: Callable[[], object]) -> tuple[float, int]:
        """Return the seconds that a call takes, and the requests that it sends."""
        self.aws.calls.clear()
        began = time.perf_counter()
        call()
        return time.perf_counter() - began, sum(self.aws.calls.values())


def sync(local: Machine, made: Goods, prefix: str, concurrent: int) -> float:
    """Return the seconds of `aws s3 sync`, without those that the program takes to start."""
    config = local.root / f"aws-{concurrent}.cfg"
    config.write_text(f"[default]\ns3 =\n  max_concurrent_requests = {concurrent}\n")
    env = {**local.env, "AWS_CONFIG_FILE": str(config)}

    def wall(*argv: str) -> float:
        began = time.perf_counter()
        subprocess.run([str(BIN / "aws"), *argv], env=env, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    bare = wall("--version")
    return wall("s3", "sync", str(made.tree), f"s3://{BUCKET}/{prefix}", "--quiet") - bare


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    with machine() as local:
        made = goods(local.root)
        Ours(local, made, "warm").aws.s3.list(BUCKET, "")
        ours, theirs = [], {number: list[float]() for number in CONCURRENT}
        for turn in range(RUNS):
            side = Ours(local, made, f"ours-{turn}")
            seconds, _ = side.measured(lambda side=side: side.publish("1" * 40))  # type: ignore[misc]
            ours.append(FILES / seconds)
            for number in CONCURRENT:
                took = sync(local, made, f"sync-{number}-{turn}", number)
                theirs[number].append(FILES / took)
        none = [side.measured(lambda n=n: side.publish(f"{n}" * 40)) for n in range(2, 5)]  # type: ignore[misc]
        same = [side.measured(lambda: side.bucket.published("production", "1" * 40))] * 1
    best_of = {number: statistics.median(rates) for number, rates in theirs.items()}
    best = max(best_of.values())
    rate = statistics.median(ours)
    return [
        (f"publish {FILES} files, all new, × aws s3 sync", f"{rate / best:.2f}", f"≥ {SHARE:g}"),
        ("  files/s", f"{rate:.0f}", "—"),
        *(
            (f"  aws s3 sync, {number} at once, files/s", f"{one:.0f}", "—")
            for number, one in best_of.items()
        ),
        (
            f"publish {FILES} files of a new commit, none new",
            f"{statistics.median(s for s, _ in none):.2f} s",
            f"≤ {NONE_NEW_S:g} s",
        ),
        ("  calls", str(max(calls for _, calls in none)), f"≤ {NONE_NEW_CALLS}"),
        ("the same commit again", f"{same[0][0]:.3f} s", f"≤ {NONE_NEW_S:g} s"),
        ("  calls", str(same[0][1]), f"≤ {NONE_NEW_CALLS}"),
    ]


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
