// SPDX-License-Identifier: Apache-2.0
// Headers and databases made here, byte by byte; tests/events/packages.cpp has one that rpm made.
#include "agent/rpm_database.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "agent/package_databases.hpp"
#include "agent/rpm_header.hpp"
#include "temp_root.hpp"

namespace nightjar {
namespace {

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> static_cast<unsigned>(shift));
  return bytes;
}

/// As rpm writes it into its database: numbers of entries and bytes, entries, values.
class Header {
 public:
  Header& add(std::uint32_t tag, std::uint32_t type, std::uint32_t count, const std::string& values) {
    ++entries_;
    index_ +=
        big_endian(tag) + big_endian(type) + big_endian(static_cast<std::uint32_t>(data_.size())) + big_endian(count);
    data_ += values;
    return *this;
  }
  Header& text(std::uint32_t tag, const std::string& value) { return add(tag, 6, 1, value + '\0'); }
  [[nodiscard]] std::string bytes() const {
    return big_endian(entries_) + big_endian(static_cast<std::uint32_t>(data_.size())) + index_ + data_;
  }

 private:
  std::uint32_t entries_ = 0;
  std::string index_, data_;
};

using namespace std::string_literals;

/// /usr/bin/tool, /opt/tool (replaced by another package's), /usr/bin/other.
Header tools() {
  Header header;
  header.text(1000, "tools").text(1001, "1.2").text(1002, "3.fc40").text(1022, "x86_64");
  header.add(1029, 1, 3, "\0\1\0"s);
  header.add(1116, 4, 3, big_endian(1) + big_endian(0) + big_endian(1));
  header.add(1117, 8, 3, "tool\0tool\0other\0"s);
  header.add(1118, 8, 2, "/opt/\0/usr/bin/\0"s);
  return header;
}

Result<RpmHeader> header_of(const std::string& bytes) {
  return RpmHeader::read(std::as_bytes(std::span(bytes)));
}

TEST(RpmHeader, tells_package_and_files) {
  const std::string bytes = tools().bytes();
  const auto header = header_of(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(*header->package(), (Package{"rpm", "tools", "1.2-3.fc40", "x86_64"}));
  EXPECT_EQ(header->file(0)->folder, "/usr/bin/");
  EXPECT_EQ(header->file(0)->name, "tool");
  EXPECT_TRUE(header->file(0)->installed);
  EXPECT_EQ(header->file(1)->folder, "/opt/");
  EXPECT_FALSE(header->file(1)->installed);
  EXPECT_EQ(header->file(2)->name, "other");
  EXPECT_FALSE(header->file(3));
  EXPECT_FALSE(header->file(UINT32_MAX));
}

TEST(RpmHeader, puts_an_epoch_before_the_version) {
  const std::string bytes = tools().add(1003, 4, 1, big_endian(4)).bytes();
  EXPECT_EQ(header_of(bytes)->package()->version, "4:1.2-3.fc40");
}

// On the heap and of its exact size, so that AddressSanitizer sees a read beyond the end.
void read_all_of(const std::string& text) {
  const auto bytes = std::make_unique<std::byte[]>(text.size());
  std::memcpy(bytes.get(), text.data(), text.size());
  const auto header = RpmHeader::read(std::span<const std::byte>(bytes.get(), text.size()));
  if (!header) return;
  (void)header->package();
  for (std::uint32_t number = 0; number < 5; ++number) (void)header->file(number);
}

TEST(RpmHeader, that_is_cut_or_changed_anywhere_is_an_error_and_no_crash) {
  const std::string whole = tools().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(header_of(whole.substr(0, size))) << size;
    // Cut, and lying about it.
    if (size < 8) continue;
    std::string cut = whole.substr(0, size);
    const std::uint32_t entries = 8;
    if (size >= 8 + entries * 16) cut.replace(4, 4, big_endian(static_cast<std::uint32_t>(size - 8 - entries * 16)));
    read_all_of(cut);
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char bits : {'\x01', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bits);
      read_all_of(changed);
    }
  }
}

TEST(RpmHeader, of_another_type_is_not_taken) {
  Header header;
  header.add(1000, 4, 1, "name").text(1001, "1").text(1002, "1").text(1022, "x");
  EXPECT_EQ(header_of(header.bytes())->package().error().code(), errc::corrupt);
}

class Rpm : public test::TempRoot {
 protected:
  Rpm() { std::filesystem::create_directories(root_ + "/var/lib/rpm"); }
  ~Rpm() override { sqlite3_close(writer_); }
  [[nodiscard]] std::string file() const { return root_ + "/var/lib/rpm/rpmdb.sqlite"; }
  /// Adds a package with its files' names; what is written ahead stays there while the test runs, if so wanted.
  void add(const std::string& header, const std::vector<std::string>& names) {
    if (writer_ == nullptr) {
      ASSERT_EQ(sqlite3_open(file().c_str(), &writer_), SQLITE_OK);
      run("PRAGMA synchronous = OFF");
      run("PRAGMA journal_mode = WAL");
      run("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)");
      run("CREATE TABLE Basenames (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)");
      run("CREATE INDEX Basenames_key_idx ON Basenames(key ASC)");
    }
    run("INSERT INTO Packages(blob) VALUES (x'" + hex(header) + "')");
    for (std::size_t i = 0; i < names.size(); ++i)
      run("INSERT INTO Basenames VALUES ('" + names[i] + "', (SELECT max(hnum) FROM Packages), " + std::to_string(i) +
          ")");
  }
  /// As rpm leaves it.
  void settle() { run("PRAGMA wal_checkpoint(TRUNCATE)"); }
  void run(const std::string& statement) {
    char* message = nullptr;
    ASSERT_EQ(sqlite3_exec(writer_, statement.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
  }
  static std::string hex(const std::string& bytes) {
    std::string text;
    for (const unsigned char byte : bytes) {
      text += "0123456789abcdef"[byte >> 4U];
      text += "0123456789abcdef"[byte & 15U];
    }
    return text;
  }
  std::string owner(std::string_view path) {
    if (const auto opened = database_->open(); !opened) return opened.error().what();
    const auto package = database_->owner(path);
    if (!package) return package.error().what();
    return *package ? (*package)->name + ' ' + (*package)->version : "none";
  }
  sqlite3* writer_ = nullptr;
  std::unique_ptr<RpmDatabase> database_;
};

TEST_F(Rpm, names_the_package_that_installed_a_file) {
  add(tools().bytes(), {"tool", "tool", "other"});
  settle();
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_EQ(owner("/usr/bin/tool"), "tools 1.2-3.fc40");
  EXPECT_EQ(owner("/usr/bin/other"), "tools 1.2-3.fc40");
  EXPECT_EQ(owner("/opt/tool"), "none");  // another one's took its place
  EXPECT_EQ(owner("/tmp/tool"), "none");
  EXPECT_EQ(owner("/usr/bin/"), "none");
  EXPECT_EQ(owner("/usr/bin/' OR 1 --"), "none");
  EXPECT_EQ(owner("tool"), "none");
  EXPECT_EQ(owner(""), "none");
}

TEST_F(Rpm, reads_what_is_only_written_ahead) {
  add(tools().bytes(), {"tool", "tool", "other"});
  ASSERT_GT(std::filesystem::file_size(file() + "-wal"), 0U);
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_EQ(owner("/usr/bin/tool"), "tools 1.2-3.fc40");
}

TEST_F(Rpm, knows_folders_that_are_links) {
  std::filesystem::create_directories(root_ + "/usr/bin");
  std::filesystem::create_symlink("usr/bin", root_ + "/bin");
  Header header;
  header.text(1000, "old").text(1001, "1").text(1002, "1").text(1022, "noarch").add(1029, 1, 1, "\0"s);
  header.add(1116, 4, 1, big_endian(0)).add(1117, 8, 1, "sh\0"s).add(1118, 8, 1, "/bin/\0"s);
  add(header.bytes(), {"sh"});
  settle();
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_EQ(owner("/usr/bin/sh"), "old 1-1");
  EXPECT_EQ(owner("/usr/local/bin/sh"), "none");
}

TEST_F(Rpm, that_changed_is_read_anew) {
  add(tools().bytes(), {});
  settle();
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_EQ(owner("/usr/bin/tool"), "none");
  const std::uint64_t before = database_->generation();
  add(tools().bytes(), {"tool", "tool", "other"});
  settle();
  EXPECT_EQ(owner("/usr/bin/tool"), "tools 1.2-3.fc40");
  EXPECT_NE(database_->generation(), before);
}

TEST_F(Rpm, is_not_written_to) {
  add(tools().bytes(), {"tool", "tool", "other"});
  settle();
  sqlite3_close(writer_);
  writer_ = nullptr;
  const auto listing = [&] {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator(root_ + "/var/lib/rpm"))
      names += entry.path().filename().string() + ' ' + std::to_string(entry.file_size()) + '\n';
    return names;
  };
  const std::string before = listing();
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_EQ(owner("/usr/bin/tool"), "tools 1.2-3.fc40");
  EXPECT_EQ(listing(), before);
}

TEST_F(Rpm, that_is_damaged_is_an_error) {
  add("no header", {"tool"});
  run("INSERT INTO Basenames VALUES ('lost', 77, 0)");
  settle();
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_NE(owner("/usr/bin/tool").find("header"), std::string::npos);
  EXPECT_NE(owner("/usr/bin/lost").find("without its package"), std::string::npos);
  std::ofstream(file(), std::ios::trunc) << std::string(5000, 'x');
  EXPECT_NE(owner("/usr/bin/tool").find("rpm's database: "), std::string::npos);
}

/// A table that is a view without end.
TEST_F(Rpm, that_never_ends_is_an_error) {
  add(tools().bytes(), {});
  run("DROP TABLE Basenames");
  run("CREATE VIEW Basenames AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
      "SELECT 'tool' || i AS key, i AS hnum, 0 AS idx FROM n");
  settle();
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_NE(owner("/usr/bin/tool").find("rpm's database: interrupted"), std::string::npos);
}

TEST_F(Rpm, in_an_older_format_is_named) {
  database_ = std::make_unique<RpmDatabase>(root_);
  EXPECT_EQ(database_->open().error().code(), errc::not_found);
  std::ofstream(root_ + "/var/lib/rpm/Packages") << "x";
  const auto older = database_->open();
  EXPECT_EQ(older.error().code(), errc::unsupported);
  EXPECT_NE(older.error().what().find("Berkeley DB"), std::string::npos);
}

TEST_F(Rpm, is_asked_after_dpkg) {
  PackageDatabases databases(root_);
  EXPECT_EQ(databases.open().error().code(), errc::not_found);
  add(tools().bytes(), {"tool", "tool", "other"});
  settle();
  std::filesystem::create_directories(root_ + "/var/lib/dpkg/info");
  std::ofstream(root_ + "/var/lib/dpkg/status") << "Package: coreutils\nArchitecture: amd64\nVersion: 9\n";
  std::ofstream(root_ + "/var/lib/dpkg/info/coreutils.list") << "/usr/bin/other\n";
  ASSERT_TRUE(databases.open());
  EXPECT_EQ(databases.owner("/usr/bin/other")->value(), (Package{"deb", "coreutils", "9", "amd64"}));
  EXPECT_EQ(databases.owner("/usr/bin/tool")->value(), (Package{"rpm", "tools", "1.2-3.fc40", "x86_64"}));
  EXPECT_FALSE(databases.owner("/usr/bin/none")->has_value());
}

}  // namespace
}  // namespace nightjar
