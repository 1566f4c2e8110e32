// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include <sys/types.h>

#include "atlas/source.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar::atlas {

/// A command that writes a package to its output: the atlas itself speaks no network protocol. It is ended (SIGPIPE,
/// when it writes on) as soon as enough was read.
class Fetch {
 public:
  /// `command` is run by /bin/sh with "{}" replaced by the quoted path. Fails with system.
  static Result<Fetch> start(const std::string& command, const std::string& path);
  Fetch(Fetch&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), command_(std::move(other.command_)), source_(std::move(other.source_)) {}
  Fetch& operator=(Fetch&&) = delete;
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;
  ~Fetch() { (void)end(); }

  Source& source() { return *source_; }
  /// Stops reading and waits for the command. Fails when it ended by itself with a status that is not 0.
  Result<> end();

 private:
  Fetch(pid_t pid, std::string command, SourcePointer source)
      : pid_(pid), command_(std::move(command)), source_(std::move(source)) {}
  pid_t pid_;
  std::string command_;
  SourcePointer source_;
};

}  // namespace nightjar::atlas
