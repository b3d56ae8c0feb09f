// A library that asks the CPU for one of its functions, and is compiled as a whole for a newer one.
#include "guarded.c"
#define ADD(n) \
  void add##n(float *restrict x, const float *restrict y, int length) { \
    for (int i = 0; i < length; i++) x[i] += y[i] * n; \
  }
ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6)
