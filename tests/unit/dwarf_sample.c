// SPDX-License-Identifier: Apache-2.0
// Debug information for dwarf_test.cpp: what kernels have in theirs.
#include "dwarf_sample.h"

struct sample dwarf_sample = {.flag = SAMPLE_HIGH_BYTE};
enum sample_signed dwarf_sample_signed = SAMPLE_BELOW;
