"""How well the scanner tells files for AArch64 apart; none of them runs here.

python -m bench._corpus_arm             prints rows of docs/reference/cpu.md; no limit is measured
python -m bench._corpus_arm FOLDER…     of other files that are taken as natural

Natural are packages of Debian for arm64, fetched by apt with a state of its own, and the wheels of
bench.scan for aarch64. Contaminated are extensions of Python from PyPI's sources, compiled with
-mcpu as a whole by Debian's gcc-aarch64-linux-gnu. Beside them the same for no CPU in particular.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

from bench._corpus import Titled, files, table, tell
from bench.scan import WHEELS, call
from kaiun.cpu.verdict import Kind

PACKAGES = (
    *(
        "libc6",
        "libgcc-s1",
        "libstdc++6",
        "libatomic1",
        "libgomp1",
        "libssl3",
        "zlib1g",
        "libzstd1",
    ),
    *("libjpeg62-turbo", "libpng16-16", "libwebp7", "libx264-164", "libx265-199", "libdav1d6"),
    *("libaom3", "libvpx7", "librav1e0", "libavcodec59", "libswscale6", "libvips42", "libheif1"),
    *("libgcrypt20", "libnettle8", "libhogweed6", "libgmp10", "libgnutls30", "libsodium23"),
    *("libopenblas0-pthread", "libfftw3-double3", "libisal2", "libhwy1", "libjxl0.7", "libllvm14"),
    *("libruby3.1", "libpython3.11-minimal", "libnode108", "postgresql-15", "redis-server", "git"),
    *("nginx-core", "haproxy", "openssh-client", "coreutils", "libjemalloc2", "librocksdb7.8"),
)
SOURCES = {
    "bitarray": "bitarray/_bitarray.c",
    "mmh3": "src/mmh3/*.c",
    "simplejson": "simplejson/_speedups.c",
    "xxhash": "src/_xxhash.c deps/xxhash/xxhash.c -Ideps/xxhash",
}
PLATFORMS = (
    "manylinux2014",
    "manylinux_2_17",
    "manylinux_2_24",
    "manylinux_2_27",
    "manylinux_2_28",
)
NATURAL = ("graviton", "graviton2", "graviton3")
# What the extensions are compiled for, the baseline, and the verdict that surprises nobody.
COMPILED = (
    ("", "graviton2", Kind.CLEAN),
    ("-mcpu=neoverse-n1", "graviton2", Kind.CLEAN),
    ("-mcpu=neoverse-v1", "graviton2", Kind.RISK),
    ("-mcpu=neoverse-v1", "graviton3", Kind.CLEAN),
)


def main(folders: list[Path]) -> None:
    with table(folders, natural, NATURAL) as work:
        for option, baseline, expected in COMPILED:
            made = files([compiled(option, work)], work / "home")
            others = [kind for kind in Kind if kind is not expected]
            tell(f"extensions compiled with {option or 'no -mcpu'}", made, [baseline], *others)


def natural(work: Path) -> Titled:
    """Yield the folders of natural files with their titles."""
    yield "Debian's packages", debian(work / "debian")
    site = work / "site"
    platforms = (f"--platform={each}_aarch64" for each in PLATFORMS)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    call(*install, *platforms, "--only-binary=:all:", f"--target={site}", *WHEELS)
    yield "wheels", site


def debian(folder: Path) -> Path:
    """Return a folder with the files of PACKAGES; this machine's apt keeps its own state."""
    for part in ("lists/partial", "cache/archives/partial", "debs", "files"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    options = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State": str(folder),
        "Dir::State::status": str(folder / "status"), "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "root", "Acquire::Languages": "none",
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    call(*apt, "update")
    subprocess.run([*apt, "download", *PACKAGES], cwd=folder / "debs", check=True)
    for package in (folder / "debs").glob("*.deb"):
        call("dpkg-deb", "-x", str(package), str(folder / "files" / package.name.partition("_")[0]))
    return folder / "files"


def compiled(option: str, work: Path) -> Path:
    """Return a folder with the extensions, compiled with one option."""
    made = work / f"made{option}"
    made.mkdir(exist_ok=True)
    for name, words in SOURCES.items():
        source = unpacked(name, work / "sources")
        command = ["aarch64-linux-gnu-gcc", "-shared", "-fPIC", "-O3", "-w", "-DNDEBUG", option]
        inputs = [
            str(path)
            for word in words.split()
            if not word.startswith("-")
            for path in sorted(source.glob(word))
        ]
        flags = [f"-I{source / word[2:]}" for word in words.split() if word.startswith("-I")]
        out = ["-o", str(made / f"{name}.so")]
        call(*filter(None, [*command, *headers(work), *flags, *out, *inputs]))
    return made


def headers(work: Path) -> list[str]:
    """Return options for Python's headers: Debian's name the machine, and say the same of both."""
    include = Path(sysconfig.get_path("include", "posix_prefix"))
    link = work / "include" / "aarch64-linux-gnu"
    link.parent.mkdir(exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(include.parent / "x86_64-linux-gnu")
    return [f"-idirafter{include}", f"-idirafter{link.parent}"]


def unpacked(name: str, folder: Path) -> Path:
    """Return the folder of a package's sources, the newest of PyPI."""
    found = [path for path in folder.glob(f"{name}-*") if path.is_dir()]
    if found:
        return found[0]
    options = ["--quiet", "--no-deps", f"--no-binary={name}", f"--dest={folder}"]
    call(sys.executable, "-m", "pip", "download", *options, name)
    call("tar", "-C", str(folder), "-xzf", str(next(folder.glob(f"{name}-*.tar.gz"))))
    return unpacked(name, folder)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
