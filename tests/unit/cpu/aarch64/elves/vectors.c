// A program without a C library: eight functions over vectors, one of them called.
static float a[64], b[64] = {1};
static volatile int count = 63; // SVE is for what is left over of whole vectors
#define ADD(n) \
  __attribute__((noipa)) void add##n(float *restrict x, const float *restrict y, int length) { \
    for (int i = 0; i < length; i++) x[i] += y[i] * n; \
  }
ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6) ADD(7) ADD(8)

void _start(void) {
  add2(a, b, count);
  register long status __asm__("x0") = a[0] == 2 ? 0 : 1;
  register long number __asm__("x8") = 93; // exit
  __asm__ volatile("svc 0" : : "r"(status), "r"(number));
  __builtin_unreachable();
}
