// SPDX-License-Identifier: Apache-2.0
// An atlas: kernels, and the layouts of their types, each stored once.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "atlas/wanted.hpp"

namespace nightjar::atlas {

struct Kernel {
  std::string build_id;      ///< bytes; empty: unknown
  std::string release;       ///< as uname -r
  std::string version;       ///< as uname -v
  std::string architecture;  ///< as uname -m
  std::string distribution;  ///< "debian", "ubuntu", ...; empty: unknown
  std::string source;        ///< what it was read from: the package's or file's name
  std::string method;        ///< "btf", "dwarf"
  std::size_t layout = 0;    ///< index in the atlas

  /// Release, version, architecture and distribution.
  [[nodiscard]] std::string name() const;
  auto operator<=>(const Kernel&) const = default;
};

/// What adding a kernel did.
enum class Added : std::uint8_t { added, known, differs };

/// How an atlas that was opened stands to a signature.
enum class Signature : std::uint8_t { none, valid };

struct OpenOptions {
  std::string
      trusted_key;  ///< 32 bytes: the atlas must be signed with it; empty: a signature is checked if there is one
};

class Atlas {
 public:
  Atlas() = default;
  Atlas(Atlas&&) = default;
  Atlas& operator=(Atlas&&) = default;

  /// Fails with corrupt (truncated, changed, of another version), or denied (signature).
  static Result<Atlas> from_bytes(Bytes bytes, const OpenOptions& options = {});
  /// Maps the file. Fails also with not_found and system.
  static Result<Atlas> open(const std::string& path, const OpenOptions& options = {});
  /// The file's bytes: the same kernels and layouts give the same bytes, whatever the order in which they came. Fails
  /// with invalid (the key) only.
  [[nodiscard]] Result<std::string> to_bytes(const std::string& signing_key_pem = {}) const;
  /// Writes a file beside it and renames: never a half one. Fails with denied, system (disk full).
  Result<> save(const std::string& path, const std::string& signing_key_pem = {}) const;

  [[nodiscard]] const TypePool& pool() const { return pool_; }
  TypePool& pool() { return pool_; }
  [[nodiscard]] const std::vector<Kernel>& kernels() const { return kernels_; }
  [[nodiscard]] const std::vector<Layout>& layouts() const { return layouts_; }
  [[nodiscard]] const Layout& layout_of(const Kernel& kernel) const { return layouts_[kernel.layout]; }
  /// Empty: every type is kept.
  [[nodiscard]] const std::set<Want>& wanted() const { return wanted_; }
  void set_wanted(std::set<Want> wanted) { wanted_ = std::move(wanted); }
  [[nodiscard]] Signature signature() const { return signature_; }

  /// The layout's types are in pool(). A kernel that is there with the same layout is `known`; with another one the
  /// first stays, and the caller has to report it. Kernels are the same when their build ids are, or, where one has
  /// none, their names.
  Added add(Kernel kernel, const Layout& layout);
  /// All of another atlas; returns the kernels that differ.
  std::vector<Kernel> merge(const Atlas& other);
  /// The same kernels with nothing but what is wanted.
  [[nodiscard]] Atlas pruned(const std::set<Want>& wanted) const;

  /// Null when there is none.
  [[nodiscard]] const Kernel* find_build_id(std::string_view build_id) const;
  /// Both as uname gives them. Null when there is none; `architecture` empty: any.
  [[nodiscard]] const Kernel* find_release(std::string_view release, std::string_view version,
                                           std::string_view architecture) const;
  /// By release, a part of the name, or a build id in hexadecimal; every kernel that fits.
  [[nodiscard]] std::vector<const Kernel*> find(std::string_view text) const;

 private:
  friend class AtlasWriter;
  friend class AtlasReader;
  void index_kernels();

  TypePool pool_;
  std::vector<Layout> layouts_;
  std::vector<Kernel> kernels_;
  std::set<Want> wanted_;
  Signature signature_ = Signature::none;
  std::map<Layout, std::size_t> known_layouts_;
  std::map<std::string, std::size_t, std::less<>> by_build_id_;
  std::map<std::pair<std::string, std::string>, std::vector<std::size_t>> by_release_;
};

}  // namespace nightjar::atlas
