// SPDX-License-Identifier: Apache-2.0
// report [ANYTHING...]: writes what it knows about itself to the log that it inherited, and exits with $NJ_EXIT (0).
#include <stdlib.h>

#include "truth.h"

int main(void) {
  if (truth_adopt()) truth_self("report");
  const char* code = getenv("NJ_EXIT");
  return code ? atoi(code) : 0;
}
