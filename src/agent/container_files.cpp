// SPDX-License-Identifier: Apache-2.0
#include "agent/container_files.hpp"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "nightjar/unique_fd.hpp"
#include "output/json_walk.hpp"

namespace nightjar {
namespace {

constexpr std::size_t largest_file = 4 << 20;

/// Empty: there is none, or it is no file of a runtime's.
std::string read_bounded(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW));
  struct stat status{};
  // Runtimes of users (rootless) write where anybody could: their files are not believed.
  if (!file.valid() || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
      static_cast<std::size_t>(status.st_size) > largest_file)
    return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t n = read(file.get(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

std::string text_at(std::string_view object, std::string_view name) {
  const std::string_view value = json::find(object, name);
  return value.starts_with('"') ? json::unquoted(value) : std::string();
}

/// One file that tells of one container: where, and under which names.
struct Place {
  std::string_view before, behind;  ///< of the id, in the path
  std::string_view image, name;
};

constexpr Place places[] = {
    {"/var/lib/docker/containers/", "/config.v2.json", "Config.Image", "Name"},
    {"/run/containerd/io.containerd.runtime.v2.task/k8s.io/", "/config.json",
     "annotations.io.kubernetes.cri.image-name", "annotations.io.kubernetes.cri.container-name"},
    {"/var/lib/containers/storage/overlay-containers/", "/userdata/config.json",
     "annotations.io.kubernetes.cri-o.ImageName", "annotations.io.kubernetes.container.name"},
};

/// Podman keeps one list of all; what it says of each is JSON in a text.
ContainerDetails from_storage(std::string_view id, const std::string& root) {
  ContainerDetails details;
  const std::string list = read_bounded(root + "/var/lib/containers/storage/overlay-containers/containers.json");
  json::elements(list, [&](std::string_view container) {
    if (text_at(container, "id") != id) return;
    const std::string metadata = text_at(container, "metadata");
    details = {text_at(metadata, "image-name"), text_at(metadata, "name")};
  });
  return details;
}

}  // namespace

ContainerDetails details_of_container(std::string_view id, const std::string& root) {
  const bool plain = id.size() == 64 &&
                     std::ranges::all_of(id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!plain) return {};
  for (const Place& place : places) {
    const std::string text =
        read_bounded(root + std::string(place.before) + std::string(id) + std::string(place.behind));
    if (text.empty()) continue;
    ContainerDetails details{text_at(text, place.image), text_at(text, place.name)};
    if (details.name.starts_with('/')) details.name.erase(0, 1);  // Docker's names are paths of a kind
    if (!details.image.empty()) return details;
  }
  return from_storage(id, root);
}

}  // namespace nightjar
