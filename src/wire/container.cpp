// SPDX-License-Identifier: Apache-2.0
#include "wire/container.hpp"

#include <algorithm>

namespace nightjar {
namespace {

constexpr std::size_t id_length = 64;  // container ids are SHA-256 in hex

bool is_id(std::string_view text) {
  return text.size() == id_length &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

struct Prefix {
  std::string_view text, runtime;
};

// Names of systemd scopes that runtimes make: PREFIX<id>.scope
constexpr Prefix scope_prefixes[] = {
    {"docker-", "docker"}, {"cri-containerd-", "containerd"}, {"nerdctl-", "containerd"}, {"crio-", "cri-o"},
    {"libpod-", "podman"},
};

// The directory above the container's own, with the cgroupfs driver.
constexpr Prefix parents[] = {
    {"docker", "docker"},
    {"libpod_parent", "podman"},
    {"containerd", "containerd"},
    {"default", "containerd"},
};

bool strip(std::string_view& text, std::string_view prefix, std::string_view suffix) {
  if (!text.starts_with(prefix) || !text.ends_with(suffix) || text.size() <= prefix.size() + suffix.size())
    return false;
  text.remove_prefix(prefix.size());
  text.remove_suffix(suffix.size());
  return true;
}

/// The uid in kubepods-burstable-podUID.slice (with _ for -) or podUID, in its usual form; a static pod's has no
/// dashes.
std::string pod_of_component(std::string_view name) {
  const bool slice = name.starts_with("kubepods") && name.ends_with(".slice");
  const auto at = slice ? name.rfind("-pod") : 0;
  if (at == std::string_view::npos || (!slice && !name.starts_with("pod"))) return {};
  name.remove_prefix(at + (slice ? 4 : 3));
  if (slice) name.remove_suffix(6);
  std::string uid(name);
  std::replace(uid.begin(), uid.end(), '_', '-');
  const bool hex = std::all_of(uid.begin(), uid.end(),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-'; });
  return hex && (uid.size() == 36 || uid.size() == 32) ? uid : std::string();
}

ContainerName container_of_component(std::string_view name, std::string_view parent, bool in_kubepods) {
  for (const auto& [prefix, runtime] : scope_prefixes) {
    std::string_view id = name;
    if (strip(id, prefix, ".scope") && is_id(id)) return {id, runtime, {}};
    id = name;
    if (strip(id, prefix, "") && is_id(id))
      return {id, runtime, {}};  // a cgroup below the scope's slice, cgroupfs driver
  }
  if (is_id(name)) {
    for (const auto& [directory, runtime] : parents) {
      if (parent == directory) return {name, runtime, {}};
    }
    return {name, in_kubepods ? std::string_view("kubepods") : std::string_view{}, {}};
  }
  std::string_view id = name;
  if (strip(id, "lxc.payload.", "")) return {id, "lxc", {}};
  if (parent == "lxc") return {name, "lxc", {}};
  if (strip(id, "systemd-nspawn@", ".service")) return {id, "systemd-nspawn", {}};
  if (strip(id, "machine-", ".scope")) return {id, "systemd-nspawn", {}};
  return {};
}

}  // namespace

ContainerName container_of_cgroup(std::string_view path) {
  ContainerName found;
  std::string_view parent;
  bool in_kubepods = false;
  std::string pod;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '/' ? 1 : 0);
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    in_kubepods |= name.starts_with("kubepods");
    if (in_kubepods) {
      if (std::string uid = pod_of_component(name); !uid.empty()) pod = std::move(uid);
    }
    const ContainerName here = container_of_component(name, parent, in_kubepods);
    if (!here.id.empty()) found = here;  // the innermost: a container may run containers
    parent = name;
  }
  found.pod_uid = std::move(pod);
  return found;
}

}  // namespace nightjar
