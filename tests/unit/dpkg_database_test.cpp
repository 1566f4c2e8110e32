// SPDX-License-Identifier: Apache-2.0
#include "agent/dpkg_database.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "temp_root.hpp"

namespace nightjar {
namespace {

class Dpkg : public test::TempRoot {
 protected:
  Dpkg() {
    write("/var/lib/dpkg/status",
          "Package: coreutils\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9.1-1\n"
          "Description: tools\n Version: no field, a line of the description\n\n"
          "Package: libx\nArchitecture: i386\nVersion: 2\n\nPackage: libx\nArchitecture: amd64\nVersion: 3\n\n"
          "Package: dash\nArchitecture: amd64\nVersion: 0.5\n\nPackage: bash\nArchitecture: amd64\nVersion: 5\n");
    write("/var/lib/dpkg/info/coreutils.list", "/.\n/bin\n/bin/ls\n/usr/bin/env\n");
    write("/var/lib/dpkg/info/libx:i386.list", "/usr/lib/i386/helper\n");
    write("/var/lib/dpkg/info/libx:amd64.list", "/usr/lib/amd64/helper\n");
    write("/var/lib/dpkg/info/dash.list", "/usr/bin/tool\n");
    write("/var/lib/dpkg/info/bash.list", "/usr/bin/tool\n");
  }
  /// "NAME VERSION ARCHITECTURE", "none", or the error.
  static std::string owner(DpkgDatabase& database, std::string_view path) {
    const auto package = database.owner(path);
    if (!package) return package.error().what();
    if (!*package) return "none";
    return (*package)->name + ' ' + (*package)->version + ' ' + (*package)->architecture;
  }
};

TEST_F(Dpkg, names_owner_version_and_architecture) {
  DpkgDatabase database(root_);
  EXPECT_TRUE(database.exists());
  EXPECT_EQ(owner(database, "/bin/ls"), "coreutils 9.1-1 amd64");
  EXPECT_EQ(owner(database, "/usr/bin/env"), "coreutils 9.1-1 amd64");
  EXPECT_EQ(owner(database, "/usr/lib/i386/helper"), "libx 2 i386");
  EXPECT_EQ(owner(database, "/usr/lib/amd64/helper"), "libx 3 amd64");
  EXPECT_EQ(owner(database, "/usr/bin/ls"), "none");  // /bin is no link here
  EXPECT_EQ(owner(database, "/tmp/ls"), "none");
  EXPECT_EQ(owner(database, ""), "none");
  EXPECT_EQ(database.generation(), 1U);
}

TEST_F(Dpkg, knows_a_merged_usr) {
  std::filesystem::create_symlink("usr/bin", root_ + "/bin");
  DpkgDatabase database(root_);
  EXPECT_EQ(owner(database, "/usr/bin/ls"), "coreutils 9.1-1 amd64");
  EXPECT_EQ(owner(database, "/usr/bin/env"), "coreutils 9.1-1 amd64");
  EXPECT_EQ(owner(database, "/usr/local/bin/ls"), "none");
}

TEST_F(Dpkg, follows_diversions) {
  write("/var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.distrib\ndash\n");
  DpkgDatabase database(root_);
  EXPECT_EQ(owner(database, "/usr/bin/tool"), "dash 0.5 amd64");
  EXPECT_EQ(owner(database, "/usr/bin/tool.distrib"), "bash 5 amd64");
}

TEST_F(Dpkg, that_changes_is_not_guessed_from) {
  DpkgDatabase database(root_);
  EXPECT_EQ(owner(database, "/opt/new"), "none");
  write("/var/lib/dpkg/info/new.list", "/opt/new\n");
  EXPECT_NE(owner(database, "/opt/new").find("being changed"), std::string::npos);
}

TEST_F(Dpkg, that_is_not_there_is_an_error) {
  std::filesystem::remove_all(root_ + "/var");
  DpkgDatabase database(root_);
  EXPECT_FALSE(database.exists());
  EXPECT_NE(owner(database, "/bin/ls").find("/var/lib/dpkg/status"), std::string::npos);
}

TEST_F(Dpkg, that_is_nonsense_owns_nothing) {
  write("/var/lib/dpkg/status", std::string("\0\xff Package: \n\nPackage:\nVersion: ", 33));
  write("/var/lib/dpkg/diversions", "/usr/bin/tool\n");
  DpkgDatabase database(root_);
  EXPECT_EQ(owner(database, "/bin/ls"), "none");
}

}  // namespace
}  // namespace nightjar
