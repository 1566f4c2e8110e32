// SPDX-License-Identifier: Apache-2.0
#include "kprobe.hpp"

#include <fstream>

#include <unistd.h>

#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "kernel_refusal.hpp"

namespace nightjar {

Result<std::uint32_t> kprobe_pmu() {
  std::ifstream file("/sys/bus/event_source/devices/kprobe/type");
  std::uint32_t type = 0;
  if (!(file >> type)) return Error(errc::unsupported, "this kernel has no kprobe PMU (4.17, CONFIG_KPROBE_EVENTS)");
  return type;
}

Result<UniqueFd> open_kprobe(const std::string& function) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = NIGHTJAR_TRY(kprobe_pmu());
  attributes.disabled = 1;
  attributes.config1 = reinterpret_cast<std::uintptr_t>(function.c_str());
  UniqueFd event(static_cast<int>(::syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return kernel_refused("kprobe on " + function, errno);
  return event;
}

}  // namespace nightjar
