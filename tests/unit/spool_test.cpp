// SPDX-License-Identifier: Apache-2.0
// The spool: in order, once, and whatever happens to its files is noticed and counted.
#include "output/spool.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <sys/resource.h>

namespace nightjar {
namespace {

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() {
    char name[] = "/tmp/nightjar-spool-XXXXXX";
    home_ = mkdtemp(name);
  }
  ~SpoolTest() override { std::filesystem::remove_all(home_); }

  std::unique_ptr<Spool> open(std::uint64_t bytes = 1U << 20, const std::string& name = "spool") {
    SpoolSettings settings;
    settings.directory = home_ + "/" + name;
    settings.bytes_at_most = bytes;
    settings.sync = SpoolSettings::Sync::never;
    auto spool = Spool::open(settings);
    EXPECT_TRUE(spool) << (spool ? "" : to_string(spool.error()));
    return spool ? std::move(*spool) : nullptr;
  }
  /// Some lines that say which they are.
  static Batch lines(unsigned from, unsigned count) {
    Batch batch;
    for (unsigned i = from; i < from + count; ++i) batch.add(Kind::exec, "event " + std::to_string(i) + "\n");
    return batch;
  }
  struct Read {
    std::string text;
    std::uint64_t missing = 0;
  };
  static Read read_all(Spool& spool) {
    Read all;
    for (;;) {
      auto next = spool.next();
      if (!next) {
        ADD_FAILURE() << to_string(next.error());
        return all;
      }
      all.missing += next->missing;
      if (next->batch.empty()) return all;
      all.text += next->batch.text;
      EXPECT_TRUE(spool.done(next->batch.lines.size()));
    }
  }
  std::vector<std::filesystem::path> segments(const std::string& name = "spool") const {
    std::vector<std::filesystem::path> all;
    for (const auto& entry : std::filesystem::directory_iterator(home_ + "/" + name)) {
      if (entry.path().extension() == ".spool" && entry.file_size() != 0) all.push_back(entry.path());
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  std::string home_;
};

TEST_F(SpoolTest, gives_what_it_took_in_order_and_once) {
  auto spool = open();
  std::string expected;
  for (unsigned i = 0; i < 101; ++i) {
    const Batch batch = lines(i * 3, 3);
    expected += batch.text;
    ASSERT_TRUE(*spool->append(batch));
  }
  EXPECT_EQ(spool->waiting(), 303U);
  const Read all = read_all(*spool);
  EXPECT_EQ(all.text, expected);
  EXPECT_EQ(all.missing, 0U);
  EXPECT_EQ(spool->waiting(), 0U);
  EXPECT_EQ(read_all(*spool).text, "");
}

TEST_F(SpoolTest, goes_on_after_a_restart_where_it_was) {
  {
    auto spool = open();
    ASSERT_TRUE(*spool->append(lines(0, 7)));
    ASSERT_TRUE(*spool->append(lines(7, 5)));
    auto next = spool->next();
    ASSERT_TRUE(next);
    ASSERT_TRUE(spool->done(3));  // of seven
  }
  {
    auto spool = open();
    ASSERT_TRUE(*spool->append(lines(12, 2)));
    EXPECT_EQ(spool->waiting(), 11U);
    const Read all = read_all(*spool);
    EXPECT_EQ(all.text, lines(3, 11).text);
    EXPECT_EQ(all.missing, 0U);
  }
  EXPECT_EQ(read_all(*open()).text, "");
}

TEST_F(SpoolTest, never_grows_beyond_its_limit_and_makes_room_when_read) {
  constexpr std::uint64_t limit = 256U << 10;
  auto spool = open(limit);
  unsigned taken = 0;
  while (*spool->append(lines(taken, 100))) taken += 100;
  EXPECT_GT(taken, 10000U);
  EXPECT_LE(spool->bytes(), limit);
  std::uint64_t on_disk = 0;
  for (const auto& file : segments()) on_disk += std::filesystem::file_size(file);
  EXPECT_LE(on_disk, limit);
  EXPECT_EQ(read_all(*spool).text, lines(0, taken).text);
  EXPECT_TRUE(*spool->append(lines(taken, 100)));
  EXPECT_EQ(read_all(*spool).text, lines(taken, 100).text);
}

TEST_F(SpoolTest, is_used_by_one_process_at_a_time) {
  const auto spool = open();
  SpoolSettings settings;
  settings.directory = home_ + "/spool";
  const auto second = Spool::open(settings);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), errc::busy);
}

TEST_F(SpoolTest, refuses_a_directory_that_others_can_write) {
  std::filesystem::create_directory(home_ + "/open");
  std::filesystem::permissions(home_ + "/open", std::filesystem::perms::all);
  SpoolSettings settings;
  settings.directory = home_ + "/open";
  const auto spool = Spool::open(settings);
  ASSERT_FALSE(spool);
  EXPECT_EQ(spool.error().code(), errc::denied);
}

// Cut at every byte: each whole record comes out, the others are counted, and the spool works on.
TEST_F(SpoolTest, cut_at_every_byte_gives_every_whole_record) {
  {
    auto spool = open();
    for (unsigned i = 0; i < 5; ++i) ASSERT_TRUE(*spool->append(lines(i * 3, 3)));
  }
  const auto original = segments();
  ASSERT_EQ(original.size(), 1U);
  const auto size = std::filesystem::file_size(original[0]);
  const auto record = size / 5;
  for (std::uintmax_t cut = 0; cut <= size; ++cut) {
    const std::string copy = "cut" + std::to_string(cut);
    std::filesystem::copy(home_ + "/spool", home_ + "/" + copy);
    std::filesystem::resize_file(home_ + "/" + copy + "/" + original[0].filename().string(), cut);
    auto spool = open(1U << 20, copy);
    ASSERT_TRUE(*spool->append(lines(900, 1)));
    const Read all = read_all(*spool);
    const auto whole = static_cast<unsigned>(std::min<std::uintmax_t>(cut / record, 5));
    // Records differ by a digit or two in length: the count of whole ones is off by one at most, near a border.
    const bool one_more = all.text == lines(0, 3 * whole + 3).text + "event 900\n";
    const bool one_less = whole > 0 && all.text == lines(0, 3 * whole - 3).text + "event 900\n";
    ASSERT_TRUE(all.text == lines(0, 3 * whole).text + "event 900\n" || one_more || one_less)
        << cut << ": " << all.text;
    // What was torn is counted: as many as its header says, or one when that is torn as well.
    const bool torn = all.missing != 0;
    ASSERT_TRUE(all.missing == 0 || all.missing == 1 || all.missing == 3) << cut << ": " << all.missing;
    if (cut == size) {
      ASSERT_FALSE(torn);
    }
    spool.reset();
    std::filesystem::remove_all(home_ + "/" + copy);
  }
}

// One flipped bit anywhere: the records around it come out, its own is counted exactly.
TEST_F(SpoolTest, with_any_byte_changed_loses_that_record_and_counts_it) {
  {
    auto spool = open();
    for (unsigned i = 0; i < 3; ++i) ASSERT_TRUE(*spool->append(lines(i * 2 + 10, 2)));
  }
  const auto original = segments();
  const auto size = std::filesystem::file_size(original[0]);
  for (std::uintmax_t at = 0; at < size; ++at) {
    const std::string copy = "flip" + std::to_string(at);
    std::filesystem::copy(home_ + "/spool", home_ + "/" + copy);
    {
      std::fstream file(home_ + "/" + copy + "/" + original[0].filename().string(),
                        std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(at));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 0x10));
    }
    auto spool = open(1U << 20, copy);
    ASSERT_TRUE(*spool->append(lines(20, 1)));
    const Read all = read_all(*spool);
    const auto lost = at / (size / 3);
    std::string expected;
    for (unsigned i = 0; i < 3; ++i) {
      if (i != lost) expected += lines(i * 2 + 10, 2).text;
    }
    ASSERT_EQ(all.text, expected + "event 20\n") << at;
    // The last record's header may be hit itself: then at least one is counted.
    ASSERT_TRUE(all.missing == 2 || (lost == 2 && all.missing == 1)) << at << ": " << all.missing;
    spool.reset();
    std::filesystem::remove_all(home_ + "/" + copy);
  }
}

// What somebody does to the files while they are written is counted as soon as more is written.
TEST_F(SpoolTest, whose_newest_file_is_taken_away_delivers_what_is_asked_for_in_time) {
  auto spool = open();
  EXPECT_TRUE(*spool->append(lines(0, 5)));
  std::filesystem::remove(segments().at(0));
  const Read read = read_all(*spool);
  EXPECT_EQ(read.text, lines(0, 5).text);
  EXPECT_EQ(read.missing, 0U);
}
TEST_F(SpoolTest, whose_file_is_taken_away_or_cut_counts_what_is_gone) {
  for (const bool cut : {true, false}) {
    auto spool = open(1U << 20, cut ? "cut" : "gone");
    EXPECT_TRUE(*spool->append(lines(0, 5)));
    const auto file = segments(cut ? "cut" : "gone").at(0);
    if (cut) {
      std::filesystem::resize_file(file, 40);
    } else {
      std::filesystem::remove(file);
    }
    EXPECT_TRUE(*spool->append(lines(5, 3)));
    const Read read = read_all(*spool);
    EXPECT_EQ(read.text, lines(5, 3).text);
    EXPECT_EQ(read.missing, 5U);
    EXPECT_LT(spool->bytes(), 200U) << "what is gone takes no room";
  }
}
TEST_F(SpoolTest, follows_no_link_and_writes_nowhere_else) {
  const std::string other = home_ + "/other";
  std::ofstream(other) << "another's\n";
  const std::string line(60000, 'x');
  Batch large;
  large.add(Kind::exec, line + "\n");
  {
    auto spool = open();
    EXPECT_TRUE(*spool->append(large));
    const auto file = segments().at(0);
    std::filesystem::remove(file);
    std::filesystem::create_symlink(other, file);
    // Where the next segments would be.
    for (const char* name : {"0000000000000002.spool", "0000000000000003.spool"})
      std::filesystem::create_symlink(other, file.parent_path() / name);
    EXPECT_TRUE(*spool->append(large));
    EXPECT_TRUE(*spool->append(large));
    const Read read = read_all(*spool);
    EXPECT_EQ(read.text, large.text + large.text);
    EXPECT_EQ(read.missing, 1U);
  }
  for (const char* name : {"read", "lock"}) {
    std::filesystem::remove(home_ + "/spool/" + name);
    std::filesystem::create_symlink(other, home_ + "/spool/" + name);
    SpoolSettings settings;
    settings.directory = home_ + "/spool";
    EXPECT_FALSE(Spool::open(settings)) << name;
    std::filesystem::remove(home_ + "/spool/" + name);
  }
  std::ifstream in(other);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "another's\n");
}

TEST_F(SpoolTest, delivers_again_when_it_is_not_known_what_was_delivered) {
  {
    auto spool = open();
    ASSERT_TRUE(*spool->append(lines(0, 4)));
    ASSERT_TRUE(*spool->append(lines(4, 4)));
    ASSERT_TRUE(spool->next());
    ASSERT_TRUE(spool->done(4));
  }
  std::ofstream(home_ + "/spool/read", std::ios::trunc) << "garbage";
  EXPECT_EQ(read_all(*open()).text, lines(0, 8).text);
}

TEST_F(SpoolTest, on_a_full_disk_says_so_and_takes_nothing_in_part) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  auto spool = open();
  ASSERT_TRUE(*spool->append(lines(0, 2)));
  // The process may write no larger file than this: write(2) fails as on a full disk, in the middle of the record.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{spool->bytes() + 100, before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const auto full = spool->append(lines(2, 50));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_FALSE(full);
  ASSERT_TRUE(*spool->append(lines(52, 1)));
  const Read all = read_all(*spool);
  EXPECT_EQ(all.text, lines(0, 2).text + "event 52\n");
}

}  // namespace
}  // namespace nightjar
