// Code in assembly without unwind tables, with constants beside it that decode as instructions
// for SVE, SME, MTE and SHA-512; one function is for SHA-512 indeed.
  .text
  .globl literal
  .type literal, %function
literal:
  ldr q0, constant
  ret
  .p2align 4
constant:
  .word 0x04e0e3e1, 0x65b37b00, 0x45303395, 0xcec08000
  .p2align 4
rounds:
  .word 0x428a2f98, 0x65b37b00, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x80deb1fe
  .word 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x45303395, 0x240ca1cc
  .globl first
  .type first, %function
first:
  adr x1, rounds
  ld1 {v0.4s, v1.4s}, [x1]
  b second
  .p2align 4
  .word 0x658d5024, 0x59f111f1
  .arch armv8.2-a+sha3
second:
  sha512su0 v0.2d, v1.2d
  ret
