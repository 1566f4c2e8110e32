// SPDX-License-Identifier: Apache-2.0
#include "agent/package_databases.hpp"

namespace nightjar {

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
