// SPDX-License-Identifier: Apache-2.0
#include "agent/package_databases.hpp"

#include <sys/stat.h>

namespace nightjar {

std::string stamp_of(const std::vector<std::string>& files) {
  std::string stamp;
  for (const std::string& file : files) {
    struct stat status{};
    if (stat(file.c_str(), &status) != 0) continue;
    for (const auto number :
         {static_cast<std::int64_t>(status.st_ino), static_cast<std::int64_t>(status.st_size),
          static_cast<std::int64_t>(status.st_mtim.tv_sec), static_cast<std::int64_t>(status.st_mtim.tv_nsec)})
      stamp += std::to_string(number) + ' ';
    stamp += '/';
  }
  return stamp;
}

Result<> PackageDatabases::open() {
  has_dpkg_ = dpkg_.exists();
  const auto rpm = rpm_.open();
  has_rpm_ = rpm.has_value();
  if (has_dpkg_ || has_rpm_) return {};
  if (rpm.error().code() != errc::not_found) return rpm.error();
  return Error(errc::not_found, "there is neither /var/lib/dpkg/status nor rpmdb.sqlite of rpm here to read");
}

Result<std::optional<Package>> PackageDatabases::owner(std::string_view path) {
  std::optional<Package> owner;
  if (has_dpkg_) owner = NIGHTJAR_TRY(dpkg_.owner(path));
  if (!owner && has_rpm_) owner = NIGHTJAR_TRY(rpm_.owner(path));
  return owner;
}

}  // namespace nightjar
