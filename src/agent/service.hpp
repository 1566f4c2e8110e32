// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nightjar {

/// The service manager that started this process, if one did and wants to be told (sd_notify(3), $NOTIFY_SOCKET).
class ServiceManager {
 public:
  ServiceManager();
  void ready() const { tell("READY=1"); }
  void stopping() const { tell("STOPPING=1"); }
  /// Call at least once a second: tells in time that the process still does its work ($WATCHDOG_USEC).
  void alive(std::uint64_t now_ns);

 private:
  void tell(std::string_view state) const;
  std::string socket_;
  std::uint64_t watchdog_ns_ = 0;
  std::uint64_t next_ns_ = 0;
};

}  // namespace nightjar
