"""Small libraries of machine code, compiled by gcc for the CPU that a test names."""

from __future__ import annotations

import subprocess
from pathlib import Path

# Six functions and more with vectors, so that their share says something.
VECTORS = "\n".join(
    f"void add{n}(float *a, const float *b) {{ for (int i = 0; i < 64; i++) a[i] += b[i] * {n}; }}"
    for n in range(1, 9)
)
# Baseline code in which gcc writes `rep bsf`: the bytes of TZCNT.
COUNTS_ZEROS = """
int first(unsigned long x) { return __builtin_ctzl(x); }
int next(unsigned x) { return x ? __builtin_ctz(x) : 32; }
"""
# One function for AVX2 that is reached only through a check of the CPU.
GUARDED = """
#include <cpuid.h>
static int level;
__attribute__((constructor)) static void look(void) {
  unsigned a, b = 0, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) level = b >> 5 & 1;
}
__attribute__((target("avx2"), noinline)) static void fast(float *a) {
  for (int i = 0; i < 64; i++) a[i] *= 2;
}
__attribute__((noinline)) static void slow(float *a) { for (int i = 0; i < 64; i++) a[i] *= 2; }
void twice(float *a) { if (level) fast(a); else slow(a); }
"""
# The same, and a second function for AVX2 that is called whatever the CPU is.
HALF_GUARDED = (
    GUARDED
    + """
__attribute__((target("avx2"), noinline)) static void hasty(float *a) {
  for (int i = 0; i < 64; i++) a[i] += 2;
}
void more(float *a) { hasty(a); }
"""
)
# gcc makes a version for each CPU, and a resolver that the dynamic linker asks.
CLONES = """
__attribute__((target_clones("avx2", "default")))
void twice(float *a) { for (int i = 0; i < 64; i++) a[i] *= 2; }
"""
# Data between functions, which decodes to AVX; no table says that it is code.
DATA_IN_TEXT = """
int one(void) { return 1; }
__asm__(".text\\n.align 16\\n.fill 8, 4, 0xd058fcc5\\n.byte 0xe4, 0x06, 0xf4, 0xec\\n"
        ".fill 8, 4, 0xd058fcc5\\n");
int two(void) { return 2; }
"""


def compiled(
    folder: Path, source: str, *flags: str, name: str = "libsmall.so", shared: bool = True
) -> Path:
    """Return a shared library, or a program, made of C."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = ["-shared", "-fPIC"] if shared else []
    command = ["gcc", "-x", "c", "-O2", "-ftree-vectorize", *kind, *flags]
    subprocess.run(
        [*command, "-o", str(path), "-"], input=source, text=True, check=True, capture_output=True
    )
    return path
