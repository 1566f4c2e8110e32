// SPDX-License-Identifier: Apache-2.0
// The folder that a workload was given, for those that make more than a file in it.
#pragma once

#include <stdio.h>

#include <sys/stat.h>

#include "truth.h"

static char dir[4096];  // its real path

// A path below it; good until the eighth call from here.
static const char* at(const char* name) {
  static char path[8][8192];
  static int next;
  char* to = path[next++ % 8];
  snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
  return to;
}

static void make(const char* name) {
  TRUTH_CHECK(mkdir(at(name), 0755));
}
