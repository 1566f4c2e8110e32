// SPDX-License-Identifier: Apache-2.0
// report [ANYTHING...]: writes what it knows about itself to the log that it inherited, and exits with $NJ_EXIT (0);
// with $NJ_STAY when its standard input ends.
#include <stdlib.h>
#include <unistd.h>

#include "truth.h"

int main(void) {
  if (truth_adopt()) truth_self("report");
  char byte;
  while (getenv("NJ_STAY") && read(0, &byte, 1) > 0) continue;
  const char* code = getenv("NJ_EXIT");
  return code ? atoi(code) : 0;
}
