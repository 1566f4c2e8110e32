// SPDX-License-Identifier: Apache-2.0
// Many kernels into one atlas: parallel, resumable, the same result every time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "atlas/atlas.hpp"
#include "atlas/kernel_image.hpp"

namespace nightjar::atlas {

/// One thing to read a kernel from.
struct Job {
  std::string id;        ///< names the result: the package's name and version, or the file's
  std::string path;      ///< a file; or what `fetch` is given
  bool fetched = false;  ///< `path` is fetched by a command
};

struct BuildOptions {
  unsigned threads = 1;
  unsigned shard = 0, shards = 1;  ///< only the jobs of this part of so many
  Prefer prefer = Prefer::btf;
  bool cross_check = false;          ///< where a kernel has both, DWARF and BTF must agree on `wanted`
  std::set<Want> wanted;             ///< for reading DWARF and for cross_check
  std::vector<std::string> modules;  ///< types of these modules too, where the package has them
  std::string fetch;                 ///< a command; "{}" becomes the path; it writes the package to its output
  std::string signing_key_pem;
};

struct Failure {
  std::string id;
  Error error;
};

struct BuildReport {
  std::size_t jobs = 0, done = 0, resumed = 0, skipped = 0;
  std::vector<Failure> failures;
  std::vector<Kernel> different;  ///< another source said otherwise about the same kernel before
};

struct Progress {
  std::size_t done, jobs, failed;
  std::string_view id;
};

/// Reads one source. Fails as read_kernel and read_package.
Result<KernelTypes> read_source(const Job& job, TypePool& pool, const BuildOptions& options);

/// Reads every job that `output` does not have yet, adds it, and replaces `output` at the end. What is read is kept in
/// OUTPUT.parts until then, so that a build that was interrupted goes on. A job that fails is reported and stops no
/// other. Fails when the result cannot be written, or `output` is not an atlas.
Result<BuildReport> build(std::vector<Job> jobs, const std::string& output, const BuildOptions& options,
                          const std::function<void(const Progress&)>& progress);

}  // namespace nightjar::atlas
