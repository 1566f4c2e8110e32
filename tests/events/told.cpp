// SPDX-License-Identifier: Apache-2.0
#include "told.hpp"

#include <algorithm>
#include <map>

namespace nightjar::test {
namespace {

struct Sight {
  Strings seen;  ///< actions
  bool below_calls = false;
};

Sight sight_of(const Watched& watched, const Strings& actions) {
  Sight sight;
  if (watched.stream.events.empty()) return sight;
  const json& coverage = at(watched.stream.events.front(), "nightjar.coverage");
  for (const auto& action : actions) {
    const json& row = at(coverage, action);
    const std::string tier = text_at(row, "tier");
    const bool is_of_calls = tier == "tracepoint" || tier == "legacy";
    if (!is_of_calls) sight.below_calls = true;
    const std::string state = text_at(row, "state");
    if (state == "active" || state == "degraded") sight.seen.push_back(action);
    const bool must = tier == "legacy" && (action == "unshare" || action == "setns" || action == "ptrace");
    EXPECT_TRUE(state != "absent" || (is_of_calls && !must)) << action << ": " << row;
  }
  return sight;
}

void compare(const json& event, const json& told, bool below_calls) {
  EXPECT_EQ(at(event, "process.thread.id"), told.at("tid")) << told;
  for (const auto& [name, value] : told.at("is").items()) {
    if (name.starts_with('?')) {
      if (below_calls) {
        EXPECT_EQ(at(event, name.substr(1)), value) << name << " of " << told << "\n" << event;
      }
    } else {
      EXPECT_EQ(at(event, name), value) << name << " of " << told << "\n" << event;
    }
  }
}

}  // namespace

void expect_told(const Watched& watched, const Strings& actions) {
  const Sight sight = sight_of(watched, actions);
  const auto is_seen = [&](const std::string& action) {
    return std::find(sight.seen.begin(), sight.seen.end(), action) != sight.seen.end();
  };
  std::map<std::int64_t, std::vector<json>> events, truths;
  for (const auto& event : watched.stream.events) {
    if (is_seen(action_of(event))) events[at(event, "process.pid").get<std::int64_t>()].push_back(event);
  }
  for (const auto& told : watched.truths("told")) {
    if (is_seen(text_at(told, "action"))) truths[told.at("pid").get<std::int64_t>()].push_back(told);
  }
  for (const auto& [pid, list] : events) EXPECT_TRUE(truths.contains(pid)) << "nobody logged " << list.front();
  for (const auto& [pid, expected] : truths) {
    const std::vector<json>& got = events[pid];
    Strings was, must;
    for (const auto& event : got) was.push_back(action_of(event));
    for (const auto& told : expected) must.push_back(text_at(told, "action"));
    ASSERT_EQ(was, must) << "of process " << pid << "; stderr:\n" << watched.outcome.err;
    for (std::size_t i = 0; i < expected.size(); i++) compare(got[i], expected[i], sight.below_calls);
  }
}

}  // namespace nightjar::test
