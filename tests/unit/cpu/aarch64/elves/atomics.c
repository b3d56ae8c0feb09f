// A counter: out of line, by libgcc's helpers that ask for LSE, or with LSE's own instruction.
int count(int *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL); }

#ifdef WITH_SVE
__attribute__((target("arch=armv8.2-a+sve"))) void twice(float *a) {
  for (int i = 0; i < 64; i++) a[i] *= 2;
}
#endif
