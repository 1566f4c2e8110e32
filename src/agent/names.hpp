// SPDX-License-Identifier: Apache-2.0
// Names of users and groups, from /etc/passwd and /etc/group alone: a name service on the network could keep the sensor
// waiting.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace nightjar {

class Names {
 public:
  explicit Names(std::string passwd = "/etc/passwd", std::string group = "/etc/group")
      : users_{std::move(passwd), {}, {}}, groups_{std::move(group), {}, {}} {}

  /// Reads again what changed. Two stat(2) when nothing did.
  void refresh();

  /// JSON; empty when there is no name.
  [[nodiscard]] std::string_view user(std::uint32_t id) const { return users_.find(id); }
  [[nodiscard]] std::string_view group(std::uint32_t id) const { return groups_.find(id); }

 private:
  struct Table {
    std::string path;
    std::string version;  ///< inode, size and time of change
    std::unordered_map<std::uint32_t, std::string> names;

    void refresh();
    [[nodiscard]] std::string_view find(std::uint32_t id) const {
      const auto found = names.find(id);
      return found == names.end() ? std::string_view() : found->second;
    }
  };
  Table users_, groups_;
};

}  // namespace nightjar
