"""The compiler shim under the shells of this machine, with compilers that print what they get."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from kaiun.cpu import levels, shim
from kaiun.cpu.shim import asked

SHELLS = [
    words for words in (("dash",), ("bash", "--posix"), ("busybox", "sh")) if shutil.which(words[0])
]
V2 = shim.flags("x86-64-v2").march.split()


@dataclass
class Step:
    """What a RUN sees: the shim where it is mounted, compilers in PATH."""

    root: Path
    shell: tuple[str, ...]
    level: str = "x86-64-v2"

    def __post_init__(self) -> None:
        for path, text in shim.files(self.level).items():
            self._write(self.root / "kaiun" / path, self._moved(text), path in shim.PROGRAMS)
        self.install("gcc", "x86_64-linux-gnu-g++-12", "clang-14", "rustc", "gcc-ar-12", "make")

    def _moved(self, text: str) -> str:
        """Return the script as it is where neither /dev may be written nor process 1 is ours."""
        text = text.replace("/bin/sh /", f"{' '.join(self.shell)} /")
        text = text.replace("#!/bin/sh", f"#!/usr/bin/env -S {' '.join(self.shell)}")
        text = text.replace("/dev/kaiun", f"{self.root}/kaiun")
        text = text.replace("/dev/shm", f"{self.root}/shm")
        return text.replace(">/proc/1/fd/2", f">>{self.root}/told")

    def install(self, *names: str, folder: str = "bin", script: str = "") -> None:
        for name in names:
            text = script or 'for each in "$0" "$@"; do printf "%s\\n" "$each"; done'
            self._write(self.root / folder / name, f"#!/bin/sh\n{text}\n", True)

    @staticmethod
    def _write(file: Path, text: str, program: bool) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if program else 0o644)

    def run(self, command: str, **environment: str) -> list[str]:
        path = f"{self.root}/bin:{Path('/usr/bin')}:/bin"
        done = subprocess.run(
            [*self.shell, "-euc", f". {self.root}/kaiun/on; {command}"],
            env={"PATH": path, **environment},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    @property
    def told(self) -> list[asked.Asked]:
        file = self.root / "told"
        lines = file.read_text().splitlines() if file.exists() else []
        return [found for line in lines if (found := asked.parse(line))]


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def step(request: pytest.FixtureRequest, tmp_path: Path) -> Step:
    return Step(tmp_path, request.param)


@pytest.mark.parametrize(
    ("command", "becomes"),
    [
        ("gcc -O2 -march=native 'a b.c'", ["-O2", *V2, "a b.c"]),
        ("gcc -mtune=native -mcpu=native", ["-mtune=generic", "-mtune=generic"]),
        ("gcc -march=x86-64-v3 -mavx2 native.c", ["-march=x86-64-v3", "-mavx2", "native.c"]),
        ("gcc -Wp,-march=native,-DA", ["-Wp,-march=x86-64-v2,-DA"]),
        (
            "gcc '-DF=\"-march=native\"' -march=nativeish",
            ['-DF="-march=native"', "-march=nativeish"],
        ),
        ("x86_64-linux-gnu-g++-12 -march=native", V2),
        ("clang-14 '' -march=native", ["", *V2]),
        ("rustc -C target-cpu=native", ["-C", "target-cpu=x86-64-v2"]),
        ("rustc -Ctarget-cpu=native", ["-Ctarget-cpu=x86-64-v2"]),
        ("rustc --codegen=target-cpu=native", ["--codegen=target-cpu=x86-64-v2"]),
        ("$RUSTC_WRAPPER rustc -C target-cpu=native", ["-C", "target-cpu=x86-64-v2"]),
        ("gcc", []),
    ],
)
def test_native_becomes_the_baseline_and_nothing_else_changes(
    step: Step, command: str, becomes: list[str]
) -> None:
    real, *arguments = step.run(command)
    assert arguments == becomes
    assert real.removeprefix(f"{step.root}/bin/") in command


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ('-O2\n"-march=native" -mtune=native', '-O2\n"-march=x86-64-v2" -mtune=generic\n'),
        ("-Ctarget-cpu=native\n--edition\n", "-Ctarget-cpu=x86-64-v2\n--edition\n"),
        ("-DA=-march=native\n-I/native\n", "-DA=-march=native\n-I/native\n"),
        ("-O2\n", "-O2\n"),
    ],
)
def test_response_files_are_read_and_left_as_they_are(step: Step, text: str, becomes: str) -> None:
    file = step.root / "arguments"
    file.write_text(text)
    (_, argument) = step.run(f"gcc @{file}")
    assert Path(argument.removeprefix("@")).read_text().rstrip("\n") == becomes.rstrip("\n")
    assert file.read_text() == text
    assert step.run("gcc @missing")[1:] == ["@missing"]


def test_only_compilers_that_are_there_have_a_name(step: Step) -> None:
    step.run("true")
    names = {path.name for path in (step.root / "shm/kaiun/bin").iterdir()}
    ours = {"gcc", "x86_64-linux-gnu-g++-12", "clang-14", "rustc"}
    assert ours <= names
    assert not names & {"make", "gcc-ar-12", "clang-99", "bin"}


def test_compiler_installed_by_a_package_manager_is_found_at_once(step: Step) -> None:
    step.install("apt-get", script=f"cp {step.root}/bin/gcc {step.root}/bin/gcc-99; exit 3")
    said = step.run(
        "status=0; apt-get install gcc-99 || status=$?; echo $status; gcc-99 -march=native"
    )
    assert said == ["3", f"{step.root}/bin/gcc-99", *V2]


def test_exit_code_standard_input_and_later_folders_of_path_are_the_real_ones(step: Step) -> None:
    step.install("cc-old-gcc", folder="late", script="cat; exit 7")
    said = step.run(f"PATH=$PATH:{step.root}/late; echo in | cc-old-gcc -march=native || echo $?")
    assert said == ["in", "7"]


def test_a_wrapper_of_the_compiler_does_not_find_the_shim_again(step: Step) -> None:
    """As ccache does: under the name of gcc it looks for the next gcc in PATH."""
    step.install("gcc", folder="first", script='PATH=${PATH#*:}; exec gcc "$@" -cached')
    path = f"{step.root}/first:{step.root}/bin:/usr/bin:/bin"
    assert step.run("gcc -march=native", PATH=path) == [f"{step.root}/bin/gcc", *V2, "-cached"]


def test_environment_of_the_user_is_kept(step: Step) -> None:
    own = {"LIBRARY_PATH": "/opt/lib", "CCC_OVERRIDE_OPTIONS": "#+-g", "RUSTC_WRAPPER": "sccache"}
    said = step.run('echo "$LIBRARY_PATH $RUSTC_WRAPPER $CCC_OVERRIDE_OPTIONS"', **own)
    assert said == [
        f"/opt/lib:{step.root}/shm/kaiun/specs sccache # s/^-march=native$/-march=x86-64-v2/ "
        "s/^-mtune=native$/-mtune=generic/ s/^-mcpu=native$/-mtune=generic/ +-g"
    ]


def test_exec_form_runs_its_words(step: Step) -> None:
    assert step.run(f"{step.root}/kaiun/exec gcc 'a b' -march=native")[1:] == ["a b", *V2]


def test_who_asked_is_told_once_for_each_folder_and_flag(step: Step) -> None:
    gem = step.root / "gems/digest-fast-1.2.0/ext"
    gem.mkdir(parents=True)
    step.run(
        f"cd {gem}; gcc -march=native; gcc -march=native; gcc -mtune=native", CARGO_PKG_NAME=""
    )
    step.run("gcc -march=native", npm_package_name="@acme/fast")
    assert [str(each) for each in step.told] == [
        "digest-fast-1.2.0 asked for -march=native (gcc)",
        "digest-fast-1.2.0 asked for -mtune=native (gcc)",
        "@acme/fast asked for -march=native (gcc)",
    ]


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("/usr/local/bundle/gems/bcrypt-3.1.20/ext/mri", "bcrypt-3.1.20"),
        ("/usr/local/bundle/ruby/3.3.0/bundler/gems/fast-0a1b2c/ext", "fast-0a1b2c"),
        ("/tmp/pip-install-abc/numpy_0123456789abcdef0123456789abcdef/build", "numpy"),
        ("/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/ring-0.17.8", "ring-0.17.8"),
        ("/app/node_modules/a/node_modules/@b/c/build", "@b/c"),
        ("/srv", ""),
    ],
)
def test_folder_tells_the_package(folder: str, package: str) -> None:
    assert asked.package(folder) == package


@pytest.mark.parametrize("level", [name for name in shim.TARGETS if name.startswith("x86")])
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no GCC here")
def test_gcc_itself_takes_the_specs_by_an_absolute_path(tmp_path: Path, level: str) -> None:
    gcc = shutil.which("gcc")
    (tmp_path / "a.c").write_text('#include <stdio.h>\nint main(void) { return puts("hi") < 0; }\n')
    step = Step(tmp_path, ("dash",), level)

    def macros(*arguments: str) -> set[str]:
        said = step.run(f"{gcc} {' '.join(arguments)} -dM -E a.c")
        return {line for line in said if "__tune" not in line}

    native = macros("-march=native", "-mtune=native")
    assert native == macros(f"-march={level}") == macros(*shim.flags(level).march.split())
    assert step.run(f"{gcc} -static -flto -o a a.c && ./a") == ["hi"]


@pytest.mark.skipif(shutil.which("clang-14") is None, reason="no clang here")
def test_clang_itself_heeds_the_override(tmp_path: Path) -> None:
    (tmp_path / "a.c").touch()
    clang = shutil.which("clang-14")
    assert clang
    step = Step(tmp_path, ("dash",))
    said = step.run(f"{clang} -march=native -### {tmp_path}/a.c 2>&1")
    assert '"-target-cpu" "x86-64-v2"' in " ".join(said)


@pytest.mark.parametrize(
    ("baseline", "target"),
    [
        ("x86-64", "x86-64"),
        ("x86-64-v3", "x86-64-v3"),
        ("fargate", "x86-64-v2"),
        ("m3", "x86-64-v2"),
        ("m6a.large", "x86-64-v3"),
        ("m5", "x86-64-v4"),
        ("a1", "cortex-a72"),
        ("m6g", "neoverse-n1"),
        ("graviton3", "neoverse-v1"),
        ("m8g", "neoverse-v2"),
    ],
)
def test_a_baseline_has_a_name_that_compilers_know(baseline: str, target: str) -> None:
    assert shim.target(levels.parse(baseline)) == target
    assert target in shim.flags(target).rust


def test_name_for_graviton4_is_one_that_gcc_11_knows() -> None:
    """GCC knows neoverse-v2 from version 13 on; Debian 12 has 12."""
    flags = shim.flags("neoverse-v2")
    assert (flags.mcpu, flags.mtune) == ("-mcpu=neoverse-512tvb", "-mtune=neoverse-512tvb")
    assert (flags.march, flags.rust) == ("-march=armv8.5-a+sve2+bf16+i8mm", "neoverse-v2")
