// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <map>
#include <set>

#include "file.hpp"

namespace nightjar::test {
namespace {

bool is_incomplete(const json& event, std::string_view field) {
  return has_element(at(event, "nightjar.incomplete"), field);
}

/// The field as text, a number without quotes.
std::string plain(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

std::string state_of(const Stream& stream, std::string_view action) {
  const auto started = stream.of("sensor_started");
  return started.empty() ? "" : text_at(started.front(), "nightjar.coverage." + std::string(action) + ".state");
}

/// A field that may be missing only where the event is degraded and says so.
void expect_field(const json& event, const json& line, std::string_view key, std::string_view field, bool degraded) {
  if (!line.contains(key)) return;
  if (degraded && is_incomplete(event, field)) return;
  EXPECT_EQ(plain(at(event, field)), plain(line.at(std::string(key)))) << field << " of " << event << "\nfor " << line;
}

void expect_bytes(const json& event, const json& line, std::string_view key, std::string_view field, bool degraded) {
  if (!line.contains(key)) return;
  if (degraded && is_incomplete(event, field)) return;
  EXPECT_EQ(bytes_at(event, field), from_hex(line.at(std::string(key)).get<std::string>()))
      << field << " of " << event << "\nfor " << line;
}

void expect_event(const json& event, const json& line, bool degraded, bool may_miss) {
  expect_bytes(event, line, "path", "file.path", degraded);
  expect_field(event, line, "ino", "file.inode", degraded);
  expect_field(event, line, "device", "file.device", degraded);
  expect_field(event, line, "mode", "file.mode", degraded);
  expect_field(event, line, "uid", "file.uid", degraded);
  expect_field(event, line, "gid", "file.gid", degraded);
  // xfs keeps the size of a directory where the sensor does not look.
  expect_field(event, line, "size", "file.size", degraded || at(event, "file.type") == "dir");
  expect_bytes(event, line, "old_path", "nightjar.file.old_path", degraded);
  if (!degraded || !is_incomplete(event, "file.inode"))  // the same file
    expect_field(event, line, "old_ino", "nightjar.file.old_inode", degraded);
  if (!degraded || !may_miss || !at(event, "nightjar.file.overwritten_inode").is_null())
    expect_field(event, line, "overwritten", "nightjar.file.overwritten_inode", degraded);
  expect_field(event, line, "exchange", "nightjar.file.exchange", degraded);
  expect_bytes(event, line, "target", "file.target_path", degraded);
  expect_field(event, line, "old_mode", "nightjar.file.old_mode", degraded);
  expect_field(event, line, "old_uid", "nightjar.file.old_uid", degraded);
  expect_field(event, line, "old_gid", "nightjar.file.old_gid", degraded);
  expect_field(event, line, "bytes", "nightjar.file.bytes_written", degraded);
  expect_field(event, line, "xattr", "nightjar.file.xattr", degraded);
}

}  // namespace

Watched watch_files(Strings arguments) {
  Watch how;
  how.options = {"--events", "process,file"};
  return watch("file_ops", std::move(arguments), how);
}

void expect_file_events(const Watched& watched, bool may_miss) {
  const json& begin = watched.truth("begin");
  ASSERT_TRUE(begin.is_object());
  const auto pid = begin.at("pid").get<std::int64_t>();
  const auto lines = watched.truths("event");
  const auto temporary = watched.truths("tmpfile");
  std::set<std::string> unnamed;
  for (const json& line : temporary) unnamed.insert(line.at("ino").dump());

  std::vector<const json*> events;
  std::size_t created_unnamed = 0;
  for (const json& event : watched.stream.events) {
    const json& category = at(event, "event.category");
    if (!has_element(category, "file") || at(event, "process.pid") != pid) continue;
    // The log is a file, too.
    if (text_at(event, "file.name") == "log" || text_at(event, "file.path").ends_with(".log")) continue;
    if (action_of(event) == "create" && at(event, "nightjar.file.deleted") == true) {
      EXPECT_TRUE(unnamed.contains(text_at(event, "file.inode"))) << event;
      ++created_unnamed;
      continue;
    }
    events.push_back(&event);
  }
  if (state_of(watched.stream, "create") != "absent") {
    EXPECT_EQ(created_unnamed, temporary.size());
  }
  std::map<std::string, int> missed;
  std::size_t next = 0, judged = 0;
  for (const json& line : lines) {
    const std::string action = line.at("action");
    const std::string state = state_of(watched.stream, action);
    if (state == "absent" || state.empty()) continue;
    ++judged;
    const bool degraded = state == "degraded";
    const bool there = next < events.size() && action_of(*events[next]) == action &&
                       (!may_miss || bytes_at(*events[next], "file.path") == from_hex(line.at("path")));
    if (degraded && may_miss && !there) {
      ++missed[action];
      continue;
    }
    ASSERT_LT(next, events.size()) << "missing: " << line;
    const json& event = *events[next++];
    ASSERT_EQ(action_of(event), action) << event << "\nfor " << line;
    expect_event(event, line, degraded, may_miss);
    if (testing::Test::HasFailure()) return;  // the first difference tells; the rest follows from it
  }
  EXPECT_GT(judged, 0U) << "nothing that the workload did can be told here: " << watched.outcome.err;
  EXPECT_EQ(next, events.size()) << "not done: " << (next < events.size() ? *events[next] : json());
  for (const auto& [action, count] : missed) std::cout << "not told: " << count << " of " << action << "\n";
}

}  // namespace nightjar::test
