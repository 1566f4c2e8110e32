// SPDX-License-Identifier: Apache-2.0
// DNS messages in TCP connections (RFC 1035 4.2.2: each behind its length), from what processes wrote and read piece by
// piece. Anybody may have sent it: no trust, bounded memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace nightjar {

class DnsStreams {
 public:
  struct Piece {
    std::uint64_t stream;    ///< number of the connection
    bool answer;             ///< which direction
    std::uint64_t offset;    ///< bytes of this direction before it
    std::uint64_t size;      ///< more than there are bytes: some could not be read
    std::string_view bytes;  ///< its beginning
  };
  /// Gives `tell` each message that the piece completes, without its length. Where a piece is missing or could not be
  /// read, the rest of that direction cannot be told apart: `cut` is called, once, and nothing more of it is told.
  void add(const Piece& piece, const std::function<void(std::string_view)>& tell, const std::function<void()>& cut);

  /// Directions that turned out to be no DNS, or ended within a message as far as is known.
  [[nodiscard]] std::uint64_t malformed() const { return malformed_; }
  [[nodiscard]] std::size_t size() const { return directions_.size(); }

 private:
  struct Direction {
    std::uint64_t expected = 0;  ///< the offset of the next piece
    std::uint64_t used = 0;      ///< when; in pieces
    std::string held;            ///< the beginning of a message
    bool over = false;
  };
  void make_room();

  std::map<std::pair<std::uint64_t, bool>, Direction> directions_;
  std::size_t held_bytes_ = 0;
  std::uint64_t pieces_ = 0;
  std::uint64_t malformed_ = 0;
};

}  // namespace nightjar
