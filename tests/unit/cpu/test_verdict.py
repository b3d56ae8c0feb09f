"""What the scanner says of files that gcc made, for CPUs that the test names."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support import compiled as sources
from support.compiled import compiled

from kaiun.cpu import facts, levels
from kaiun.cpu.verdict import Kind, Verdict, judge

QEMU = "qemu-x86_64-static"


def verdict(path: Path, baseline: str = "x86-64-v2", *, at: str = "") -> Verdict:
    found = facts.of_file(path.read_bytes())
    assert found is not None
    return judge(found, at or str(path), levels.parse(baseline))


def test_baseline_code_is_clean(tmp_path: Path) -> None:
    assert verdict(compiled(tmp_path, sources.VECTORS), "x86-64").kind is Kind.CLEAN


def test_rep_bsf_is_no_bmi1(tmp_path: Path) -> None:
    path = compiled(tmp_path, sources.COUNTS_ZEROS)
    shown = subprocess.run(
        ["objdump", "-d", str(path)], check=True, capture_output=True, text=True
    ).stdout
    assert "tzcnt" in shown or "repz bsf" in shown  # gcc wrote it, else the test says nothing
    assert verdict(path, "x86-64").kind is Kind.CLEAN


def test_data_in_text_is_no_code(tmp_path: Path) -> None:
    assert verdict(compiled(tmp_path, sources.DATA_IN_TEXT)).kind is Kind.CLEAN


@pytest.mark.parametrize("stripped", [[], ["-s"]])
def test_file_compiled_for_a_newer_cpu_is_a_risk(tmp_path: Path, stripped: list[str]) -> None:
    found = verdict(compiled(tmp_path, sources.VECTORS, "-march=haswell", *stripped))
    assert found.kind is Kind.RISK
    assert "avx" in found.features
    assert "compiled as a whole for AVX: 8 of 8" in found.why
    assert found.functions[0].startswith("add") or stripped
    assert found.count == 8


def test_file_for_v3_is_clean_where_v3_is_the_baseline(tmp_path: Path) -> None:
    path = compiled(tmp_path, sources.VECTORS, "-march=x86-64-v3")
    assert verdict(path, "x86-64-v3").kind is Kind.CLEAN
    assert verdict(path, "m5").kind is Kind.CLEAN
    assert verdict(path, "t2").kind is Kind.RISK


def test_few_functions_without_any_check_are_a_risk(tmp_path: Path) -> None:
    source = "void twice(float *a) { for (int i = 0; i < 64; i++) a[i] *= 2; }"
    found = verdict(compiled(tmp_path, source, "-mavx2"))
    assert found.kind is Kind.RISK
    assert found.why == "it never asks the CPU what it can do"


def test_native_is_told_by_its_debug_information(tmp_path: Path) -> None:
    """GCC notes the sizes of this machine's caches, whatever its processor is called."""
    source = sources.GUARDED
    flags = ("-g", "-mavx2", "--param=l1-cache-size=32")
    found = verdict(compiled(tmp_path, source, "-march=haswell", *flags))
    assert found.kind is Kind.RISK
    assert found.why == "compiled with -march=native (on haswell)"


def test_guarded_function_is_no_risk(tmp_path: Path) -> None:
    found = verdict(compiled(tmp_path, sources.GUARDED))
    assert found.kind is Kind.GUARDED
    assert found.functions == ("fast",)
    assert found.why.startswith("cpuid in ")


def test_function_that_is_called_without_the_check_is_for_review(tmp_path: Path) -> None:
    found = verdict(compiled(tmp_path, sources.HALF_GUARDED))
    assert found.kind is Kind.REVIEW
    assert found.functions == ("hasty",)


def test_clones_behind_an_ifunc_are_guarded(tmp_path: Path) -> None:
    found = verdict(compiled(tmp_path, sources.CLONES))
    assert found.kind is Kind.GUARDED
    assert "STT_GNU_IFUNC" in found.why


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/usr/lib/glibc-hwcaps/x86-64-v3/libsmall.so", Kind.VARIANT),
        ("/app/libsmall_avx2.so.1", Kind.VARIANT),
        ("/app/libggml-cpu-haswell.so", Kind.VARIANT),
        ("/gems/avx-1.0/libsmall.so", Kind.RISK),  # a folder's name says nothing
        ("/app/libmavx2tools.so", Kind.RISK),
    ],
)
def test_name_tells_a_variant(tmp_path: Path, path: str, kind: Kind) -> None:
    found = compiled(tmp_path, sources.VECTORS, "-march=haswell")
    assert verdict(found, at=path).kind is kind


def test_level_that_the_linker_noted_is_a_risk(tmp_path: Path) -> None:
    path = compiled(tmp_path, "int one(void) { return 1; }", "-Wl,-z,x86-64-v3")
    found = verdict(path)
    assert found.kind is Kind.RISK
    assert found.why == "its linker noted that it needs x86-64-v3"
    assert verdict(path, "x86-64-v3").kind is Kind.CLEAN


def test_object_files_and_scripts_do_not_run(tmp_path: Path) -> None:
    path = tmp_path / "small.o"
    source = "int one(void) { return 1; }"
    subprocess.run(
        ["gcc", "-x", "c", "-c", "-o", str(path), "-"], input=source, text=True, check=True
    )
    assert facts.of_file(path.read_bytes()) is None


def test_file_of_another_machine_is_not_judged(tmp_path: Path) -> None:
    data = bytearray(compiled(tmp_path, sources.VECTORS).read_bytes())
    data[18] = 243  # RISC-V
    found = facts.of_file(bytes(data))
    assert found is not None
    assert judge(found, "/a", levels.parse("x86-64-v2")).kind is Kind.UNKNOWN
    assert judge(found, "/a", levels.parse("m7g")).kind is Kind.UNKNOWN


@pytest.mark.parametrize("size", [4, 63, 64, 200, 5000])
def test_cut_file_is_not_judged_and_ends_nothing(tmp_path: Path, size: int) -> None:
    data = compiled(tmp_path, sources.VECTORS, "-march=haswell").read_bytes()[:size]
    found = facts.of_file(data)
    assert found is not None
    assert judge(found, "/a", levels.parse("x86-64-v2")).kind is Kind.UNKNOWN


def test_facts_survive_the_store(tmp_path: Path) -> None:
    found = facts.of_file(compiled(tmp_path, sources.HALF_GUARDED).read_bytes())
    assert found is not None
    assert facts.load(found.dump()) == found


@pytest.mark.skipif(shutil.which(QEMU) is None, reason="no qemu-user-static here")
@pytest.mark.parametrize(("march", "kind"), [("haswell", Kind.RISK), ("x86-64-v2", Kind.CLEAN)])
def test_verdict_is_what_an_older_machine_does(tmp_path: Path, march: str, kind: Kind) -> None:
    main = sources.VECTORS + "int main(void) { float a[64], b[64] = {1}; add2(a, b); return 0; }"
    program = compiled(tmp_path, main, f"-march={march}", name="program", shared=False)
    run = [QEMU, "-cpu", "Westmere", "-L", "/", str(program)]
    code = subprocess.run(run, check=False, capture_output=True, timeout=60).returncode
    assert code == (-signal.SIGILL if kind is Kind.RISK else 0)
    assert verdict(program).kind is kind
