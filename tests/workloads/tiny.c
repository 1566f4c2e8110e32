// SPDX-License-Identifier: Apache-2.0
// tiny [CODE]: the cheapest program that tells its argument; exits with CODE modulo 256.
#include <stdlib.h>

int main(int argc, char** argv) {
  return argc > 1 ? atoi(argv[1]) % 256 : 0;
}
