"""Which Debian packages a gem needs: headers to build it, libraries to run it.

The names are those that bookworm and trixie share, such as `libvips`, which both provide;
where a library's name carries its version, a pattern that apt-get reads (^libicu[0-9]+$).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.init.lockfile import Bundle


@dataclass(frozen=True, slots=True)
class Need:
    """The packages of one gem. `always`: also where the gem itself comes built."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    always: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """A package, and the gem that asks for it."""

    name: str
    reason: str


_NEEDS = {
    "charlock_holmes": Need(("libicu-dev", "zlib1g-dev"), ("^libicu[0-9]+$",)),
    "curb": Need(("libcurl4-openssl-dev",), ("libcurl4",)),
    "ethon": Need((), ("libcurl4",), always=True),
    "ffi": Need(("libffi-dev",)),
    "ffi-geos": Need((), ("libgeos-c1v5",), always=True),
    "idn-ruby": Need(("libidn-dev",), ("libidn12",)),
    "mini_magick": Need((), ("imagemagick",), always=True),
    "mysql2": Need(("default-libmysqlclient-dev",), ("libmariadb3",)),
    "nokogiri": Need(("zlib1g-dev",)),
    "pg": Need(("libpq-dev",), ("libpq5",)),
    "psych": Need(("libyaml-dev",)),
    "rb_sys": Need(("cargo", "libclang-dev")),
    "rdkafka": Need(("libssl-dev", "zlib1g-dev")),
    "rgeo": Need(("libgeos-dev",), ("libgeos-c1v5",)),
    "rmagick": Need(("libmagickwand-dev",), ("imagemagick",)),
    "ruby-filemagic": Need(("libmagic-dev",), ("libmagic1",)),
    "ruby-vips": Need((), ("libvips",), always=True),
    "rugged": Need(("cmake", "libssl-dev")),
    "snappy": Need(("cmake", "libsnappy-dev"), ("libsnappy1v5",)),
    "sqlite3": Need(("libsqlite3-dev",), ("libsqlite3-0",)),
    "streamio-ffmpeg": Need((), ("ffmpeg",), always=True),
    "tiny_tds": Need(("freetds-dev",), ("libsybdb5",)),
    "trilogy": Need(("libssl-dev",)),
}


ALWAYS_TO_RUN = (
    Package("libjemalloc2", "see the end"),
    Package("python3-minimal", "kaiun's entry, the first program of each container"),
    Package("tzdata", "time zones"),
)
ALWAYS_TO_BUILD = (
    Package("build-essential", "compilers"),
    Package("pkg-config", "how extensions find libraries"),
)


def to_run(bundle: Bundle, *, without: Iterable[str] = ()) -> tuple[Package, ...]:
    """Return the packages of an image that runs the gems, but for the gems `without`."""
    gems = _packages((name, need.run) for name, need in _needs(bundle, without))
    return tuple(sorted((*ALWAYS_TO_RUN, *gems), key=attrgetter("name")))


def to_build(bundle: Bundle, *, without: Iterable[str] = ()) -> tuple[Package, ...]:
    """Return the packages that build the gems, but for the gems `without`."""
    git = [("gems from repositories", ("git",))] if bundle.git else []
    gems = _packages([*git, *((name, need.build) for name, need in _needs(bundle, without))])
    return tuple(sorted((*ALWAYS_TO_BUILD, *gems), key=attrgetter("name")))


def _needs(bundle: Bundle, without: Iterable[str]) -> list[tuple[str, Need]]:
    left_out = set(without)
    return [
        (name, need)
        for name, need in _NEEDS.items()
        if name in bundle
        and name not in left_out
        and (need.always or name not in bundle.precompiled)
    ]


def _packages(wanted: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[Package, ...]:
    reasons: dict[str, list[str]] = {}
    for reason, names in wanted:
        for name in names:
            reasons.setdefault(name, []).append(reason)
    return tuple(Package(name, ", ".join(why)) for name, why in reasons.items())
