"""What the scanner says of files for AArch64; elves/make.sh tells how they were made."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from kaiun.cpu import facts, levels
from kaiun.cpu.verdict import Kind, Verdict, judge

ELVES = Path(__file__).parent / "elves"
QEMU = "qemu-aarch64-static"


def verdict(name: str, baseline: str, at: str = "/app/libsmall.so") -> Verdict:
    found = facts.of_file((ELVES / f"{name}.elf").read_bytes())
    assert found is not None
    return judge(found, at, levels.parse(baseline))


@pytest.mark.parametrize(
    ("name", "baseline", "kind", "features"),
    [
        ("plain", "armv8-a", Kind.CLEAN, ""),
        ("neoverse-n1", "graviton2", Kind.CLEAN, ""),
        ("neoverse-v1", "graviton", Kind.RISK, "sve"),
        ("neoverse-v1", "m6g.large", Kind.RISK, "sve"),
        ("neoverse-v1", "c7g", Kind.CLEAN, ""),
        ("neoverse-v1-stripped", "graviton2", Kind.RISK, "sve"),
        ("lse", "a1", Kind.RISK, "atomics"),
        ("lse", "graviton2", Kind.CLEAN, ""),
        ("outline", "a1", Kind.GUARDED, "atomics"),
        ("outline", "graviton2", Kind.CLEAN, ""),
        ("outline-and-sve", "graviton2", Kind.RISK, "sve"),
        ("guarded", "graviton2", Kind.GUARDED, "sve"),
        ("guarded-stripped", "graviton2", Kind.GUARDED, "sve"),
        ("guarded-by-mrs", "graviton2", Kind.GUARDED, "sve"),
        ("half-guarded", "graviton2", Kind.REVIEW, "sve"),
        ("contaminated", "graviton2", Kind.RISK, "sve"),
        ("contaminated", "graviton3", Kind.CLEAN, ""),
        ("debug", "graviton2", Kind.RISK, "sve"),
        ("debug", "graviton3", Kind.CLEAN, ""),
        ("debug-n1", "graviton2", Kind.REVIEW, "sve"),  # its option does not allow SVE
        ("ifunc", "graviton2", Kind.GUARDED, "sve"),
        ("tables", "graviton2", Kind.RISK, "sha512"),
        ("tables-stripped", "graviton2", Kind.RISK, "sha512"),
        ("tables-stripped", "graviton4", Kind.CLEAN, ""),
    ],
)
def test_file_is_judged(name: str, baseline: str, kind: Kind, features: str) -> None:
    found = verdict(name, baseline)
    assert (found.kind, " ".join(sorted(found.features))) == (kind, features)


def test_functions_are_named() -> None:
    assert verdict("neoverse-v1", "graviton2").functions == tuple(f"add{n}" for n in range(1, 6))
    assert verdict("neoverse-v1", "graviton2").count == 8
    assert verdict("neoverse-v1-stripped", "graviton2").functions[0].startswith("sub_")
    assert verdict("half-guarded", "graviton2").functions == ("hasty",)
    assert verdict("outline-and-sve", "graviton2").functions == ("twice",)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("neoverse-v1", "it never asks the CPU what it can do"),
        ("outline-and-sve", "it asks the CPU for atomics only, in libgcc's way"),
        ("debug", "all of it is compiled with -mcpu=neoverse-v1"),
        ("guarded", "imports getauxval"),
        ("guarded-by-mrs", "mrs of a register that tells in look"),
        ("ifunc", "STT_GNU_IFUNC"),
    ],
)
def test_evidence_is_told(name: str, why: str) -> None:
    assert verdict(name, "graviton2").why == why


def test_plain_exported_functions_void_a_known_name() -> None:
    at = "/usr/lib/libjpeg.so.62"
    found = verdict("contaminated", "graviton2", at)
    assert found.kind is Kind.RISK
    assert found.why == "6 functions that others call need it, without a check"
    assert "add1" in found.functions
    assert verdict("guarded", "graviton2", at).kind is Kind.GUARDED


@pytest.mark.parametrize(
    "path", ["/lib/aarch64-linux-gnu/atomics/libsmall.so", "/app/libsmall-neoverse-v1.so"]
)
def test_name_tells_a_variant(path: str) -> None:
    assert verdict("neoverse-v1", "graviton2", path).kind is Kind.VARIANT


def test_another_architecture_is_not_judged() -> None:
    found = verdict("neoverse-v1", "x86-64-v2")
    assert (found.kind, found.why) == (Kind.UNKNOWN, "a file for another CPU than x86-64")


@pytest.mark.parametrize("size", [64, 200, 500, 3000])
def test_cut_file_ends_nothing(size: int) -> None:
    found = facts.of_file((ELVES / "neoverse-v1.elf").read_bytes()[:size])
    assert found is not None
    assert judge(found, "/a", levels.parse("graviton2")).kind is Kind.UNKNOWN


@pytest.mark.parametrize("field", [24, 64 + 16, 64 + 40])  # entry; first segment: address, memory
def test_addresses_of_a_kernel_are_not_judged(field: int) -> None:
    data = bytearray((ELVES / "guarded.elf").read_bytes())
    data[field : field + 8] = (0xFFFF_8000_0800_0000).to_bytes(8, "little")
    found = facts.of_file(bytes(data))
    assert found is not None
    assert found.problem == "an address is none that a process has"


def test_facts_survive_the_store() -> None:
    found = facts.of_file((ELVES / "half-guarded.elf").read_bytes())
    assert found is not None
    assert facts.load(found.dump()) == found


@pytest.mark.skipif(shutil.which(QEMU) is None, reason="no qemu-user-static here")
@pytest.mark.parametrize("name", ["plain", "neoverse-n1", "neoverse-v1"])
@pytest.mark.parametrize(("cpu", "baseline"), [("cortex-a72", "a1"), ("neoverse-n1", "m6g")])
def test_verdict_is_what_an_older_machine_does(
    tmp_path: Path, name: str, cpu: str, baseline: str
) -> None:
    program = shutil.copy(ELVES / f"{name}.elf", tmp_path)
    Path(program).chmod(0o755)
    run = [QEMU, "-cpu", cpu, program]
    code = subprocess.run(run, check=False, capture_output=True, timeout=60).returncode
    assert code in {0, -signal.SIGILL}
    assert (code != 0) == (verdict(name, baseline).kind is Kind.RISK)
