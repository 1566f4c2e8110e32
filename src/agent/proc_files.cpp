// SPDX-License-Identifier: Apache-2.0
#include "agent/proc_files.hpp"

#include <charconv>

namespace nightjar {
namespace {

constexpr std::uint64_t kernel_thread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h

/// The next word, taken off the text's beginning.
std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

/// 0 for what is no number.
template <class Integer = std::uint64_t>
Integer number(std::string_view text, int base = 10) {
  Integer value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

/// Whether a list, such as "rw,memory", has the word.
bool lists(std::string_view list, std::string_view word) {
  return (',' + std::string(list) + ',').find(',' + std::string(word) + ',') != std::string::npos;
}

/// "\040" for a space, and so on, as mountinfo has them.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size()) {
      plain += static_cast<char>(number<unsigned>(text.substr(at + 1, 3), 8));
      at += 3;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view text) {
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  ProcStat stat;
  stat.pid = number<std::uint32_t>(text);
  text.remove_prefix(name_end + 1);
  std::array<std::string_view, 21> fields;  // from the third on: proc(5)
  for (std::string_view& field : fields) field = take_word(text);
  if (stat.pid == 0 || fields[20].empty()) return std::nullopt;
  const auto field = [&](int number) { return fields.at(static_cast<std::size_t>(number - 3)); };
  stat.parent = number<std::uint32_t>(field(4));
  stat.group = number<std::uint32_t>(field(5));
  stat.session = number<std::uint32_t>(field(6));
  // new_encode_dev(), include/linux/kdev_t.h; the field is signed.
  const auto tty = static_cast<std::uint32_t>(number<std::int64_t>(field(7)));
  stat.tty_major = tty >> 8 & 0xfff;
  stat.tty_minor = (tty & 0xff) | (tty >> 12 & 0xfff00);
  const auto flags = number(field(9));
  stat.start_ticks = number(field(22));
  stat.has_memory = (flags & kernel_thread) == 0 && number(field(23)) != 0;
  return stat;
}

std::optional<ProcStatus> parse_proc_status(std::string_view text) {
  ProcStatus status;
  bool has_ids = false;
  while (!text.empty()) {
    // The name's line comes first; the kernel escapes what would end it.
    std::string_view value = take_line(text);
    const std::string_view key = value.substr(0, value.find(':'));
    value.remove_prefix(std::min(key.size() + 1, value.size()));
    const auto mask = [&] { return number(take_word(value), 16); };
    if (key == "Uid" || key == "Gid") {
      for (std::uint32_t& id : key == "Uid" ? status.uids : status.gids) id = number<std::uint32_t>(take_word(value));
      has_ids = true;
    } else if (key == "NStgid") {
      for (std::string_view pid = take_word(value); !pid.empty(); pid = take_word(value))
        status.innermost_pid = number<std::uint32_t>(pid);
    } else if (key == "CapInh") {
      status.inheritable = mask();
    } else if (key == "CapPrm") {
      status.permitted = mask();
    } else if (key == "CapEff") {
      status.effective = mask();
    } else if (key == "CapBnd") {
      status.bounding = mask();
    } else if (key == "CapAmb") {
      status.ambient = mask();
    }
  }
  return has_ids ? std::optional(status) : std::nullopt;
}

bool CgroupMount::controls(std::string_view controller) const {
  return !is_unified && lists(options, controller);
}

ProcCgroups parse_proc_cgroup(std::string_view text) {
  ProcCgroups cgroups;
  while (!text.empty()) {
    // "0::/PATH", "5:memory,other:/PATH"; a path holds no line feed.
    std::string_view line = take_line(text);
    const std::string_view id = line.substr(0, line.find(':'));
    line.remove_prefix(std::min(id.size() + 1, line.size()));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(0, colon);
    const std::string_view path = line.substr(colon + 1);
    if (id == "0") cgroups.unified = path;
    if (lists(controllers, "memory")) cgroups.memory = path;
    if (lists(controllers, "pids")) cgroups.pids = path;
  }
  return cgroups;
}

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  while (!mountinfo.empty()) {
    std::string_view line = take_line(mountinfo);
    for (int i = 0; i < 3; ++i) take_word(line);  // mount id, parent's id, device
    CgroupMount mount;
    mount.root = unescaped(take_word(line));
    mount.point = unescaped(take_word(line));
    for (std::string_view word = take_word(line); !word.empty() && word != "-";) word = take_word(line);
    const std::string_view type = take_word(line);
    take_word(line);  // source
    mount.options = take_word(line);
    mount.is_unified = type == "cgroup2";
    if (mount.is_unified || type == "cgroup") mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::uint32_t namespace_number(std::string_view link) {
  const auto bracket = link.find('[');
  return bracket == std::string_view::npos ? 0 : number<std::uint32_t>(link.substr(bracket + 1));
}

std::uint32_t root_of_uid_map(std::string_view text) {
  std::string_view range = take_line(text);
  const std::string_view inside = take_word(range);
  const std::string_view outside = take_word(range);
  return inside == "0" && !outside.empty() ? number<std::uint32_t>(outside) : ~0U;
}

std::string path_components(std::string_view path) {
  std::string components;
  while (!path.empty()) {
    const auto slash = path.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    path.remove_suffix(std::min(name.size() + 1, path.size()));
    if (name.empty() && !(path.empty() && components.empty())) continue;  // the root alone is one empty name
    components += name;
    components += '\0';
  }
  return components;
}

}  // namespace nightjar
