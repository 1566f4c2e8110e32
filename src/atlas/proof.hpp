// SPDX-License-Identifier: Apache-2.0
// Whether a layout is the running kernel's, found out by reading with it what is known from elsewhere. Nothing here
// touches the kernel: facts come in, and a function that reads memory.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "atlas/chain.hpp"

namespace nightjar::atlas {

/// Where a chain begins.
enum class Start : std::uint8_t {
  thread,  ///< the witness's task_struct
  exec,    ///< the linux_binprm of an exec of the witness's
};

/// How what is read is compared.
enum class Shape : std::uint8_t {
  equal,          ///< the bytes are `expected`
  pointer_twice,  ///< the pointer there and the next are the same, and the one before is another (real_cred, cred)
  soon_after,     ///< nanoseconds in the tick `expected`, right after (but not before) the number in front of it
  cpu_times,      ///< utime, stime and what follows them; `expected` is what the two that the kernel shows add up to
  pointers,       ///< so many pointers, and then something else
  pointer_last,   ///< a pointer, and the one behind it is another (real_fs, fs)
};

/// Something known of the witness, and where it must be found.
struct Fact {
  std::vector<std::string> path;  ///< as Chain::parse takes it
  std::string expected;
  std::string or_else = {};  ///< what it may be instead; empty: nothing else
  Start start = Start::thread;
  Shape shape = Shape::equal;
  /// When it does not hold, nothing is proved by it, but the layout is not refused: what is expected is not certain.
  bool certain = true;
};

/// A number that is known without reading memory: of an enumerator, or the size of a type.
struct KnownNumber {
  Want want;
  std::int64_t number = 0;
};

struct Knowledge {
  std::vector<Fact> facts;
  std::vector<KnownNumber> numbers;
};

constexpr std::size_t bytes_at_once = 192;
/// What lies at an address; nothing when a step led to what is no address.
using Found = std::optional<std::string>;
/// Reads many at once, in order.
using ReadMemory = std::function<Result<std::vector<Found>>(Start, std::span<const Address>)>;

/// Whether what was read is what the fact says. `found` may be longer.
bool holds(const Fact& fact, std::string_view found);

struct Proof {
  std::string refused;  ///< why this is not the kernel's layout, naming the member; empty: nothing speaks against it
  std::size_t facts = 0;
  std::set<Want> proved;
  std::map<Want, std::string> unverified;  ///< of what is wanted, and why
};

/// A number is proved when it is the known one. A member is proved when every fact that it is part of holds, and when
/// at least one of them would not if the member were 4 or 8 bytes before (but not before its structure) or behind.
/// Fails as `read`.
Result<Proof> prove(const LayoutIndex& index, const WantedSet& wanted, const Knowledge& known, const ReadMemory& read);

/// The programs of the object that touch something unverified, and the first such thing, for people.
std::map<std::string, std::string> programs_to_leave_out(const WantedSet& wanted, const Proof& proof);

}  // namespace nightjar::atlas
