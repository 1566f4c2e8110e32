// SPDX-License-Identifier: Apache-2.0
// empty OBJECT: attaches every program of a BPF object, says "ready", and waits until stdin ends.
#include <stdio.h>
#include <unistd.h>

#include <bpf/libbpf.h>

int main(int argc, char** argv) {
  struct bpf_object* object = argc == 2 ? bpf_object__open_file(argv[1], NULL) : NULL;
  struct bpf_program* program;
  char byte;
  if (!object || bpf_object__load(object) != 0) return 1;
  bpf_object__for_each_program (program, object) {
    if (!bpf_program__attach(program)) {
      fprintf(stderr, "empty: cannot attach %s\n", bpf_program__name(program));
      return 1;
    }
  }
  puts("ready");
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
