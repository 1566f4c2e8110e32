// SPDX-License-Identifier: Apache-2.0
#include "agent/audit_rules.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "agent/settings.hpp"
#include "wire/json.hpp"

namespace nightjar {
namespace {

using Words = std::vector<std::string>;

struct SyscallEvents {
  std::string_view syscalls, events;
};
constexpr SyscallEvents by_syscall[] = {
    {"execve execveat", "exec"},
    {"fork vfork clone clone3", "fork"},
    {"exit exit_group", "exit"},
    {"kill tkill tgkill rt_sigqueueinfo", "kill"},
    {"connect", "connect,unix_connect"},
    {"accept accept4", "accept"},
    {"bind", "bind"},
    {"listen", "listen"},
    {"sendto sendmsg sendmmsg", "udp_send"},
    {"recvfrom recvmsg recvmmsg", "udp_receive"},
    {"open openat openat2 creat open_by_handle_at", "create,open_write"},
    {"truncate ftruncate", "truncate"},
    {"unlink unlinkat", "delete,rmdir"},
    {"rmdir", "rmdir"},
    {"rename renameat renameat2", "rename"},
    {"link linkat", "link"},
    {"symlink symlinkat", "symlink"},
    {"mkdir mkdirat", "mkdir"},
    {"mknod mknodat", "mknod"},
    {"chmod fchmod fchmodat fchmodat2", "chmod"},
    {"chown chown32 fchown fchown32 lchown lchown32 fchownat", "chown"},
    {"setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr", "xattr_set"},
    {"utime utimes futimesat utimensat", "utimes"},
    {"mount fsmount", "mount"},
    {"umount umount2", "umount"},
    {"move_mount", "move_mount"},
    {"pivot_root", "pivot_root"},
    {"chroot", "chroot"},
    {"unshare", "unshare"},
    {"setns", "setns"},
    {"ptrace", "ptrace"},
    {"process_vm_writev", "process_vm_write"},
    {"memfd_create", "memfd_create"},
    {"mprotect", "mprotect_exec"},
    {"mmap mmap2", "mmap_exec"},
    {"setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups", "set_credentials"},
    {"capset", "capability_set"},
    {"init_module finit_module", "module_load"},
    {"delete_module", "module_unload"},
    {"bpf", "bpf_program_load"},
    {"kexec_load kexec_file_load", "kexec_load"},
};
constexpr std::string_view write_events =
    "create,open_write,modify,truncate,delete,rename,link,symlink,mkdir,rmdir,mknod";
constexpr std::string_view attribute_events = "chmod,chown,xattr_set,utimes";

constexpr std::uint64_t largest_id = 0xfffffffe;  // the next is "unset"

Words words_of(std::string_view line) {
  Words words;
  std::string word;
  char quote = 0;
  bool any = false;
  for (const char c : line) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      any = true;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      if (any || !word.empty()) words.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word += c;
    }
  }
  if (any || !word.empty()) words.push_back(word);
  return words;
}

bool holds(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const auto blank = words.find(' ');
    if (words.substr(0, blank) == word) return true;
    words.remove_prefix(blank == std::string_view::npos ? words.size() : blank + 1);
  }
  return false;
}

/// One line being understood.
class Translator {
 public:
  ImportedRule rule;
  std::string wrong;    ///< it is no audit rule
  std::string missing;  ///< it has no equivalent
  bool setting = false;

  void translate(const Words& words) {
    for (std::size_t i = 0; i < words.size() && wrong.empty(); ++i) {
      const std::string& option = words[i];
      const auto value = [&]() -> std::string {
        if (i + 1 < words.size()) return words[++i];
        wrong = option + " lacks its value";
        return {};
      };
      if (option == "-w") {
        watch(value());
      } else if (option == "-p") {
        permissions_ = value();
      } else if (option == "-k") {
        tags(value());
      } else if (option == "-a" || option == "-A") {
        list(value());
      } else if (option == "-S") {
        syscalls(value());
      } else if (option == "-F") {
        field(value());
      } else if (option == "-C") {
        lack("it compares two ids (-C " + value() + ")");
      } else if (option == "-W" || option == "-d") {
        lack("it deletes a rule");
        value();
      } else if (option.starts_with("-") && words.front() == option) {
        setting = true;  // -D, -b N, -f N, -e N, -i, -c, --loginuid-immutable...
        return;
      } else {
        wrong = "'" + option + "' is not understood";
      }
    }
    if (wrong.empty() && missing.empty()) finish();
  }

 private:
  void lack(const std::string& why) {
    if (missing.empty()) missing = why;
  }

  void watch(const std::string& path) {
    if (!path.starts_with('/')) wrong = "-w wants a full path, this is '" + path + "'";
    add_path(path, true);
    by_path_ = true;
    listed_ = true;
  }

  void add_path(std::string path, bool below) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    auto& patterns = rule.rule.patterns[static_cast<std::size_t>(Subject::path)];
    patterns.push_back(path);
    if (below) patterns.push_back(path == "/" ? "/**" : path + "/**");
  }

  void tags(const std::string& key) {
    std::size_t start = 0;
    // Several keys are joined by a byte 1.
    for (std::size_t end = 0; end != std::string::npos; start = end + 1) {
      end = key.find('\x01', start);
      rule.rule.tags.push_back(key.substr(start, end == std::string::npos ? end : end - start));
    }
  }

  void list(const std::string& names) {
    const auto parts = split_list(names);
    if (parts.size() != 2) {
      wrong = "-a wants a list and an action, such as always,exit; this is '" + names + "'";
      return;
    }
    for (const std::string& part : parts) {
      if (part == "always" || part == "never") {
        rule.rule.keep = part == "always";
      } else if (part == "exit" || part == "entry") {
        listed_ = true;
      } else if (part == "task" || part == "user" || part == "exclude" || part == "filesystem" || part == "io_uring") {
        lack("the list '" + part + "' is about auditd's own records");
        listed_ = true;
      } else {
        wrong = "'" + part + "' is neither a list nor an action";
      }
    }
  }

  void syscalls(const std::string& names) {
    for (const std::string& name : split_list(names)) {
      asked_ = true;
      if (name == "all") {
        all_syscalls_ = true;
        continue;
      }
      const auto* const found = std::find_if(std::begin(by_syscall), std::end(by_syscall),
                                             [&](const SyscallEvents& row) { return holds(row.syscalls, name); });
      if (found == std::end(by_syscall)) {
        add_once(unknown_syscalls_, name);
      } else {
        add_events(found->events);
      }
    }
  }

  void add_events(std::string_view names) {
    for (const std::string& name : split_list(names)) {
      if (const EventInfo* event = find_event(name)) {
        rule.rule.events.insert(event->kind);
      } else {
        add_once(unknown_events_, name);
      }
    }
  }

  void field(const std::string& text) {
    const auto at = text.find_first_of("=!<>&");
    if (at == std::string::npos || at == 0) {
      wrong = "-F wants FIELD=VALUE, this is '" + text + "'";
      return;
    }
    const std::string name = text.substr(0, at);
    const auto end = text.find_first_not_of("=!<>&", at);
    const std::string comparison = text.substr(at, end == std::string::npos ? end : end - at);
    const std::string value = end == std::string::npos ? "" : text.substr(end);
    if (value.empty()) {
      wrong = "-F " + name + " has no value";
    } else if (name == "key") {
      tags(value);
    } else if (name == "arch") {
      // Nightjar sees calls of either kind.
    } else if (name == "path" || name == "dir") {
      if (comparison != "=") lack("it excludes a path (-F " + text + ")");
      add_path(value, name == "dir");
      by_path_ = true;
    } else if (name == "perm") {
      permissions_ = value;
    } else if (name == "exe") {
      if (comparison != "=") lack("it excludes an executable (-F " + text + ")");
      rule.rule.patterns[static_cast<std::size_t>(Subject::executable)].push_back(value);
    } else if (name == "auid" || name == "loginuid") {
      ids(Subject::login_uid, comparison, value);
    } else if (name == "uid" || name == "euid") {
      ids(Subject::uid, comparison, value);
      if (name == "uid") rule.notes.emplace_back("compares the effective user id, auditd the real one");
    } else if (name == "success" && (value == "1" || value == "yes")) {
      // What is reported has succeeded.
    } else if (name == "success" || name == "exit") {
      lack("it asks for calls that fail (-F " + text + "), and events tell of what happened");
    } else if (name.size() == 2 && name[0] == 'a' && name[1] >= '0' && name[1] <= '3' && rule.rule.keep) {
      rule.notes.push_back("reports calls of any argument: -F " + text + " has no equivalent");
    } else {
      lack("there is no such condition (-F " + text + ")");
    }
  }

  void ids(Subject subject, const std::string& comparison, const std::string& text) {
    std::uint64_t value = 0;
    const bool unset = text == "unset" || text == "-1" || text == "4294967295";
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    if (unset) {
      // Processes without a login uid have no such field: they never match.
      if (comparison != "!=") lack("it asks for processes without a login uid");
      ranges_.try_emplace(subject, std::vector<NumberRange>{{0, largest_id}});
      return;
    }
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      lack("the id '" + text + "' is a name; write its number");
      return;
    }
    auto& ranges = ranges_.try_emplace(subject, std::vector<NumberRange>{{0, largest_id}}).first->second;
    std::vector<NumberRange> left;
    const auto keep = [&](std::uint64_t first, std::uint64_t last) {
      for (const NumberRange& range : ranges) {
        const NumberRange both{std::max(first, range.first), std::min(last, range.last)};
        if (both.first <= both.last) left.push_back(both);
      }
    };
    if (comparison == "=") {
      keep(value, value);
    } else if (comparison == "!=") {
      if (value > 0) keep(0, value - 1);
      keep(value + 1, largest_id);
    } else if (comparison == ">=") {
      keep(value, largest_id);
    } else if (comparison == ">") {
      keep(value + 1, largest_id);
    } else if (comparison == "<=") {
      keep(0, value);
    } else if (comparison == "<") {
      if (value > 0) keep(0, value - 1);
    } else {
      lack("there is no comparison '" + comparison + "' of ids");
    }
    ranges = left;
    if (ranges.empty()) lack("no user id can match it");
  }

  void finish() {
    if (!listed_) {
      wrong = "it has neither -w nor -a";
      return;
    }
    if (by_path_ && (!asked_ || all_syscalls_)) {
      permitted_events(permissions_.empty() ? "rwxa" : permissions_);
    } else if (!permissions_.empty() && !asked_) {
      permitted_events(permissions_);
    }
    if (!wrong.empty()) return;
    for (auto& [subject, ranges] : ranges_) rule.rule.ranges[static_cast<std::size_t>(subject)] = std::move(ranges);
    const bool everything = !asked_ && !by_path_ && permissions_.empty();
    if (rule.rule.events.empty() && !everything && !all_syscalls_) {
      if (!unknown_syscalls_.empty()) return lack("no event tells of " + joined(unknown_syscalls_));
      return lack("this build has no event " + joined(unknown_events_));
    }
    if (!unknown_syscalls_.empty()) rule.notes.push_back("no event tells of " + joined(unknown_syscalls_));
    if (!unknown_events_.empty()) rule.notes.push_back("this build has no event " + joined(unknown_events_));
  }

  void permitted_events(const std::string& permissions) {
    for (const char c : permissions) {
      switch (c) {
        case 'r':
          add_events("open_read");
          break;
        case 'w':
          add_events(write_events);
          break;
        case 'a':
          add_events(attribute_events);
          break;
        case 'x':
          // The path of an exec is that of its executable; a rule asks for both at once, so x stands alone only.
          if (permissions == "x") {
            add_events("exec");
            std::swap(rule.rule.patterns[static_cast<std::size_t>(Subject::path)],
                      rule.rule.patterns[static_cast<std::size_t>(Subject::executable)]);
          } else {
            rule.notes.emplace_back("execution of the path is not part of it: add a rule with executable:");
          }
          break;
        default:
          wrong = "-p wants letters of rwxa, this is '" + permissions + "'";
          return;
      }
    }
  }

  static void add_once(Words& words, const std::string& word) {
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }

  static std::string joined(const Words& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
    return all;
  }

  std::string permissions_;
  bool listed_ = false, by_path_ = false, asked_ = false, all_syscalls_ = false;
  Words unknown_syscalls_, unknown_events_;
  std::map<Subject, std::vector<NumberRange>> ranges_;
};

bool same_range(const NumberRange& a, const NumberRange& b) {
  return a.first == b.first && a.last == b.last;
}

bool twins(const Rule& a, const Rule& b) {
  for (std::size_t i = 0; i < subject_count; ++i) {
    if (!std::equal(a.ranges[i].begin(), a.ranges[i].end(), b.ranges[i].begin(), b.ranges[i].end(), same_range))
      return false;
  }
  return a.keep == b.keep && a.tags == b.tags && a.events == b.events && a.patterns == b.patterns;
}

}  // namespace

void AuditImport::take(std::string_view line, const std::string& file, std::size_t number) {
  const auto words = words_of(line);
  if (words.empty() || words.front().starts_with('#')) return;
  Translator translator;
  translator.rule.origin = file + ":" + std::to_string(number);
  translator.rule.text = line;
  translator.rule.rule.id = translator.rule.origin;
  translator.translate(words);
  const std::string place = translator.rule.origin + ": " + std::string(line) + ": ";
  if (!translator.wrong.empty()) {
    wrong.push_back(place + translator.wrong);
  } else if (translator.setting) {
    ++settings;
  } else if (!translator.missing.empty()) {
    without_equivalent.push_back(place + translator.missing);
  } else if (std::any_of(rules.begin(), rules.end(),
                         [&](const ImportedRule& other) { return twins(other.rule, translator.rule.rule); })) {
    ++twin_rules;
  } else {
    rules.push_back(std::move(translator.rule));
  }
}

}  // namespace nightjar
