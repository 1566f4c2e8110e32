// SPDX-License-Identifier: Apache-2.0
// Reading events, and `nightjar watch` of a workload.
#include "harness.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <sstream>

#include <sys/wait.h>

namespace nightjar::test {

namespace {

const json nothing;

// Capability numbers are kernel ABI.
constexpr const char* capabilities[] = {"CAP_CHOWN",
                                        "CAP_DAC_OVERRIDE",
                                        "CAP_DAC_READ_SEARCH",
                                        "CAP_FOWNER",
                                        "CAP_FSETID",
                                        "CAP_KILL",
                                        "CAP_SETGID",
                                        "CAP_SETUID",
                                        "CAP_SETPCAP",
                                        "CAP_LINUX_IMMUTABLE",
                                        "CAP_NET_BIND_SERVICE",
                                        "CAP_NET_BROADCAST",
                                        "CAP_NET_ADMIN",
                                        "CAP_NET_RAW",
                                        "CAP_IPC_LOCK",
                                        "CAP_IPC_OWNER",
                                        "CAP_SYS_MODULE",
                                        "CAP_SYS_RAWIO",
                                        "CAP_SYS_CHROOT",
                                        "CAP_SYS_PTRACE",
                                        "CAP_SYS_PACCT",
                                        "CAP_SYS_ADMIN",
                                        "CAP_SYS_BOOT",
                                        "CAP_SYS_NICE",
                                        "CAP_SYS_RESOURCE",
                                        "CAP_SYS_TIME",
                                        "CAP_SYS_TTY_CONFIG",
                                        "CAP_MKNOD",
                                        "CAP_LEASE",
                                        "CAP_AUDIT_WRITE",
                                        "CAP_AUDIT_CONTROL",
                                        "CAP_SETFCAP",
                                        "CAP_MAC_OVERRIDE",
                                        "CAP_MAC_ADMIN",
                                        "CAP_SYSLOG",
                                        "CAP_WAKE_ALARM",
                                        "CAP_BLOCK_SUSPEND",
                                        "CAP_AUDIT_READ",
                                        "CAP_PERFMON",
                                        "CAP_BPF",
                                        "CAP_CHECKPOINT_RESTORE"};

std::vector<json> read_log(const std::string& path) {
  std::vector<json> lines;
  std::istringstream in(read_file(path));
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

Watched run_watch(const Strings& command, const Watch& how) {
  Watched result;
  Launch launch;
  launch.arguments = {"watch"};
  const auto add = [&](const Strings& more) {
    launch.arguments.insert(launch.arguments.end(), more.begin(), more.end());
  };
  add(tier_options());
  add(how.options);
  add({"--"});
  add(command);
  launch.environment = how.environment;
  launch.timeout = how.timeout;
  result.outcome = run_agent(launch);
  EXPECT_FALSE(result.outcome.timed_out) << "the agent did not end by itself; stderr:\n" << result.outcome.err;
  if (how.may_be_absent && result.outcome.status == 3) return result;
  result.stream = parse_stream(result.outcome.out, how.expected);
  for (const auto& problem : result.stream.problems) ADD_FAILURE() << problem;
  return result;
}

Strings words_of(const std::string& joined) {
  Strings words;
  for (std::size_t from = 0; from < joined.size();) {
    const std::size_t end = joined.find('\0', from);
    words.push_back(joined.substr(from, end - from));
    if (end == std::string::npos) break;
    from = end + 1;
  }
  return words;
}

void expect_ids(const json& event, const json& report) {
  const auto id = [&](const char* name) { return std::to_string(report.at(name).get<std::uint64_t>()); };
  EXPECT_EQ(text_at(event, "process.user.id"), id("euid"));
  EXPECT_EQ(text_at(event, "process.real_user.id"), id("ruid"));
  EXPECT_EQ(text_at(event, "process.saved_user.id"), id("suid"));
  EXPECT_EQ(text_at(event, "process.group.id"), id("egid"));
  EXPECT_EQ(text_at(event, "process.real_group.id"), id("rgid"));
  EXPECT_EQ(text_at(event, "process.saved_group.id"), id("sgid"));
  EXPECT_EQ(text_at(event, "file.uid"), id("file_uid"));
  EXPECT_EQ(text_at(event, "file.gid"), id("file_gid"));
}

void expect_file(const json& event, const json& report) {
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", report.at("mode").get<unsigned>());
  EXPECT_EQ(text_at(event, "file.inode"), report.at("ino").dump());
  EXPECT_EQ(text_at(event, "file.device"), report.at("major").dump() + ":" + report.at("minor").dump());
  EXPECT_EQ(text_at(event, "file.mode"), mode.data());
  EXPECT_EQ(at(event, "file.size"), report.at("size"));
  EXPECT_EQ(nanoseconds(text_at(event, "file.mtime")), report.at("mtime").get<std::int64_t>());
  EXPECT_EQ(nanoseconds(text_at(event, "file.ctime")), report.at("ctime").get<std::int64_t>());
}

void expect_capabilities(const json& event, const json& report) {
  for (const auto& [field, mask] : {std::pair("process.thread.capabilities.effective", "CapEff"),
                                    std::pair("process.thread.capabilities.permitted", "CapPrm")}) {
    std::set<std::string> told;
    for (const auto& one : at(event, field)) told.insert(one.get<std::string>());
    const auto names = capability_names(report.at(mask).get<std::string>());
    EXPECT_EQ(told, std::set<std::string>(names.begin(), names.end())) << field;
  }
}

void expect_pids(const json& event, const json& report) {
  EXPECT_EQ(at(event, "process.pid"), report.at("pid"));
  EXPECT_EQ(at(event, "process.vpid"), report.at("pid"));
  EXPECT_EQ(at(event, "process.thread.id"), report.at("tid"));
  EXPECT_EQ(at(event, "process.parent.pid"), report.at("ppid"));
  EXPECT_EQ(at(event, "process.session_leader.pid"), report.at("session"));
}

void expect_terminal(const json& event, const json& report) {
  if (report.at("tty_major") == 0) {
    EXPECT_TRUE(at(event, "process.tty").is_null()) << at(event, "process.tty");
    return;
  }
  EXPECT_EQ(at(event, "process.tty.char_device.major"), report.at("tty_major"));
  EXPECT_EQ(at(event, "process.tty.char_device.minor"), report.at("tty_minor"));
}

}  // namespace

std::string from_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string from_base64(const std::string& text) {
  static const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned buffer = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const auto value = alphabet.find(c);
    if (value == std::string::npos) {
      ADD_FAILURE() << "not base64: " << text.substr(0, 100);
      return {};
    }
    buffer = buffer << 6 | static_cast<unsigned>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<char>(buffer >> bits & 0xff));
    }
  }
  return bytes;
}

const json& at(const json& event, std::string_view dotted) {
  const json* value = &event;
  while (!dotted.empty()) {
    const auto dot = dotted.find('.');
    const std::string name(dotted.substr(0, dot));
    const auto found = value->is_object() ? value->find(name) : value->end();
    if (!value->is_object() || found == value->end()) return nothing;
    value = &*found;
    dotted = dot == std::string_view::npos ? std::string_view() : dotted.substr(dot + 1);
  }
  return *value;
}

std::string text_at(const json& event, std::string_view dotted) {
  const json& value = at(event, dotted);
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "(absent)" : "(" + value.dump() + ")";
}

const json& raw_at(const json& event, std::string_view dotted) {
  const json& raw = at(event, "nightjar.raw");
  const auto found = raw.is_object() ? raw.find(std::string(dotted)) : raw.end();
  return raw.is_object() && found != raw.end() ? *found : at(raw, dotted);
}

std::string bytes_at(const json& event, std::string_view dotted) {
  const json& raw = raw_at(event, dotted);
  return raw.is_string() ? from_base64(raw.get<std::string>()) : text_at(event, dotted);
}

Strings args_of(const json& event) {
  const json& raw = raw_at(event, "process.args");
  Strings args;
  if (raw.is_array()) {
    for (const auto& one : raw) args.push_back(from_base64(one.get<std::string>()));
  } else {
    for (const auto& one : at(event, "process.args")) args.push_back(one.get<std::string>());
  }
  return args;
}

std::string action_of(const json& event) {
  return text_at(event, "event.action");
}

bool is_process_event(const json& event) {
  const std::string action = action_of(event);
  return !action.starts_with("sensor_") && action != "events_lost" && action != "events_suppressed";
}

bool has_element(const json& array, std::string_view text) {
  return std::any_of(array.begin(), array.end(), [&](const json& one) { return one == text; });
}

std::vector<json> Stream::of(std::string_view action) const {
  std::vector<json> found;
  std::copy_if(events.begin(), events.end(), std::back_inserter(found),
               [&](const json& event) { return action_of(event) == action; });
  return found;
}

std::vector<json> Stream::of(std::string_view action, std::int64_t pid) const {
  std::vector<json> found;
  std::copy_if(events.begin(), events.end(), std::back_inserter(found),
               [&](const json& event) { return at(event, "process.pid") == pid && action_of(event) == action; });
  return found;
}

const json& Watched::truth(std::string_view what) const {
  const auto found = std::find_if(log.begin(), log.end(), [&](const json& line) { return line.at("t") == what; });
  if (found != log.end()) return *found;
  ADD_FAILURE() << "the workload did not log \"" << what << "\"; stderr:\n" << outcome.err;
  return nothing;
}

std::vector<json> Watched::truths(std::string_view what) const {
  std::vector<json> found;
  std::copy_if(log.begin(), log.end(), std::back_inserter(found),
               [&](const json& line) { return line.at("t") == what; });
  return found;
}

const json& Watched::only(std::string_view action, std::int64_t pid) const {
  const json* found = nullptr;
  int count = 0;
  for (const auto& event : stream.events) {
    if (at(event, "process.pid") != pid || action_of(event) != action) continue;
    found = &event;
    count++;
  }
  if (count == 1) return *found;
  ADD_FAILURE() << count << " events \"" << action << "\" of process " << pid << ", expected one";
  return found ? *found : nothing;
}

std::string Watched::skip_reason() const {
  for (const auto& line : log) {
    if (line.at("t") == "skip") return line.at("why").get<std::string>();
  }
  return {};
}

Watched watch_command(Strings command, const Watch& how) {
  return run_watch(command, how);
}

Watched watch(std::string_view name, Strings arguments, const Watch& how) {
  const TempDir temp;
  const TempDir place;
  const std::string log = temp / "log";
  for (auto& argument : arguments) {
    if (argument == "@LOG") argument = log;
    if (argument == "@DIR") argument = place.path();
  }
  arguments.insert(arguments.begin(), workload(name));
  Watched result = run_watch(arguments, how);
  result.log = read_log(log);
  const int status = result.outcome.status;
  if (how.may_be_absent && status == 3) return result;
  EXPECT_EQ(status, result.skip_reason().empty() ? 0 : 77) << "workload " << name << "; stderr:\n"
                                                           << result.outcome.err;
  return result;
}

void expect_same(const json& exec_event, const json& report, const Comparison& what) {
  if (!exec_event.is_object() || !report.is_object()) return;  // reported as a failure already
  EXPECT_TRUE(action_of(exec_event) == "exec" || action_of(exec_event) == "process_snapshot");
  EXPECT_EQ(bytes_at(exec_event, "process.name"), from_hex(report.at("comm").get<std::string>()));
  if (report.contains("cmdline")) {
    const auto words = words_of(from_hex(report.at("cmdline").get<std::string>()));
    EXPECT_EQ(args_of(exec_event), words);
    EXPECT_EQ(at(exec_event, "process.args_count"), words.size());
  }
  if (what.executable) {
    std::string exe = from_hex(report.at("exe").get<std::string>());
    if (report.at("exe_has_name") == false && exe.ends_with(" (deleted)")) exe.resize(exe.size() - 10);
    EXPECT_EQ(bytes_at(exec_event, "process.executable"), exe);
  }
  if (what.cwd) {
    EXPECT_EQ(bytes_at(exec_event, "process.working_directory"), from_hex(report.at("cwd").get<std::string>()));
  }
  if (what.ids) expect_ids(exec_event, report);
  if (what.pids) expect_pids(exec_event, report);
  expect_file(exec_event, report);
  expect_capabilities(exec_event, report);
  expect_terminal(exec_event, report);
  for (const auto& [name, number] : report.at("ns").items()) {
    EXPECT_EQ(at(exec_event, "nightjar.ns." + name), number) << name;
  }
  const std::uint64_t login = report.value("loginuid", std::uint64_t{4294967295});
  EXPECT_EQ(at(exec_event, "nightjar.login_uid"), login == 4294967295 ? json() : json(login));
}

Strings capability_names(const std::string& hex_mask) {
  const std::uint64_t mask = std::stoull(hex_mask, nullptr, 16);
  Strings names;
  for (std::size_t i = 0; i < std::size(capabilities); i++) {
    if (mask >> i & 1) names.emplace_back(capabilities[i]);
  }
  return names;
}

}  // namespace nightjar::test
