// SPDX-License-Identifier: Apache-2.0
// empty OBJECT: attaches every program of a BPF object, says "ready", waits until stdin ends, and tells in a line of
// JSON what the kernel counted of them (kernel.bpf_stats_enabled).
#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>
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
  const char* before = "[";
  bpf_object__for_each_program (program, object) {
    struct bpf_prog_info info = {0};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return 1;
    printf("%s{\"name\":\"%s\",\"hook\":\"%s\",\"run_count\":%llu,\"run_time_ns\":%llu}", before,
           bpf_program__name(program), bpf_program__section_name(program), (unsigned long long)info.run_cnt,
           (unsigned long long)info.run_time_ns);
    before = ",";
  }
  puts("]");
  return 0;
}
