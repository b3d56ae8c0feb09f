// Two versions of a function, and a resolver that the dynamic linker asks.
__attribute__((target("arch=armv8.2-a+sve"))) static void fast(float *a) {
  for (int i = 0; i < 64; i++) a[i] *= 2;
}
static void slow(float *a) { for (int i = 0; i < 64; i++) a[i] *= 2; }
static void *choose(unsigned long hwcap) { return hwcap >> 22 & 1 ? (void *)fast : (void *)slow; }
void twice(float *a) __attribute__((ifunc("choose")));
