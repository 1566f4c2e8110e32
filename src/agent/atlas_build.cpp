// SPDX-License-Identifier: Apache-2.0
// nightjar atlas build, add, pack, merge.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <thread>

#include <unistd.h>

#include "agent/atlas_command.hpp"
#include "agent/commands.hpp"
#include "atlas/builder.hpp"
#include "atlas/elf_file.hpp"
#include "atlas/package.hpp"
#include "atlas/running.hpp"

namespace nightjar {
namespace {

namespace fs = std::filesystem;
using atlas::Atlas;
using atlas::Job;

/// Files of a folder that may hold a kernel; what they are is told by their content.
bool looks_like_source(const fs::path& path) {
  const std::string name = path.filename();
  return name.ends_with(".deb") || name.ends_with(".btf") || name.starts_with("vmlinu");
}

Result<> add_jobs(const std::string& source, std::vector<Job>& jobs) {
  std::error_code problem;
  if (!fs::is_directory(source, problem)) {
    jobs.push_back({fs::path(source).filename(), source});
    return {};
  }
  for (const auto& entry : fs::recursive_directory_iterator(source, problem)) {
    if (entry.is_regular_file(problem) && looks_like_source(entry.path()))
      jobs.push_back({entry.path().filename(), entry.path()});
  }
  if (problem) return Error::from_errno("read folder " + source, problem.value());
  return {};
}

Result<> add_index(const std::string& index, const AtlasOptions& options, std::vector<Job>& jobs) {
  constexpr std::uint64_t largest_index = std::uint64_t{512} << 20U;
  const atlas::MappedFile file = NIGHTJAR_TRY(atlas::MappedFile::open(index));
  const auto source = atlas::decompressed(atlas::source_of(file.bytes()), atlas::compression_of(file.bytes()));
  auto text = atlas::read_rest(*source, largest_index);
  if (!text) return std::move(text).error().in(index);
  for (const auto& entry : atlas::kernel_packages(*text, options.debug_packages)) {
    const std::string path = options.base.empty() || options.base.ends_with('/') ? options.base + entry.path
                                                                                 : options.base + "/" + entry.path;
    std::error_code problem;
    jobs.push_back({entry.id() + ".deb", path, !fs::is_regular_file(path, problem)});
  }
  return {};
}

Result<std::pair<unsigned, unsigned>> parse_shard(const std::string& text) {
  unsigned part = 0;
  unsigned of = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, part);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '/') {
    const auto second = std::from_chars(first.ptr + 1, end, of);
    if (second.ec == std::errc() && second.ptr == end && part >= 1 && part <= of) return std::make_pair(part - 1, of);
  }
  return Error(errc::invalid, "--shard " + text + ": expected I/N, I from 1 to N");
}

Result<atlas::BuildOptions> build_options(const AtlasOptions& options) {
  atlas::BuildOptions build;
  build.threads = options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  const auto [part, of] = NIGHTJAR_TRY(parse_shard(options.shard));
  build.shard = part;
  build.shards = of;
  build.prefer = options.prefer == "dwarf" ? atlas::Prefer::dwarf : atlas::Prefer::btf;
  build.cross_check = options.cross_check;
  build.modules = options.modules;
  build.fetch = options.fetch;
  if (options.cross_check) build.wanted = NIGHTJAR_TRY(wanted_by(options.object)).all;
  constexpr std::size_t largest_key = 65536;
  if (!options.sign.empty()) build.signing_key_pem = NIGHTJAR_TRY(atlas::read_whole(options.sign, largest_key));
  return build;
}

Result<std::string> signing_key(const AtlasOptions& options) {
  if (options.sign.empty()) return std::string();
  return NIGHTJAR_TRY(build_options(options)).signing_key_pem;
}

void show_progress(const atlas::Progress& progress) {
  constexpr std::size_t width = 30;
  const std::size_t filled = progress.jobs == 0 ? width : width * progress.done / progress.jobs;
  std::string bar(filled, '#');
  bar.resize(width, '.');
  std::fprintf(stderr, "\r[%s] %zu/%zu", bar.c_str(), progress.done, progress.jobs);
  if (progress.failed != 0) std::fprintf(stderr, ", %zu failed", progress.failed);
  std::fprintf(stderr, "  %.60s\x1b[K", std::string(progress.id).c_str());
  if (progress.done == progress.jobs) std::fputc('\n', stderr);
}

void report_different(const std::vector<atlas::Kernel>& different) {
  for (const auto& kernel : different) {
    std::fprintf(stderr, "nightjar: %s says otherwise about %s than what the atlas has: left as it was\n",
                 kernel.source.c_str(), kernel.name().c_str());
  }
}

int report(const Result<atlas::BuildReport>& built, const std::string& output) {
  if (!built) return fail(built.error());
  for (const auto& failure : built->failures)
    std::fprintf(stderr, "nightjar: %s: %s\n", failure.id.c_str(), to_string(failure.error).c_str());
  report_different(built->different);
  const auto atlas = Atlas::open(output);
  std::printf("%zu read, %zu of them before an interruption, %zu known already, %zu failed", built->done,
              built->resumed, built->skipped, built->failures.size());
  if (atlas)
    std::printf("; %zu kernels, %zu layouts, %zu bytes", atlas->kernels().size(), atlas->layouts().size(),
                static_cast<std::size_t>(fs::file_size(output)));
  std::puts("");
  return built->failures.empty() && built->different.empty() ? exit_done : exit_failed;
}

}  // namespace

int atlas_build(const AtlasOptions& options) {
  std::vector<Job> jobs;
  for (const std::string& source : options.arguments) {
    if (auto added = add_jobs(source, jobs); !added) return fail(added.error());
  }
  for (const std::string& index : options.indices) {
    if (auto added = add_index(index, options, jobs); !added) return fail(added.error());
  }
  if (jobs.empty() && options.indices.empty())
    return fail(Error(errc::invalid, "atlas build: nothing to read: name sources or an --index"));
  auto build = build_options(options);
  if (!build) return fail(build.error());
  std::function<void(const atlas::Progress&)> progress;
  if (!options.quiet && ::isatty(STDERR_FILENO) != 0) progress = show_progress;
  return report(atlas::build(std::move(jobs), options.output, *build, progress), options.output);
}

int atlas_add(const AtlasOptions& options) {
  auto build = build_options(options);
  if (!build) return fail(build.error());
  Atlas to;
  if (fs::exists(options.atlas)) {
    auto opened = Atlas::open(options.atlas);
    if (!opened) return fail(opened.error());
    to = std::move(*opened);
  }
  std::vector<Job> jobs;
  for (const std::string& source : options.arguments) {
    if (auto added = add_jobs(source, jobs); !added) return fail(added.error());
  }
  if (options.running) jobs.push_back({"running kernel", atlas::kernel_btf_path});
  if (jobs.empty()) return fail(Error(errc::invalid, "atlas add: nothing to add"));
  auto id = atlas::from_hex(options.build_id);
  if (!id) return fail(std::move(id).error().in("--build-id"));
  bool all_well = true;
  for (const Job& job : jobs) {
    const bool is_running = job.path == atlas::kernel_btf_path;
    // sysfs files cannot be mapped.
    Result<atlas::KernelTypes> types = Error(errc::invalid, "");
    if (is_running) {
      constexpr std::size_t largest_btf = std::size_t{256} << 20U;
      const auto bytes = atlas::read_whole(job.path, largest_btf);
      types =
          bytes ? atlas::read_kernel(atlas::as_bytes(*bytes), to.pool()) : Result<atlas::KernelTypes>(bytes.error());
    } else {
      types = atlas::read_source(job, to.pool(), *build);
    }
    if (!types) {
      (void)fail(std::move(types).error().in(job.id));
      all_well = false;
      continue;
    }
    atlas::Kernel& kernel = types->kernel;
    kernel.source = job.id;
    if (is_running) {
      const auto running = atlas::RunningKernel::read();
      kernel.build_id = running.build_id;
      kernel.release = running.release;
      kernel.version = running.version;
      kernel.architecture = running.architecture;
      kernel.distribution = atlas::distribution_of(kernel.release, kernel.version);
    }
    const auto given = [](std::string& field, const std::string& value) {
      if (!value.empty()) field = value;
    };
    given(kernel.build_id, *id);
    given(kernel.release, options.release);
    given(kernel.version, options.version);
    given(kernel.architecture, options.architecture);
    given(kernel.distribution, options.distribution);
    if (kernel.release.empty() && kernel.build_id.empty()) {
      (void)fail(Error(errc::invalid, job.id + ": the source does not say which kernel it is: give --release and "
                                               "--kernel-version, or --build-id"));
      all_well = false;
      continue;
    }
    atlas::Layout layout = types->layout;
    if (!to.wanted().empty()) {
      Atlas whole;
      atlas::Copier copier(to.pool(), whole.pool());
      const atlas::Layout copied = copier.copy(layout);
      layout = atlas::prune(atlas::LayoutIndex(whole.pool(), copied), to.wanted(), to.pool());
    }
    const std::string name = kernel.name();
    switch (to.add(std::move(kernel), layout)) {
      case atlas::Added::added:
        std::printf("added %s\n", name.c_str());
        break;
      case atlas::Added::known:
        std::printf("known already: %s\n", name.c_str());
        break;
      case atlas::Added::differs:
        std::fprintf(stderr, "nightjar: %s says otherwise about %s than what the atlas has: left as it was\n",
                     job.id.c_str(), name.c_str());
        all_well = false;
        break;
    }
  }
  if (auto saved = to.save(options.atlas, build->signing_key_pem); !saved) return fail(saved.error());
  return all_well ? exit_done : exit_failed;
}

int atlas_pack(const AtlasOptions& options) {
  auto store = Atlas::open(options.arguments.front());
  if (!store) return fail(store.error());
  auto wanted = wanted_by(options.object);
  if (!wanted) return fail(wanted.error());
  if (!store->wanted().empty() &&
      !std::includes(store->wanted().begin(), store->wanted().end(), wanted->all.begin(), wanted->all.end()))
    return fail(Error(errc::invalid, options.arguments.front() +
                                         " is a pack that lacks some of what the programs want: take a store"));
  auto key = signing_key(options);
  if (!key) return fail(key.error());
  const Atlas pack = store->pruned(wanted->all);
  if (auto saved = pack.save(options.output, *key); !saved) return fail(saved.error());
  std::printf("%zu kernels, %zu layouts of %zu members, %zu bytes\n", pack.kernels().size(), pack.layouts().size(),
              wanted->all.size(), static_cast<std::size_t>(fs::file_size(options.output)));
  return exit_done;
}

int atlas_merge(const AtlasOptions& options) {
  Atlas all;
  bool first = true;
  std::vector<atlas::Kernel> different;
  for (const std::string& path : options.arguments) {
    auto one = Atlas::open(path);
    if (!one) return fail(one.error());
    if (first) all.set_wanted(one->wanted());
    if (one->wanted() != all.wanted())
      return fail(Error(errc::invalid, path + " keeps other members than " + options.arguments.front() +
                                           ": merge the stores, then pack"));
    first = false;
    for (auto& kernel : all.merge(*one)) different.push_back(std::move(kernel));
  }
  auto key = signing_key(options);
  if (!key) return fail(key.error());
  if (auto saved = all.save(options.output, *key); !saved) return fail(saved.error());
  report_different(different);
  std::printf("%zu kernels, %zu layouts\n", all.kernels().size(), all.layouts().size());
  return different.empty() ? exit_done : exit_failed;
}

}  // namespace nightjar
