// SPDX-License-Identifier: Apache-2.0
#include "atlas/builder.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "atlas/compare.hpp"
#include "atlas/digest.hpp"
#include "atlas/elf_file.hpp"
#include "atlas/fetch.hpp"
#include "atlas/package.hpp"

namespace nightjar::atlas {
namespace {

namespace fs = std::filesystem;

std::string part_name(const std::string& id) {
  return to_hex(Bytes(sha256(as_bytes(id))).first(12)) + ".atlas";
}

/// A module's file name without folder and compression: "btrfs".
std::string_view module_name(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);
  return path.substr(0, path.find(".ko"));
}

Result<KernelTypes> read_cross_checked(Bytes bytes, TypePool& pool, const BuildOptions& options) {
  ReadOptions read{.prefer = options.prefer, .wanted = options.wanted.empty() ? nullptr : &options.wanted};
  KernelTypes result = NIGHTJAR_TRY(read_kernel(bytes, pool, read));
  if (!options.cross_check || result.kernel.method != "btf") return result;
  read.prefer = Prefer::dwarf;
  auto other = read_kernel(bytes, pool, read);
  if (!other && other.error().code() == errc::not_found) return result;  // it has BTF only
  if (!other) return std::move(other).error();
  const LayoutIndex one(pool, result.layout);
  const LayoutIndex two(pool, other->layout);
  if (const auto different = differences(one, two, options.wanted); !different.empty())
    return Error(errc::corrupt, "BTF and DWARF of this kernel disagree: " + different.front().text());
  return result;
}

Result<KernelTypes> read_from_package(Source& source, TypePool& pool, const BuildOptions& options) {
  std::optional<KernelTypes> found;
  std::string kernel_btf;
  std::vector<std::string> missing = options.modules;
  PackageFilter filter;
  filter.wants = [&](std::string_view path) {
    if (is_kernel_path(path)) return !found.has_value();
    return path.find(".ko") != std::string_view::npos &&
           std::find(missing.begin(), missing.end(), module_name(path)) != missing.end();
  };
  filter.take = [&](std::string_view path, Content content) -> Result<bool> {
    if (!is_kernel_path(path)) {
      if (!found) return true;
      auto layout = read_module(content.bytes(), as_bytes(kernel_btf), pool);
      if (!layout) return std::move(layout).error().in(path);
      found->layout.insert(found->layout.end(), layout->begin(), layout->end());
      std::erase(missing, std::string(module_name(path)));
      return !missing.empty();
    }
    found = NIGHTJAR_TRY(read_cross_checked(content.bytes(), pool, options));
    if (missing.empty()) return false;
    std::string unpacked;
    Bytes elf = content.bytes();
    if (!ElfFile::is_elf(elf)) {
      unpacked = NIGHTJAR_TRY(unpack_image(elf));
      elf = as_bytes(unpacked);
    }
    const ElfFile file = NIGHTJAR_TRY(ElfFile::open(elf));
    if (const auto* btf = file.find(".BTF")) kernel_btf = as_text(btf->data);
    return true;
  };
  auto read = read_package(source, filter);
  if (!found) return read ? Error(errc::not_found, "there is no kernel in the package") : std::move(read).error();
  if (!missing.empty())
    return Error(errc::not_found, "the package has no module " + missing.front() + ", or is cut off before it");
  std::sort(found->layout.begin(), found->layout.end());
  found->layout.erase(std::unique(found->layout.begin(), found->layout.end()), found->layout.end());
  return std::move(*found);
}

}  // namespace

Result<KernelTypes> read_source(const Job& job, TypePool& pool, const BuildOptions& options) {
  Result<KernelTypes> result = Error(errc::invalid, "nothing was read");
  if (job.fetched) {
    Fetch fetch = NIGHTJAR_TRY(Fetch::start(options.fetch, job.path));
    result = read_from_package(fetch.source(), pool, options);
    // The command's own failure is the better reason.
    if (auto ended = fetch.end(); !result && !ended) return std::move(ended).error();
  } else {
    const MappedFile file = NIGHTJAR_TRY(MappedFile::open(job.path));
    if (is_package(file.bytes())) {
      const SourcePointer source = source_of(file.bytes());
      result = read_from_package(*source, pool, options);
    } else {
      result = read_cross_checked(file.bytes(), pool, options);
    }
  }
  if (result) result->kernel.source = job.id;
  return result;
}

namespace {

class Build {
 public:
  Build(std::vector<Job> jobs, const std::string& output, const BuildOptions& options,
        const std::function<void(const Progress&)>& progress)
      : jobs_(std::move(jobs)), output_(output), parts_(output + ".parts"), options_(options), progress_(progress) {}

  Result<BuildReport> run() {
    Atlas atlas;
    if (fs::exists(output_)) atlas = NIGHTJAR_TRY(Atlas::open(output_));
    if (!atlas.wanted().empty())
      return Error(errc::invalid, output_ + " is a pack, which keeps only some members: build into a store");
    choose(atlas);
    std::error_code problem;
    fs::create_directories(parts_, problem);
    if (problem) return Error::from_errno("make the folder " + parts_, problem.value());
    read_all();
    NIGHTJAR_CHECK(join(atlas));
    if (report_.failures.empty() || report_.done != 0 || fs::exists(output_)) {
      NIGHTJAR_CHECK(atlas.save(output_, options_.signing_key_pem));
    }
    fs::remove_all(parts_, problem);
    std::sort(report_.failures.begin(), report_.failures.end(),
              [](const Failure& a, const Failure& b) { return a.id < b.id; });
    return std::move(report_);
  }

 private:
  void choose(const Atlas& atlas) {
    std::set<std::string> known;
    for (const Kernel& kernel : atlas.kernels()) known.insert(kernel.source);
    std::sort(jobs_.begin(), jobs_.end(), [](const Job& a, const Job& b) { return a.id < b.id; });
    std::erase_if(jobs_, [&](const Job& job) {
      // By content of the name, so that a shard keeps its jobs when others come.
      const auto number =
          static_cast<unsigned>(sha256(as_bytes(job.id))[0]) << 8U | static_cast<unsigned>(sha256(as_bytes(job.id))[1]);
      if (number % options_.shards != options_.shard) return true;
      if (!known.contains(job.id)) return false;
      ++report_.skipped;
      return true;
    });
    report_.jobs = jobs_.size();
  }

  void read_all() {
    std::atomic<std::size_t> next = 0;
    std::vector<std::thread> workers;
    for (unsigned index = 0; index < std::max(1U, options_.threads); ++index) {
      workers.emplace_back([&] {
        for (std::size_t at = next++; at < jobs_.size(); at = next++) read_one(jobs_[at]);
      });
    }
    for (std::thread& worker : workers) worker.join();
  }

  void read_one(const Job& job) {
    const std::string part = parts_ + "/" + part_name(job.id);
    // A part that is there is whole: it was renamed. It may be of another version of nightjar: then it is made anew.
    const bool resumed = fs::exists(part) && Atlas::open(part).has_value();
    Result<> result;
    if (!resumed) {
      Atlas one;
      auto types = read_source(job, one.pool(), options_);
      if (types) {
        one.add(std::move(types->kernel), types->layout);
        result = one.save(part);
      } else {
        result = std::move(types).error();
      }
    }
    const std::lock_guard lock(mutex_);
    if (!result) {
      report_.failures.push_back({job.id, std::move(result).error()});
    } else {
      ++report_.done;
      report_.resumed += resumed ? 1 : 0;
    }
    if (progress_) progress_({report_.done + report_.failures.size(), jobs_.size(), report_.failures.size(), job.id});
  }

  /// In the order of the jobs, whatever the order in which they ended.
  Result<> join(Atlas& atlas) {
    for (const Job& job : jobs_) {
      const std::string part = parts_ + "/" + part_name(job.id);
      if (!fs::exists(part)) continue;
      const Atlas one = NIGHTJAR_TRY(Atlas::open(part));
      for (Kernel& kernel : atlas.merge(one)) report_.different.push_back(std::move(kernel));
    }
    return {};
  }

  std::vector<Job> jobs_;
  const std::string output_, parts_;
  const BuildOptions& options_;
  const std::function<void(const Progress&)>& progress_;
  std::mutex mutex_;
  BuildReport report_;
};

}  // namespace

Result<BuildReport> build(std::vector<Job> jobs, const std::string& output, const BuildOptions& options,
                          const std::function<void(const Progress&)>& progress) {
  return Build(std::move(jobs), output, options, progress).run();
}

}  // namespace nightjar::atlas
