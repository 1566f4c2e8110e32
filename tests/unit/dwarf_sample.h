// SPDX-License-Identifier: Apache-2.0
// What dwarf_sample.c has debug information of; the compiler itself tells the test what it made of it.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum sample_flag { SAMPLE_NONE, SAMPLE_LOW = 127, SAMPLE_HIGH_BYTE = 184, SAMPLE_HIGH_HALF = 0xfedc };
enum sample_signed { SAMPLE_BELOW = -72, SAMPLE_FAR_BELOW = -40000, SAMPLE_ABOVE = 184 };

struct sample {
  char first;
  __extension__ struct {
    long inside;
    union {
      int one;
      short other;
    };
  };
  unsigned bits : 3, more_bits : 9;
  enum sample_flag flag;
  void* pointers[5];
};

#ifdef __cplusplus
}
#endif
