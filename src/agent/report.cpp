// SPDX-License-Identifier: Apache-2.0
// nightjar report: one page that shows recorded events, and needs nothing else.
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <unordered_map>

#include <sys/stat.h>

#include "agent/commands.hpp"
#include "agent/recorded.hpp"
#include "agent/report_index.hpp"
#include "agent/report_page.hpp"

namespace nightjar {
namespace {

using nlohmann::json;

// A page of this many is about 150 MB, the most that browsers read with ease.
constexpr std::size_t most_events = 400'000;

// The page reads a piece when somebody looks at one of its events, and can search those that have arrived.
constexpr std::size_t events_a_piece = 4096;
constexpr std::string_view piece_end = "</script>";
constexpr std::string_view pieces_between = "</script>\n<script type=\"application/json\" class=\"events\">";

class Report {
 public:
  void take(std::string_view line) {
    if (line.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
    json event = parse_event(line);
    if (event.is_discarded()) {
      ++skipped_;
      return;
    }
    sequence_.see(number_at(event, "event.sequence"));
    const std::string action = text_at(event, "event.action");
    if (action == "events_lost") {
      lost_ += number_at(event, "nightjar.lost.count");
      const std::string what = text_at(event, "nightjar.lost.class");
      if (lost_classes_.size() < 64 && !what.empty()) lost_classes_.insert(what);
    }
    if (host_.empty()) host_ = text_at(event, "host.hostname");
    if (kernel_.empty()) kernel_ = text_at(event, "host.os.kernel");
    if (taken_ >= most_events) {
      ++left_out_;
      return;
    }
    index_.take(event, action);
    slim(event, action);
    if (taken_++ % events_a_piece == 0) events_ += pieces_between;
    // Every byte beyond ASCII as an escape, and what is not UTF-8 replaced.
    append(events_, event.dump(-1, ' ', true, json::error_handler_t::replace));
    events_ += '\n';
  }

  void new_file() { sequence_.new_file(); }

  /// The page in its parts, each a view of this object's or of `head`.
  [[nodiscard]] std::array<std::string_view, 5> page(std::string& head) const {
    json about = index_.told();
    about["events_a_piece"] = events_a_piece;
    about["skipped"] = skipped_;
    about["left_out"] = left_out_;
    about["host"] = host_;
    about["kernel"] = kernel_;
    about["lost"] = {{"count", lost_}, {"classes", lost_classes_}, {"gaps", sequence_.missing()}};
    for (const EventInfo& info : all_events()) about["families"][std::string(info.action)] = info.family;
    append(head, about.dump(-1, ' ', true, json::error_handler_t::replace));
    constexpr std::string_view index_place = "@DATA@", events_place = "@EVENTS@";
    const auto index_at = report_page.find(index_place), events_at = report_page.find(events_place);
    const auto rest_at = index_at + index_place.size();
    return {report_page.substr(0, index_at), head, report_page.substr(rest_at, events_at - rest_at),
            events_.empty() ? events_ : std::string_view(events_).substr(piece_end.size()),
            report_page.substr(events_at + events_place.size())};
  }

  [[nodiscard]] std::size_t taken() const { return taken_; }
  [[nodiscard]] std::size_t skipped() const { return skipped_; }

 private:
  /// Inside a script element only "<" can end it or begin a comment.
  static void append(std::string& page, std::string_view data) {
    for (const char c : data) {
      if (c == '<') {
        page += "\\u003c";
      } else {
        page += c;
      }
    }
  }

  /// Leaves out what the page never shows, or has from an earlier event of the same process.
  void slim(json& event, const std::string& action) {
    for (const char* name : {"host", "ecs"}) event.erase(name);
    const auto erase = [&](std::string_view object, std::initializer_list<const char*> names) {
      auto* at = const_cast<json*>(value_at(event, object));
      if (at == nullptr || !at->is_object()) return;
      for (const char* name : names) at->erase(name);
    };
    erase("event", {"kind", "category", "type", "module", "id"});
    erase("nightjar", {"hook", "ns", "coverage", "stats"});
    erase("process", {"args", "thread", "vpid", "real_user", "saved_user", "real_group", "saved_group", "group"});
    if (action == "exec" || action == "process_snapshot") return;
    const std::string entity = text_at(event, "process.entity_id");
    const auto known = known_.emplace(entity, 0);
    if (known.second) return;
    erase("process", {"command_line", "executable", "parent", "start", "user"});
    erase("nightjar", {"cgroup"});
  }

  std::string events_;
  std::size_t taken_ = 0, skipped_ = 0, left_out_ = 0;
  std::uint64_t lost_ = 0;
  std::set<std::string> lost_classes_;
  std::string host_, kernel_;
  ReportIndex index_;
  SequenceCheck sequence_;
  std::unordered_map<std::string, int> known_;
};

bool read_events(const std::string& path, Report& report) {
  std::ifstream file;
  if (path != "-") {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) {
      std::fprintf(stderr, "nightjar: cannot read the events %s: %s\n", path.c_str(),
                   S_ISDIR(status.st_mode) ? "it is a directory" : strerror(errno));
      return false;
    }
    file.open(path, std::ios::binary);
    if (!file.is_open()) {
      std::fprintf(stderr, "nightjar: cannot read the events %s: %s\n", path.c_str(), strerror(errno));
      return false;
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  report.new_file();
  for (std::string line; std::getline(in, line);) report.take(line);
  return true;
}

}  // namespace

int report(const Options& options) {
  Report made;
  for (const std::string& path : options.inputs) {
    if (!read_events(path, made)) return exit_failed;
  }
  std::string head;
  const auto page = made.page(head);
  if (options.target.empty() || options.target == "-") {
    for (const std::string_view part : page) std::fwrite(part.data(), 1, part.size(), stdout);
    if (std::fflush(stdout) != 0) {
      std::perror("nightjar: cannot write the report");
      return exit_failed;
    }
  } else {
    std::ofstream out(options.target, std::ios::trunc | std::ios::binary);
    for (const std::string_view part : page) out << part;
    if (!out.flush()) {
      std::fprintf(stderr, "nightjar: cannot write %s: %s\n", options.target.c_str(), strerror(errno));
      return exit_failed;
    }
  }
  std::fprintf(stderr, "nightjar: %zu events in the report", made.taken());
  if (made.skipped() != 0) std::fprintf(stderr, ", %zu lines were none", made.skipped());
  std::fputs("\n", stderr);
  return exit_done;
}

}  // namespace nightjar
