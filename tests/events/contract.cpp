// SPDX-License-Identifier: Apache-2.0
// What must hold of every event and of every stream, from the tables and rules of the events' contract.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "harness.hpp"

namespace nightjar::test {

namespace {

constexpr std::size_t most_problems = 20;  // enough to see what is wrong; a storm could give thousands

enum class Kind : std::uint8_t { number, text, texts, stamp, digits, flag, object, device, octal, big };

struct Field {
  const char* name;
  Kind kind;
};

// "On every event". What a sensor event must have, too:
constexpr Field on_every_event[] = {
    {"@timestamp", Kind::stamp},  {"event.kind", Kind::text},       {"event.category", Kind::texts},
    {"event.type", Kind::texts},  {"event.action", Kind::text},     {"event.outcome", Kind::text},
    {"event.module", Kind::text}, {"event.sequence", Kind::number}, {"event.id", Kind::text},
    {"host.id", Kind::text},      {"host.hostname", Kind::text},    {"host.boot.id", Kind::text},
};

// ... and what only the events of a process can have:
constexpr Field on_every_process_event[] = {
    {"process.pid", Kind::number},
    {"process.thread.id", Kind::number},
    {"process.vpid", Kind::number},
    {"process.entity_id", Kind::text},
    {"process.start", Kind::stamp},
    {"process.name", Kind::text},
    {"process.executable", Kind::text},
    {"process.args", Kind::texts},
    {"process.command_line", Kind::text},
    {"process.parent.pid", Kind::number},
    {"process.parent.entity_id", Kind::text},
    {"process.parent.executable", Kind::text},
    {"process.parent.name", Kind::text},
    {"process.user.id", Kind::digits},
    {"process.real_user.id", Kind::digits},
    {"process.saved_user.id", Kind::digits},
    {"process.group.id", Kind::digits},
    {"process.real_group.id", Kind::digits},
    {"process.saved_group.id", Kind::digits},
    {"user.id", Kind::digits},
    {"nightjar.ns.mnt", Kind::number},
    {"nightjar.ns.pid", Kind::number},
    {"nightjar.ns.net", Kind::number},
    {"nightjar.ns.user", Kind::number},
    {"nightjar.ns.uts", Kind::number},
    {"nightjar.ns.ipc", Kind::number},
    {"nightjar.ns.cgroup", Kind::number},
    {"nightjar.ns.time", Kind::number},
    {"nightjar.cgroup.id", Kind::big},
    {"nightjar.cgroup.path", Kind::text},
    {"nightjar.hook", Kind::text},
};

// What must have this type where it stands.
constexpr Field where_present[] = {
    {"nightjar.login_uid", Kind::number},
    {"container.id", Kind::text},
    {"container.runtime", Kind::text},
    {"nightjar.truncated", Kind::object},
    {"nightjar.incomplete", Kind::texts},
    {"nightjar.raw", Kind::object},
    {"process.args_count", Kind::number},
    {"process.working_directory", Kind::text},
    {"process.env_vars", Kind::texts},
    {"process.exit_code", Kind::number},
    {"process.previous.executable", Kind::text},
    {"process.tty.char_device.major", Kind::number},
    {"process.tty.char_device.minor", Kind::number},
    {"process.session_leader.pid", Kind::number},
    {"process.thread.capabilities.effective", Kind::texts},
    {"process.thread.capabilities.permitted", Kind::texts},
    {"file.inode", Kind::digits},
    {"file.device", Kind::device},
    {"file.mode", Kind::octal},
    {"file.uid", Kind::digits},
    {"file.gid", Kind::digits},
    {"file.size", Kind::number},
    {"file.mtime", Kind::stamp},
    {"file.ctime", Kind::stamp},
    {"nightjar.exec.filename", Kind::text},
    {"nightjar.exec.interpreter", Kind::text},
    {"nightjar.exec.flags", Kind::texts},
    {"nightjar.exec.old_thread_id", Kind::number},
    {"nightjar.clone.flags", Kind::texts},
    {"nightjar.clone.creator_pid", Kind::number},
    {"nightjar.exit.signal", Kind::number},
    {"nightjar.exit.core_dumped", Kind::flag},
    {"nightjar.exit.user_ns", Kind::number},
    {"nightjar.exit.system_ns", Kind::number},
    {"nightjar.exit.max_rss_kb", Kind::number},
    {"nightjar.exit.read_bytes", Kind::number},
    {"nightjar.exit.write_bytes", Kind::number},
    {"nightjar.lost.count", Kind::number},
    {"nightjar.lost.class", Kind::text},
    {"nightjar.lost.cpu", Kind::number},
    {"nightjar.lost.reason", Kind::text},
};

bool all_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_device(const std::string& text) {
  const auto colon = text.find(':');
  return colon != std::string::npos && all_digits(text.substr(0, colon)) && all_digits(text.substr(colon + 1));
}

bool is_octal(const std::string& text) {
  return text.size() == 4 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
}

bool has_kind(const json& value, Kind kind) {
  switch (kind) {
    case Kind::number:
      return value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
    case Kind::text:
      return value.is_string();
    case Kind::texts:
      return value.is_array() &&
             std::all_of(value.begin(), value.end(), [](const json& one) { return one.is_string(); });
    case Kind::stamp:
      return value.is_string() && nanoseconds(value.get<std::string>()) >= 0;
    case Kind::digits:
      return value.is_string() && all_digits(value.get<std::string>());
    case Kind::flag:
      return value.is_boolean();
    case Kind::object:
      return value.is_object();
    case Kind::device:
      return value.is_string() && is_device(value.get<std::string>());
    case Kind::octal:
      return value.is_string() && is_octal(value.get<std::string>());
    case Kind::big:
      return value.is_number_unsigned() || (value.is_string() && all_digits(value.get<std::string>()));
  }
  return false;
}

// Named in nightjar.incomplete, itself or an object that holds it.
bool told_incomplete(const json& event, std::string_view name) {
  for (const auto& one : at(event, "nightjar.incomplete")) {
    const auto text = one.is_string() ? one.get<std::string>() : std::string();
    if (name == text || (name.starts_with(text) && name.substr(text.size()).starts_with('.'))) return true;
  }
  return false;
}

// nightjar.raw.<field>: base64 which, with each bad byte replaced, is the field; and never without a bad byte.
std::string raw_problem(const json& event, const json& raw, const std::string& prefix) {
  if (!raw.is_object()) return {};
  for (const auto& [key, value] : raw.items()) {
    const std::string name = prefix + key;
    if (value.is_object()) {
      if (auto problem = raw_problem(event, value, name + "."); !problem.empty()) return problem;
      continue;
    }
    const json& field = at(event, name);
    const bool both_arrays = value.is_array() && field.is_array() && value.size() == field.size();
    if (!both_arrays && !(value.is_string() && field.is_string()))
      return "nightjar.raw." + name + " does not fit its field";
    if (field.dump().find("\xef\xbf\xbd") == std::string::npos)
      return "nightjar.raw." + name + " of a field without U+FFFD";
  }
  return {};
}

std::string event_problem(const json& event) {
  const std::string action = action_of(event);
  const auto missing = [&](const Field& field) {
    const json& value = at(event, field.name);
    // The first process has no parent: the kernel gives it 0, which is no process.
    const bool of_no_parent =
        std::string_view(field.name).starts_with("process.parent.") && at(event, "process.parent.pid") == 0;
    if (value.is_null()) return !of_no_parent && !told_incomplete(event, field.name);
    return !has_kind(value, field.kind);
  };
  for (const auto& field : on_every_event) {
    if (missing(field)) return std::string(field.name) + " is absent or of the wrong type";
  }
  if (at(event, "event.module") != "nightjar") return "event.module is not nightjar";
  const std::set<std::string> outcomes{"success", "failure", "unknown"};
  if (!outcomes.contains(text_at(event, "event.outcome"))) return "event.outcome is none of ECS's";
  if (is_process_event(event)) {
    for (const auto& field : on_every_process_event) {
      if (missing(field)) return std::string(field.name) + " is absent or of the wrong type";
    }
    if (at(event, "user.id") != at(event, "process.user.id")) return "user.id is not the effective user";
  }
  for (const auto& field : where_present) {
    const json& value = at(event, field.name);
    if (!value.is_null() && !has_kind(value, field.kind)) return std::string(field.name) + " is of the wrong type";
  }
  return raw_problem(event, at(event, "nightjar.raw"), "");
}

// A stream line after line: what one event alone cannot show.
class Checker {
 public:
  Checker(const Expectations& expected, Strings& problems) : expected_(expected), problems_(problems) {}

  void event(std::size_t line, const json& event) {
    line_ = line;
    if (const auto problem = event_problem(event); !problem.empty()) add(event, problem);
    const json& sequence = at(event, "event.sequence");
    if (sequence.is_number_unsigned()) {
      if (line > 0 && sequence.get<std::uint64_t>() != sequence_ + 1) add(event, "event.sequence does not follow");
      sequence_ = sequence.get<std::uint64_t>();
    }
    if (!ids_.insert(text_at(event, "event.id")).second) add(event, "event.id is not unique");
    const std::string action = action_of(event);
    if (action == "events_lost" && !expected_.losses)
      add(event, "events were lost: " + at(event, "nightjar.lost").dump());
    if (is_process_event(event) && at(event, "process.pid").is_number()) process_event(event, action);
  }

  void end(const std::vector<json>& events) {
    line_ = events.size();
    if (expected_.sensor_ends) {
      if (events.empty()) {
        problems_.emplace_back("the stream is empty");
        return;
      }
      if (action_of(events.front()) != "sensor_started") add(events.front(), "the first event is not sensor_started");
      if (action_of(events.back()) != "sensor_stopped") add(events.back(), "the last event is not sensor_stopped");
    }
    if (expected_.losses || !expected_.whole_trees) return;
    for (const auto& entity : order_) {
      const Life& life = lives_[entity];
      // COMMAND itself is forked by the agent, perhaps before anything is attached.
      const bool root = !lives_.contains(life.parent);
      if (life.forks != 1 && !(root && life.forks == 0)) {
        add(life.last, "process " + entity + " has " + std::to_string(life.forks) + " fork events");
      }
      if (life.exits != 1) add(life.last, "process " + entity + " has " + std::to_string(life.exits) + " exit events");
      adoption(entity, life);
    }
  }

 private:
  struct Life {
    int forks = 0, exits = 0;
    std::int64_t time = 0, ended = -1, adopted = -1;
    std::string pid_and_start;
    std::string parent;  // the entity that it began with
    json last;
  };

  void process_event(const json& event, const std::string& action) {
    const std::string entity = text_at(event, "process.entity_id");
    const std::string key = at(event, "process.pid").dump() + " " + text_at(event, "process.start");
    const auto [known, fresh] = entity_of_.emplace(key, entity);
    if (!fresh && known->second != entity) add(event, "one process has two entity ids");
    auto [found, first] = lives_.try_emplace(entity);
    Life& life = found->second;
    if (first) {
      order_.push_back(entity);
      life.pid_and_start = key;
    } else {
      if (life.pid_and_start != key) add(event, "one entity id for two processes: " + key + ", " + life.pid_and_start);
      if (action == "fork") add(event, "a fork that is not the first event of its child");
    }
    if (life.exits > 0) add(event, "an event after the exit of its process");
    const std::int64_t time = nanoseconds(text_at(event, "@timestamp"));
    if (action != "process_snapshot") {
      if (time < life.time) add(event, "the events of one process are not in order of time");
      life.time = time;
    }
    lineage(event, life, time);
    if (action == "fork") life.forks++;
    if (action == "exit") {
      life.exits++;
      life.ended = time;
    }
    life.last = json{{"event", event.value("event", json::object())}, {"process", {{"pid", at(event, "process.pid")}}}};
  }

  void lineage(const json& event, Life& life, std::int64_t time) {
    const std::string parent = text_at(event, "process.parent.entity_id");
    if (const auto known = lives_.find(parent); known != lives_.end()) {
      const std::string& pid = known->second.pid_and_start;
      if (at(event, "process.parent.pid").dump() != pid.substr(0, pid.find(' '))) {
        add(event, "process.parent.pid and .entity_id do not agree");
      }
    }
    if (const json& ancestors = at(event, "nightjar.ancestors");
        !ancestors.is_null() && at(ancestors[0], "entity_id") != parent) {
      add(event, "nightjar.ancestors does not begin with the parent");
    }
    if (life.parent.empty()) life.parent = parent;
    if (parent != life.parent && life.adopted < 0) life.adopted = time;
  }

  // A process has the parent that made it until that one has ended.
  void adoption(const std::string& entity, const Life& life) {
    const auto parent = lives_.find(life.parent);
    if (life.adopted < 0 || parent == lives_.end()) return;
    if (parent->second.ended < 0 || parent->second.ended > life.adopted) {
      add(life.last, "the parent of process " + entity + " changed while it lived");
    }
  }

  void add(const json& event, const std::string& problem) {
    if (problems_.size() == most_problems) problems_.emplace_back("...");
    if (problems_.size() > most_problems) return;
    problems_.push_back("line " + std::to_string(line_ + 1) + ": " + problem + ": " + event.dump().substr(0, 700));
  }

  Expectations expected_;
  Strings& problems_;
  std::size_t line_ = 0;
  std::uint64_t sequence_ = 0;
  std::set<std::string> ids_;
  std::map<std::string, std::string> entity_of_;
  std::map<std::string, Life> lives_;
  Strings order_;
};

// Strict: valid UTF-8 (the parser sees to it), an object, and no name twice in one object.
json parse_line(const std::string& line, std::string& problem) {
  std::vector<std::set<std::string>> names;
  const auto watch_names = [&](int /*depth*/, json::parse_event_t kind, json& value) {
    if (kind == json::parse_event_t::object_start) names.emplace_back();
    if (kind == json::parse_event_t::object_end) names.pop_back();
    if (kind == json::parse_event_t::key && !names.back().insert(value.get<std::string>()).second) {
      problem = "the name " + value.get<std::string>() + " stands twice in one object";
    }
    return true;
  };
  try {
    json event = json::parse(line, watch_names);
    if (!event.is_object()) problem = "not an object";
    return event;
  } catch (const json::exception& error) {
    problem = error.what();
    return nullptr;
  }
}

}  // namespace

std::int64_t nanoseconds(const std::string& stamp) {
  // 2026-11-22T16:09:00.123456789Z
  static constexpr std::string_view shape = "dddd-dd-ddTdd:dd:dd.dddddddddZ";
  if (stamp.size() != shape.size()) return -1;
  for (std::size_t i = 0; i < shape.size(); i++) {
    const bool digit = stamp[i] >= '0' && stamp[i] <= '9';
    if (shape[i] == 'd' ? !digit : stamp[i] != shape[i]) return -1;
  }
  const auto number = [&](std::size_t from, std::size_t size) { return std::stoi(stamp.substr(from, size)); };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!day.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 60) return -1;
  const std::int64_t days = std::chrono::sys_days(day).time_since_epoch().count();
  const std::int64_t seconds = days * 86400 + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
  return seconds * 1'000'000'000 + number(20, 9);
}

Stream parse_stream(const std::string& text, const Expectations& expected) {
  Stream stream;
  Checker checker(expected, stream.problems);
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = text.find('\n', from);
    if (end == std::string::npos) {
      stream.problems.push_back("the last line is not ended: " + text.substr(from, 200));
      break;
    }
    const std::string line = text.substr(from, end - from);
    from = end + 1;
    std::string problem;
    json event = parse_line(line, problem);
    if (!problem.empty()) stream.problems.push_back(problem + ": " + line.substr(0, 300));
    if (!event.is_object()) continue;
    checker.event(stream.events.size(), event);
    stream.events.push_back(std::move(event));
  }
  checker.end(stream.events);
  return stream;
}

}  // namespace nightjar::test
