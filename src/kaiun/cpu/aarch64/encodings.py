"""What AArch64 instructions need beyond Armv8.0-A, a row a class of encodings.

Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4 "A64 Instruction Set
Encoding" and C6 to C8; features are Linux's (Documentation/arch/arm64/elf_hwcaps.rst).
A pattern shows bits 31 to 0 as the manual's diagrams do; `x` is any bit. The first row that fits
counts. Not in the table, for no older CPU stumbles over them: instructions in the space of HINT
(paciasp, autiasp, bti, dgh, esb, csdb: NOPs there), and what only a kernel may use. Features that
the kernel does not name count for one of the same age: LDLAR and STLLR (Armv8.1) for atomics.
Tests and `python -m bench._aarch64` compare it with GNU as, which knows what each -march allows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from kaiun.cpu.levels import CHECK, to_mask

Words = npt.NDArray[np.uint32]
Masks = npt.NDArray[np.int64]
ASKS = "asks"  # no feature: reads one of the registers that tell what the CPU can do

ENCODINGS: tuple[tuple[str, str], ...] = (
    # Loads and stores (C4.1.94)
    ("atomics", "0x001000 0x1 xxxxx x11111 xxxxx xxxxx"),  # CASP
    ("atomics", "xx001000 1x1 xxxxx x11111 xxxxx xxxxx"),  # CAS
    ("atomics", "xx001000 1x0 xxxxx 0xxxxx xxxxx xxxxx"),  # LDLAR, STLLR
    ("atomics", "xx111000 xx1 xxxxx 0xxx00 xxxxx xxxxx"),  # LDADD, LDCLR, LDEOR, LDSET, LDSMAX…
    ("atomics", "xx111000 xx1 xxxxx 100000 xxxxx xxxxx"),  # SWP
    ("lrcpc", "xx111000 101 xxxxx 110000 xxxxx xxxxx"),  # LDAPR
    ("ilrcpc", "xx011001 xx0 xxxxx xxxx00 xxxxx xxxxx"),  # LDAPUR, STLUR
    ("lrcpc3", "xx011x01 xx0 xxxxx xxxx10 xxxxx xxxxx"),  # LDIAPP, STILP
    ("lse128", "00011001 xx1 xxxxx xxxx00 xxxxx xxxxx"),  # LDCLRP, LDSETP, SWPP
    ("mops", "00011x01 xx0 xxxxx xxxx01 xxxxx xxxxx"),  # CPYP, SETP…
    ("mte", "11011001 xx1 xxxxx xxxxxx xxxxx xxxxx"),  # STG, LDG, STZG…
    ("mte", "0110100x x0x xxxxx xxxxxx xxxxx xxxxx"),  # STGP
    ("paca", "11111000 xx1 xxxxx xxxxx1 xxxxx xxxxx"),  # LDRAA, LDRAB
    # Data processing (C4.1.92, C4.1.95)
    ("mte", "1x010001 10x xxxxx xxxxxx xxxxx xxxxx"),  # ADDG, SUBG
    ("cssc", "x0010001 11x xxxxx xxxxxx xxxxx xxxxx"),  # SMAX, UMIN… with an immediate
    ("mte", "10011010 110 xxxxx 00010x xxxxx xxxxx"),  # IRG, GMI
    ("mte", "10111010 110 xxxxx 000000 xxxxx xxxxx"),  # SUBPS
    ("mte", "10011010 110 xxxxx 000000 xxxxx xxxxx"),  # SUBP
    ("pacg", "10011010 110 xxxxx 001100 xxxxx xxxxx"),  # PACGA
    ("crc32", "x0011010 110 xxxxx 010xxx xxxxx xxxxx"),
    ("cssc", "x0011010 110 xxxxx 0110xx xxxxx xxxxx"),  # SMAX, UMIN…
    ("cssc", "x1011010 110 00000 000110 xxxxx xxxxx"),  # CTZ
    ("cssc", "x1011010 110 00000 000111 xxxxx xxxxx"),  # CNT
    ("cssc", "x1011010 110 00000 001000 xxxxx xxxxx"),  # ABS
    ("paca", "11011010 110 00001 xxxxxx xxxxx xxxxx"),  # PACIA Xd, Xn… XPACI
    ("flagm", "10111010 000 xxxxx x00001 xxxxx 0xxxx"),  # RMIF
    ("flagm", "00111010 000 00000 0x0010 xxxxx 01101"),  # SETF8, SETF16
    # Branches and the system (C4.1.93)
    ("paca", "1101011x xxx 11111 00001x xxxxx xxxxx"),  # BRAA, BLRAA, RETAA…
    ("hbc", "01010100 xxx xxxxx xxxxxx xxxxx 1xxxx"),  # BC.cond
    ("wfxt", "11010101 000 00011 000100 0000x xxxxx"),  # WFET, WFIT
    ("sb", "11010101 000 00011 001100 00111 11111"),
    ("flagm", "11010101 000 00000 0100xx xx000 11111"),  # CFINV
    ("flagm2", "11010101 000 00000 0100xx xx001 11111"),  # XAFLAG
    ("flagm2", "11010101 000 00000 0100xx xx010 11111"),  # AXFLAG
    ("ssbs", "11010101 000 00011 0100xx xx001 11111"),  # MSR SSBS, #
    ("dit", "11010101 000 00011 0100xx xx010 11111"),  # MSR DIT, #
    ("sme", "11010101 000 00011 0100xx xx011 11111"),  # SMSTART, SMSTOP
    ("mte", "11010101 000 00011 0100xx xx100 11111"),  # MSR TCO, #
    ("dcpop", "11010101 000 01011 011111 00001 xxxxx"),  # DC CVAP
    ("dcpodp", "11010101 000 01011 011111 01001 xxxxx"),  # DC CVADP
    ("mte", "11010101 000 01011 011101 00011 xxxxx"),  # DC GVA
    ("mte", "11010101 000 01011 011101 00100 xxxxx"),  # DC GZVA
    ("mte", "11010101 000 01011 01111x xx011 xxxxx"),  # DC CGVAC…
    ("mte", "11010101 000 01011 01111x xx101 xxxxx"),
    ("rng", "11010101 001 11011 001001 0000x xxxxx"),  # MRS RNDR, RNDRRS
    ("dit", "11010101 00x 11011 010000 10101 xxxxx"),  # MRS, MSR DIT
    ("ssbs", "11010101 00x 11011 010000 10110 xxxxx"),
    ("mte", "11010101 00x 11011 010000 10111 xxxxx"),  # TCO
    ("sme", "11010101 00x 11011 010000 10010 xxxxx"),  # SVCR
    ("sme", "11010101 00x 11011 110100 00101 xxxxx"),  # TPIDR2_EL0
    ("ecv", "11010101 001 11011 111000 00110 xxxxx"),  # CNTPCTSS_EL0
    ("ecv", "11010101 001 11011 111000 00101 xxxxx"),
    (ASKS, "11010101 001 11000 00000x xxxxx xxxxx"),  # MRS ID_AA64ISAR0_EL1, MIDR_EL1…
    # Floating point (C4.1.96): half precision has type 11, but for FCVT
    ("fphp", "00011110 111 0000x x10000 xxxxx xxxxx"),  # FMOV, FABS, FNEG, FSQRT
    ("fphp", "00011110 111 001xx x10000 xxxxx xxxxx"),  # FRINTN…
    ("frint", "00011110 0x1 0100x x10000 xxxxx xxxxx"),  # FRINT32Z…
    ("bf16", "00011110 011 00011 010000 xxxxx xxxxx"),  # BFCVT
    ("fphp", "00011110 111 xxxxx 001000 xxxxx xxxxx"),  # FCMP
    ("fphp", "00011110 111 xxxxx xxx100 00000 xxxxx"),  # FMOV #
    ("fphp", "00011110 111 xxxxx xxxx01 xxxxx xxxxx"),  # FCCMP
    ("fphp", "00011110 111 xxxxx xxxx1x xxxxx xxxxx"),  # FADD…, FCSEL
    ("fphp", "00011111 11x xxxxx xxxxxx xxxxx xxxxx"),  # FMADD…
    ("fphp", "x0011110 110 xxxxx xxxxxx xxxxx xxxxx"),  # SCVTF…, fixed point
    ("fphp", "x0011110 111 xxxxx 000000 xxxxx xxxxx"),  # SCVTF…, FMOV Hd, Wn
    ("jscvt", "00011110 011 11110 000000 xxxxx xxxxx"),  # FJCVTZS
    # Cryptography (C4.1.96)
    ("aes", "01001110 001 01000 01xx10 xxxxx xxxxx"),  # AESE, AESD, AESMC, AESIMC
    ("pmull", "0x001110 111 xxxxx 111000 xxxxx xxxxx"),  # PMULL of 64 bits
    ("sha1", "01011110 000 xxxxx 00xx00 xxxxx xxxxx"),
    ("sha2", "01011110 000 xxxxx 01xx00 xxxxx xxxxx"),
    ("sha1", "01011110 001 01000 000x10 xxxxx xxxxx"),
    ("sha2", "01011110 001 01000 001010 xxxxx xxxxx"),
    ("sha3", "11001110 00x xxxxx 0xxxxx xxxxx xxxxx"),  # EOR3, BCAX
    ("sha3", "11001110 100 xxxxx xxxxxx xxxxx xxxxx"),  # XAR
    ("sha3", "11001110 011 xxxxx 100011 xxxxx xxxxx"),  # RAX1
    ("sha512", "11001110 011 xxxxx 1000xx xxxxx xxxxx"),
    ("sha512", "11001110 110 00000 100000 xxxxx xxxxx"),  # SHA512SU0
    ("sm3", "11001110 010 xxxxx 0xxxxx xxxxx xxxxx"),  # SM3SS1
    ("sm3", "11001110 010 xxxxx 10xxxx xxxxx xxxxx"),  # SM3TT1A…
    ("sm3", "11001110 011 xxxxx 11000x xxxxx xxxxx"),  # SM3PARTW1, 2
    ("sm4", "11001110 011 xxxxx 110010 xxxxx xxxxx"),  # SM4EKEY
    ("sm4", "11001110 110 00000 100001 xxxxx xxxxx"),  # SM4E
    # Advanced SIMD: vectors, and scalars in its registers (C4.1.96)
    ("asimdhp", "0xx01110 x10 xxxxx 00xxx1 xxxxx xxxxx"),  # three of half precision
    ("asimdhp", "01x11110 x10 xxxxx 00xxx1 xxxxx xxxxx"),
    ("asimdhp", "0xx01110 x11 1100x xxxx10 xxxxx xxxxx"),  # two registers
    ("asimdhp", "01x11110 x11 1100x xxxx10 xxxxx xxxxx"),
    ("asimdhp", "0xx01111 000 1xxxx 111x01 xxxxx xxxxx"),  # SCVTF…, fixed point
    ("asimdhp", "0xx01111 000 1xxxx 111111 xxxxx xxxxx"),
    ("asimdhp", "01x11111 000 1xxxx 111x01 xxxxx xxxxx"),
    ("asimdhp", "01x11111 000 1xxxx 111111 xxxxx xxxxx"),
    ("asimdhp", "0x001111 000 00xxx 111111 xxxxx xxxxx"),  # FMOV #
    ("asimdhp", "0x001110 x01 10000 11xx10 xxxxx xxxxx"),  # FMAXNMV, FMAXV…
    ("asimdhp", "01011110 x01 10000 110x10 xxxxx xxxxx"),  # pairs: FMAXNMP, FADDP
    ("asimdhp", "01011110 x01 10000 111110 xxxxx xxxxx"),  # FMAXP, FMINP
    ("asimdhp", "0x001111 00x xxxxx 0x01x0 xxxxx xxxxx"),  # FMLA, FMLS by element
    ("asimdhp", "01011111 00x xxxxx 0x01x0 xxxxx xxxxx"),
    ("asimdhp", "0xx01111 00x xxxxx 1001x0 xxxxx xxxxx"),  # FMUL, FMULX by element
    ("asimdhp", "01x11111 00x xxxxx 1001x0 xxxxx xxxxx"),
    ("asimdfhm", "0x001110 x01 xxxxx 111011 xxxxx xxxxx"),  # FMLAL, FMLSL
    ("asimdfhm", "0x101110 x01 xxxxx 110011 xxxxx xxxxx"),
    ("asimdfhm", "0x001111 10x xxxxx 0x00x0 xxxxx xxxxx"),
    ("asimdfhm", "0x101111 10x xxxxx 1x00x0 xxxxx xxxxx"),
    ("asimdrdm", "0x101110 xx0 xxxxx 1000x1 xxxxx xxxxx"),  # SQRDMLAH, SQRDMLSH
    ("asimdrdm", "01111110 xx0 xxxxx 1000x1 xxxxx xxxxx"),
    ("asimdrdm", "0x101111 xxx xxxxx 11x1x0 xxxxx xxxxx"),
    ("asimdrdm", "01111111 xxx xxxxx 11x1x0 xxxxx xxxxx"),
    ("asimddp", "0xx01110 100 xxxxx 100101 xxxxx xxxxx"),  # SDOT, UDOT
    ("asimddp", "0xx01111 10x xxxxx 1110x0 xxxxx xxxxx"),
    ("i8mm", "0x001110 100 xxxxx 100111 xxxxx xxxxx"),  # USDOT
    ("i8mm", "01x01110 100 xxxxx 101001 xxxxx xxxxx"),  # SMMLA, UMMLA
    ("i8mm", "01001110 100 xxxxx 101011 xxxxx xxxxx"),  # USMMLA
    ("i8mm", "0x001111 x0x xxxxx 1111x0 xxxxx xxxxx"),  # USDOT, SUDOT by element
    ("bf16", "0x001111 x1x xxxxx 1111x0 xxxxx xxxxx"),  # BFDOT, BFMLAL by element
    ("bf16", "0x101110 x10 xxxxx 111111 xxxxx xxxxx"),  # BFDOT, BFMLAL
    ("bf16", "01101110 010 xxxxx 111011 xxxxx xxxxx"),  # BFMMLA
    ("bf16", "0x001110 101 00001 011010 xxxxx xxxxx"),  # BFCVTN
    ("fcma", "0x101110 xx0 xxxxx 110xx1 xxxxx xxxxx"),  # FCMLA
    ("fcma", "0x101110 xx0 xxxxx 111x01 xxxxx xxxxx"),  # FCADD
    ("fcma", "0x101111 01x xxxxx 0xx1x0 xxxxx xxxxx"),
    ("fcma", "0x101111 10x xxxxx 0xx1x0 xxxxx xxxxx"),
    ("frint", "0xx01110 0x1 00001 111x10 xxxxx xxxxx"),  # FRINT32X…
    # SVE and SVE2 (C4.1.41 on): what is not SVE2 is SVE. CNTD by itself is the unwinder of libgcc,
    # which asks for the length of vectors only in frames of functions for SVE.
    ("", "00000100 111 00000 111000 11111 xxxxx"),
    ("sve i8mm", "01000101 xx0 xxxxx 100110 xxxxx xxxxx"),  # SMMLA, USMMLA, UMMLA
    ("sve i8mm", "01000100 100 xxxxx 011110 xxxxx xxxxx"),  # USDOT
    ("sve i8mm", "01000100 101 xxxxx 00011x xxxxx xxxxx"),
    ("sve", "01000100 1xx xxxxx 00000x xxxxx xxxxx"),  # SDOT, UDOT
    ("sve2p1", "01000100 xx0 xxxxx 11000x xxxxx xxxxx"),  # SCLAMP, UCLAMP
    ("sve2", "01000100 xxx xxxxx xxxxxx xxxxx xxxxx"),
    ("sve2 sveaes", "01000101 001 000x0 11100x xxxxx xxxxx"),  # AESE, AESD, AESMC
    ("sve2 svesm4", "01000101 001 00011 111000 xxxxx xxxxx"),
    ("sve2 svesm4", "01000101 001 xxxxx 111100 xxxxx xxxxx"),
    ("sve2 svesha3", "01000101 001 xxxxx 111101 xxxxx xxxxx"),  # RAX1
    ("sve2 svepmull", "01000101 000 xxxxx 01101x xxxxx xxxxx"),
    ("sve2 svebitperm", "01000101 xx0 xxxxx 1011xx xxxxx xxxxx"),  # BEXT, BDEP, BGRP
    ("sve2", "01000101 xxx xxxxx xxxxxx xxxxx xxxxx"),
    ("sve2", "00000100 xx1 xxxxx 0110xx xxxxx xxxxx"),  # MUL, PMUL, SMULH, UMULH
    ("sve2", "00000100 xx1 xxxxx 01110x xxxxx xxxxx"),  # SQDMULH, SQRDMULH
    ("sve2", "00000100 xx1 xxxxx 00111x xxxxx xxxxx"),  # EOR3, BCAX, BSL…
    ("sve2", "00000100 xx1 xxxxx 001101 xxxxx xxxxx"),  # XAR
    ("sve2", "00000100 xx0 0011x 100xxx xxxxx xxxxx"),  # SQSHL, UQSHL
    ("sve2", "00000100 xx0 011xx 100xxx xxxxx xxxxx"),  # SRSHR, URSHR, SQSHLU
    ("sve2", "00000101 011 xxxxx 000xxx xxxxx xxxxx"),  # EXT of two
    ("sve2", "00000101 xx1 01101 100xxx xxxxx xxxxx"),  # SPLICE of two
    ("sve2", "00000101 xx1 xxxxx 00101x xxxxx xxxxx"),  # TBL of two, TBX
    ("sve2p1", "00000101 001 01110 100xxx xxxxx xxxxx"),  # REVD
    ("sve svef64mm", "00000101 101 xxxxx 000xxx xxxxx xxxxx"),  # UZP1, TRN1… of 128 bits
    ("sve2", "00100101 xx1 xxxxx 000xx0 xxxxx xxxxx"),  # WHILEGE…
    ("sve2", "00100101 xx1 xxxxx 001100 xxxxx xxxxx"),  # WHILEWR, WHILERW
    ("sve2p1", "00100101 xx1 xxxxx 01xxxx xxxxx xxxxx"),  # PSEL, predicates as counters
    ("sve bf16", "01100100 011 xxxxx 010000 xxxxx xxxxx"),  # BFDOT
    ("sve bf16", "01100100 011 xxxxx 100000 xxxxx xxxxx"),
    ("sve bf16", "01100100 111 xxxxx 0100xx xxxxx xxxxx"),  # BFMLALB, BFMLALT
    ("sve bf16", "01100100 111 xxxxx 10000x xxxxx xxxxx"),
    ("sve bf16", "01100100 011 xxxxx 111001 xxxxx xxxxx"),  # BFMMLA
    ("sve bf16", "01100100 100 01010 101xxx xxxxx xxxxx"),  # BFCVTNT
    ("sve bf16", "01100101 100 01010 101xxx xxxxx xxxxx"),  # BFCVT
    ("sve svef32mm", "01100100 101 xxxxx 111001 xxxxx xxxxx"),  # FMMLA
    ("sve svef64mm", "01100100 111 xxxxx 111001 xxxxx xxxxx"),
    ("sve2", "01100100 xx0 10xxx 100xxx xxxxx xxxxx"),  # FADDP, FMAXP…
    ("sve2", "01100100 xx0 010xx 101xxx xxxxx xxxxx"),  # FCVTNT, FCVTLT, FCVTXNT
    ("sve2", "01100100 101 xxxxx 01x0xx xxxxx xxxxx"),  # FMLALB… by element
    ("sve2", "01100100 101 xxxxx 10x00x xxxxx xxxxx"),
    ("sve2", "01100101 000 11xxx 101xxx xxxxx xxxxx"),  # FLOGB
    ("sve2", "01100101 000 01010 101xxx xxxxx xxxxx"),  # FCVTX
    ("sve2", "1000010x x00 xxxxx 10xxxx xxxxx xxxxx"),  # LDNT1 by a vector of addresses
    ("sve2", "1100010x x00 xxxxx 1x0xxx xxxxx xxxxx"),
    ("sve2", "1110010x xx0 xxxxx 001xxx xxxxx xxxxx"),  # STNT1
    ("sve svef64mm", "1010010x x01 xxxxx 00xxxx xxxxx xxxxx"),  # LD1RO
    ("sme", "00000100 xx1 xxxxx 01011x xxxxx xxxxx"),  # RDSVL, ADDSVL
    ("sve", "xxx0010x xxx xxxxx xxxxxx xxxxx xxxxx"),
    ("sme", "1xx0000x xxx xxxxx xxxxxx xxxxx xxxxx"),
)


@cache
def rows() -> tuple[tuple[int, int, int], ...]:
    """Return the rows as numbers: mask, value, and the features as bits of a mask of functions."""
    return tuple((*_pattern(text), _needs(features)) for features, text in ENCODINGS)


def _needs(features: str) -> int:
    return CHECK if features == ASKS else to_mask(features.split())


def _pattern(text: str) -> tuple[int, int]:
    """Return mask and value of a pattern of 32 bits."""
    bits = text.replace(" ", "")
    assert len(bits) == 32, text  # noqa: S101 (the table is ours)
    fixed = bits.translate(str.maketrans("01x", "110"))
    return int(fixed, 2), int(bits.replace("x", "0"), 2)


@cache
def _upper() -> npt.NDArray[np.bool_]:
    """Return for the upper 16 bits of a word whether some row may fit."""
    upper = np.arange(1 << 16, dtype=np.uint32)
    fits = np.zeros(1 << 16, np.bool_)
    for mask, value, _ in rows():
        fits |= upper & (mask >> 16) == value >> 16
    return fits


def candidates(words: Words) -> npt.NDArray[np.int64]:
    """Return where words are that some row may fit, by their upper halves."""
    return np.flatnonzero(_upper()[words >> 16])


def needs(words: Words) -> Masks:
    """Return what each word needs, as bits (levels.BIT and CHECK); 0 for one of Armv8.0-A."""
    found = np.zeros(len(words), np.int64)
    for mask, value, features in reversed(rows()):
        found[words & np.uint32(mask) == value] = features
    return found
