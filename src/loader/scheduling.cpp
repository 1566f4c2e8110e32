// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <string>

#include <sched.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/syscall.h>

#include "nightjar/event_poller.hpp"

namespace nightjar {
namespace {

/// What sched_setattr(2) takes; libc has no declaration of it before 2.41.
struct KernelAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};

constexpr std::uint32_t sched_deadline = 6;

Result<> check_range(const Scheduling& wanted) {
  using Policy = Scheduling::Policy;
  if ((wanted.policy == Policy::other || wanted.policy == Policy::batch) && (wanted.nice < -20 || wanted.nice > 19)) {
    return Error(errc::invalid, "nice " + std::to_string(wanted.nice) + " is not between -20 and 19");
  }
  if ((wanted.policy == Policy::fifo || wanted.policy == Policy::round_robin) &&
      (wanted.priority < 1 || wanted.priority > 99)) {
    return Error(errc::invalid, "priority " + std::to_string(wanted.priority) + " is not between 1 and 99");
  }
  const bool ordered = wanted.runtime.count() > 0 && wanted.runtime <= wanted.deadline &&
                       (wanted.period.count() == 0 || wanted.deadline <= wanted.period);
  if (wanted.policy == Policy::deadline && !ordered) {
    return Error(errc::invalid, "a deadline policy needs 0 < runtime <= deadline <= period");
  }
  return {};
}

std::uint32_t number_of(Scheduling::Policy policy) {
  using Policy = Scheduling::Policy;
  switch (policy) {
    case Policy::idle:
      return SCHED_IDLE;
    case Policy::batch:
      return SCHED_BATCH;
    case Policy::fifo:
      return SCHED_FIFO;
    case Policy::round_robin:
      return SCHED_RR;
    case Policy::deadline:
      return sched_deadline;
    case Policy::inherit:
    case Policy::other:
      break;
  }
  return SCHED_OTHER;
}

}  // namespace

Result<> set_scheduling(const Scheduling& scheduling) {
  if (scheduling.policy == Scheduling::Policy::inherit) return {};
  NIGHTJAR_CHECK(check_range(scheduling));
  KernelAttributes attributes{};
  attributes.size = sizeof(attributes);
  attributes.policy = number_of(scheduling.policy);
  attributes.nice = scheduling.nice;
  attributes.priority = scheduling.priority;
  attributes.runtime = static_cast<std::uint64_t>(scheduling.runtime.count());
  attributes.deadline = static_cast<std::uint64_t>(scheduling.deadline.count());
  attributes.period = static_cast<std::uint64_t>(scheduling.period.count());
  // One call, so a negative nice value is no error code (nice(2) mixes the two up).
  if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) return Error::from_errno("set the thread's scheduling");
  return {};
}

}  // namespace nightjar
