// SPDX-License-Identifier: Apache-2.0
#include "agent/rpm_database.hpp"

#include <memory>
#include <utility>
#include <vector>

#include <sqlite3.h>
#include <unistd.h>

#include <sys/stat.h>

#include "agent/rpm_header.hpp"
#include "output/shared_library.hpp"

namespace nightjar {

struct SqliteApi {
  NIGHTJAR_IMPORT(sqlite3_open_v2);
  NIGHTJAR_IMPORT(sqlite3_close);
  NIGHTJAR_IMPORT(sqlite3_errmsg);
  NIGHTJAR_IMPORT(sqlite3_limit);
  NIGHTJAR_IMPORT(sqlite3_progress_handler);
  NIGHTJAR_IMPORT(sqlite3_prepare_v2);
  NIGHTJAR_IMPORT(sqlite3_bind_text);
  NIGHTJAR_IMPORT(sqlite3_bind_int64);
  NIGHTJAR_IMPORT(sqlite3_step);
  NIGHTJAR_IMPORT(sqlite3_column_int64);
  NIGHTJAR_IMPORT(sqlite3_column_blob);
  NIGHTJAR_IMPORT(sqlite3_column_bytes);
  NIGHTJAR_IMPORT(sqlite3_finalize);
};

namespace {

// Newer systems have the first; where both are, one is a link to the other.
constexpr const char* folders[] = {"/usr/lib/sysimage/rpm", "/var/lib/rpm"};

constexpr int largest_header = 32 << 20;  // kernel sources have some MiB
constexpr int most_steps = 10'000'000;    // of SQLite's machine for one question: a damaged database must not hold us
constexpr std::size_t most_places = 4096;
constexpr std::size_t most_bytes = 128 << 20;  // of headers read for one question

Result<SqliteApi> load_sqlite() {
  const SharedLibrary library = NIGHTJAR_TRY(SharedLibrary::open("libsqlite3.so.0", "libsqlite3-0"));
  SqliteApi api;
  NIGHTJAR_FIND(library, sqlite3_open_v2);
  NIGHTJAR_FIND(library, sqlite3_close);
  NIGHTJAR_FIND(library, sqlite3_errmsg);
  NIGHTJAR_FIND(library, sqlite3_limit);
  NIGHTJAR_FIND(library, sqlite3_progress_handler);
  NIGHTJAR_FIND(library, sqlite3_prepare_v2);
  NIGHTJAR_FIND(library, sqlite3_bind_text);
  NIGHTJAR_FIND(library, sqlite3_bind_int64);
  NIGHTJAR_FIND(library, sqlite3_step);
  NIGHTJAR_FIND(library, sqlite3_column_int64);
  NIGHTJAR_FIND(library, sqlite3_column_blob);
  NIGHTJAR_FIND(library, sqlite3_column_bytes);
  NIGHTJAR_FIND(library, sqlite3_finalize);
  return api;
}

bool is_there(const std::string& file) {
  return access(file.c_str(), R_OK) == 0;
}

/// A connection that writes nothing and creates nothing.
class Connection {
 public:
  explicit Connection(const SqliteApi& api) : api_(api) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { api_.sqlite3_close(database_); }

  Result<> open(const std::string& file) {
    // rpm writes ahead into a second file, and empties that at its end. While there is something in it, SQLite must
    // read both and lock; without it asks for no lock, and needs no third file.
    struct stat ahead{};
    const bool quiet = stat((file + "-wal").c_str(), &ahead) != 0 || ahead.st_size == 0;
    const std::string uri = "file:" + file + (quiet ? "?immutable=1" : "?readonly_shm=1");
    const int result = api_.sqlite3_open_v2(uri.c_str(), &database_,
                                            SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
    if (result != SQLITE_OK) return error(result);
    api_.sqlite3_limit(database_, SQLITE_LIMIT_LENGTH, largest_header);
    api_.sqlite3_progress_handler(database_, most_steps, [](void*) { return 1; }, nullptr);
    return {};
  }
  [[nodiscard]] sqlite3* get() const { return database_; }
  [[nodiscard]] Error error(int result) const {
    const bool busy = result == SQLITE_BUSY || result == SQLITE_LOCKED;
    return {busy ? errc::busy : errc::system, std::string("rpm's database: ") + api_.sqlite3_errmsg(database_)};
  }

 private:
  const SqliteApi& api_;
  sqlite3* database_ = nullptr;
};

class Statement {
 public:
  Statement(const SqliteApi& api, const Connection& connection) : api_(api), connection_(connection) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { api_.sqlite3_finalize(statement_); }

  Result<> prepare(std::string_view text) {
    return check(
        api_.sqlite3_prepare_v2(connection_.get(), text.data(), static_cast<int>(text.size()), &statement_, nullptr));
  }
  /// `text` must live as long as this.
  Result<> bind(const std::string& text) {
    return check(
        api_.sqlite3_bind_text(statement_, 1, text.c_str(), static_cast<int>(text.size()), /*SQLITE_STATIC*/ nullptr));
  }
  Result<> bind(std::int64_t number) { return check(api_.sqlite3_bind_int64(statement_, 1, number)); }
  /// Whether there is another row.
  Result<bool> step() {
    const int result = api_.sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    return connection_.error(result);
  }
  [[nodiscard]] std::int64_t number(int column) const { return api_.sqlite3_column_int64(statement_, column); }
  /// Until the next step.
  [[nodiscard]] std::span<const std::byte> bytes(int column) const {
    const auto* data = static_cast<const std::byte*>(api_.sqlite3_column_blob(statement_, column));
    return {data, static_cast<std::size_t>(api_.sqlite3_column_bytes(statement_, column))};
  }

 private:
  [[nodiscard]] Result<> check(int result) const {
    if (result != SQLITE_OK) return connection_.error(result);
    return {};
  }
  const SqliteApi& api_;
  const Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
};

struct Place {
  std::int64_t package;
  std::uint32_t file;  ///< its number in the package
};

Result<std::vector<Place>> places_of(const SqliteApi& api, const Connection& connection, const std::string& name) {
  Statement statement(api, connection);
  NIGHTJAR_CHECK(statement.prepare("SELECT hnum, idx FROM Basenames WHERE key = ?1 ORDER BY hnum"));
  NIGHTJAR_CHECK(statement.bind(name));
  std::vector<Place> places;
  while (NIGHTJAR_TRY(statement.step())) {
    if (places.size() == most_places) return Error(errc::unsupported, "too many files are called " + name);
    places.push_back({statement.number(0), static_cast<std::uint32_t>(statement.number(1))});
  }
  return places;
}

}  // namespace

Result<> RpmDatabase::open() {
  const char* older = nullptr;
  for (const char* folder : folders) {
    const std::string file = root_ + folder + "/rpmdb.sqlite";
    if (is_there(file)) {
      file_ = file;
      api_ = std::make_shared<const SqliteApi>(NIGHTJAR_TRY(load_sqlite()));
      return {};
    }
    if (older == nullptr && is_there(root_ + folder + "/Packages.db")) older = "ndb";
    if (older == nullptr && is_there(root_ + folder + "/Packages")) older = "Berkeley DB";
  }
  if (older == nullptr) return Error(errc::not_found, "there is no database of rpm here");
  return Error(errc::unsupported, std::string("rpm's database is in ") + older +
                                      "'s format, which is not read: rpmdb.sqlite is (rpmdb --rebuilddb makes it "
                                      "where %_db_backend is sqlite)");
}

/// Packages may list /bin/ls where /bin is a link to /usr/bin: rpm asks for the folder itself too.
bool RpmDatabase::same_folder(std::string_view listed, std::string_view folder) const {
  if (listed == folder) return true;
  struct stat one{}, other{};
  return stat((root_ + std::string(listed)).c_str(), &one) == 0 &&
         stat((root_ + std::string(folder)).c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

Result<std::optional<Package>> RpmDatabase::look_up(std::string_view folder, const std::string& name) const {
  Connection connection(*api_);
  NIGHTJAR_CHECK(connection.open(file_));
  const std::vector<Place> places = NIGHTJAR_TRY(places_of(*api_, connection, name));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < places.size();) {
    Statement statement(*api_, connection);
    NIGHTJAR_CHECK(statement.prepare("SELECT blob FROM Packages WHERE hnum = ?1"));
    NIGHTJAR_CHECK(statement.bind(places[i].package));
    if (!NIGHTJAR_TRY(statement.step()))
      return Error(errc::corrupt, "rpm's database has a file without its package: " + name);
    const auto blob = statement.bytes(0);
    bytes += blob.size();
    if (bytes > most_bytes) return Error(errc::unsupported, "too many packages have files called " + name);
    const RpmHeader header = NIGHTJAR_TRY(RpmHeader::read(blob));
    for (const std::int64_t package = places[i].package; i < places.size() && places[i].package == package; ++i) {
      const RpmHeader::File file = NIGHTJAR_TRY(header.file(places[i].file));
      if (file.installed && file.name == name && same_folder(file.folder, folder)) return header.package();
    }
  }
  return std::optional<Package>();
}

Result<std::optional<Package>> RpmDatabase::owner(std::string_view path) {
  const std::vector<std::string> files = {file_, file_ + "-wal"};
  std::string before = stamp_of(files);
  if (before != stamp_) {
    stamp_ = before;
    ++generation_;
  }
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::optional<Package>();
  auto found = look_up(path.substr(0, slash + 1), std::string(path.substr(slash + 1)));
  // Read without a lock: a change meanwhile makes nonsense of what was seen.
  if (stamp_of(files) != before) return Error(errc::busy, "packages are being changed");
  return found;
}

}  // namespace nightjar
