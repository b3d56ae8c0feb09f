// A function for SVE behind a check of the CPU; with HASTY another one, which nobody guards.
static int level;
#ifdef WITH_MRS
static int has_sve(void) {
  unsigned long value;
  __asm__("mrs %0, id_aa64pfr0_el1" : "=r"(value));
  return value >> 32 & 15;
}
#else
unsigned long getauxval(unsigned long);
static int has_sve(void) { return getauxval(16) >> 22 & 1; } // AT_HWCAP, HWCAP_SVE
#endif
__attribute__((constructor)) void look(void) { level = has_sve(); }

#define SVE __attribute__((target("arch=armv8.2-a+sve"), noinline))
SVE static void fast(float *a) { for (int i = 0; i < 64; i++) a[i] *= 2; }
__attribute__((noinline)) static void slow(float *a) { for (int i = 0; i < 64; i++) a[i] *= 2; }
void twice(float *a) { if (level) fast(a); else slow(a); }
#ifdef HASTY
SVE static void hasty(float *a) { for (int i = 0; i < 64; i++) a[i] += 2; }
void more(float *a) { hasty(a); }
#endif
