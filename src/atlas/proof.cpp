// SPDX-License-Identifier: Apache-2.0
#include "atlas/proof.hpp"

#include <algorithm>
#include <array>

#include "atlas/elf_file.hpp"

namespace nightjar::atlas {
namespace {

constexpr std::array<std::int64_t, 4> shifts = {-8, -4, 4, 8};
/// Numbers that belong to the kernel's interface with user space or with the verifier: they are the same everywhere.
constexpr std::array<std::string_view, 5> fixed = {"bpf_func_id", "bpf_iter__task", "bpf_iter_meta", "iovec",
                                                   "pt_regs"};
constexpr std::uint64_t lowest_pointer = 0xff00000000000000;

std::uint64_t word(std::string_view bytes, std::size_t index) {
  return value_at<std::uint64_t>(as_bytes(bytes), index * 8);
}

bool holds_soon_after(std::string_view expected, std::string_view found) {
  constexpr std::uint64_t one_after_the_other_ns = 1'000'000;
  constexpr std::uint64_t least_clock_ns = 100'000'000;  // no process starts earlier; counters beside it are smaller
  const std::uint64_t before = word(found, 0), at = word(found, 1);
  if (at < word(expected, 0) || at >= word(expected, 1) || before > at) return false;
  // A machine that slept has another clock in front.
  return at - before < one_after_the_other_ns || (before > least_clock_ns && before < word(expected, 0));
}

bool holds_cpu_times(std::string_view expected, std::string_view found) {
  const std::uint64_t sum = word(expected, 0), zeros = word(expected, 1);
  for (std::size_t index = 0; index < zeros; ++index) {
    if (word(found, 2 + index) != 0) return false;
  }
  if (word(found, 1) == 0) return false;  // the witness saw to it that some of the kernel's time is counted
  const std::uint64_t shown_user = word(found, 2 + zeros), shown_system = word(found, 3 + zeros);
  // The kernel's own numbers count ticks: they are near to what it shows, not the same.
  constexpr std::uint64_t slack_ns = 1'000'000'000;
  return shown_user <= sum && shown_user + shown_system == sum && word(found, 0) + word(found, 1) <= sum + slack_ns;
}

std::size_t length_of(const Fact& fact) {
  switch (fact.shape) {
    case Shape::equal:
      return fact.expected.size();
    case Shape::pointer_twice:
    case Shape::pointer_last:
      return 24;
    case Shape::soon_after:
      return 16;
    case Shape::cpu_times:
      return (4 + word(fact.expected, 1)) * 8;
    case Shape::pointers:
      return (1 + word(fact.expected, 0)) * 8;
  }
  return bytes_at_once;
}

/// One fact, ready to be looked at.
struct Ready {
  const Fact* fact;
  Chain chain;
  std::vector<Want> wants;
  Address address;
  Found found;
};

struct Question {
  Start start;
  Address address;
};

Result<std::vector<Found>> read_all(const std::vector<Question>& questions, const ReadMemory& read) {
  std::vector<Found> answers(questions.size());
  for (const Start start : {Start::thread, Start::exec}) {
    std::vector<Address> addresses;
    std::vector<std::size_t> places;
    for (std::size_t index = 0; index < questions.size(); ++index) {
      if (questions[index].start != start) continue;
      addresses.push_back(questions[index].address);
      places.push_back(index);
    }
    if (addresses.empty()) continue;
    auto found = NIGHTJAR_TRY(read(start, addresses));
    for (std::size_t index = 0; index < places.size() && index < found.size(); ++index)
      answers[places[index]] = std::move(found[index]);
  }
  return answers;
}

bool holds_pointers(std::string_view expected, std::string_view found) {
  const std::uint64_t count = word(expected, 0);
  for (std::size_t index = 0; index < count; ++index) {
    if (word(found, index) < lowest_pointer) return false;
  }
  return word(found, count) < lowest_pointer;
}

bool satisfied(const Ready& one, const Found& found) {
  return found && holds(*one.fact, *found);
}

/// Reads what the layout says where the facts are.
Result<> look(const LayoutIndex& index, const std::vector<Fact>& facts, Start start, const ReadMemory& read,
              std::vector<Ready>& ready) {
  std::vector<Question> questions;
  const std::size_t before = ready.size();
  for (const Fact& fact : facts) {
    if (fact.start != start) continue;
    Ready one{.fact = &fact, .chain = Chain::parse(fact.path), .wants = {}, .address = {}, .found = {}};
    auto address = address_of(one.chain, index);
    if (!address) continue;  // this kernel is said to lack it, or to have it elsewhere: another fact is for that
    one.address = std::move(*address);
    one.wants = one.chain.wants();
    questions.push_back({fact.start, one.address});
    ready.push_back(std::move(one));
  }
  auto answers = NIGHTJAR_TRY(read_all(questions, read));
  for (std::size_t at = 0; at < answers.size(); ++at) ready[before + at].found = std::move(answers[at]);
  return {};
}

/// The member that is most likely wrong: in facts that fail, in none that holds; else the last of the first that fails.
std::string name_suspect(const std::vector<Ready>& facts) {
  std::map<Want, int> failing;
  std::set<Want> holding;
  const Ready* first = nullptr;
  for (const Ready& one : facts) {
    if (satisfied(one, one.found)) {
      holding.insert(one.wants.begin(), one.wants.end());
    } else if (one.fact->certain) {
      for (const Want& want : one.wants) ++failing[want];
      if (first == nullptr) first = &one;
    }
  }
  if (first == nullptr) return {};
  const Want* suspect = nullptr;
  for (const auto& [want, count] : failing) {
    if (!holding.contains(want) && (suspect == nullptr || count > failing[*suspect])) suspect = &want;
  }
  if (suspect == nullptr && !first->wants.empty()) suspect = &first->wants.back();
  const Ready* shown = first;
  for (const Ready& one : facts) {
    const bool has = suspect != nullptr && std::find(one.wants.begin(), one.wants.end(), *suspect) != one.wants.end();
    if (has && one.fact->certain && !satisfied(one, one.found)) {
      shown = &one;
      break;
    }
  }
  std::string way;
  for (const std::string& step : shown->fact->path) way += (way.empty() ? "" : " -> ") + step;
  std::string what =
      (suspect != nullptr ? suspect->text() : "a member") + " is not where this layout has it: at " + way;
  if (!shown->found) return what + " is no address";
  const std::size_t length = std::min<std::size_t>(length_of(*shown->fact), 16);
  return what + " is " + to_hex(as_bytes(std::string_view(*shown->found).substr(0, length))) + ", and not " +
         to_hex(as_bytes(std::string_view(shown->fact->expected).substr(0, length)));
}

bool is_fixed(const Want& want) {
  return std::find(fixed.begin(), fixed.end(), want.root) != fixed.end();
}

/// The members that proved ones lead through: that they exist is proved too.
std::set<std::pair<TypeId, std::size_t>> members_passed(const LayoutIndex& index, const std::set<Want>& proved) {
  std::set<std::pair<TypeId, std::size_t>> passed;
  for (const Want& want : proved) {
    for (const Place& place : index.places(want)) passed.insert(place.steps.begin(), place.steps.end());
  }
  return passed;
}

/// Whether something proved leads through it.
bool is_passed(const LayoutIndex& index, const Want& want, const std::set<Want>& proved,
               const std::set<std::pair<TypeId, std::size_t>>& passed) {
  if (want.path.empty())
    return std::any_of(proved.begin(), proved.end(), [&](const Want& one) { return one.root == want.root; });
  const auto places = index.places(want);
  return std::any_of(places.begin(), places.end(),
                     [&](const Place& place) { return passed.contains(place.steps.back()); });
}

/// Whether the programs read something of it.
bool is_read_below(const WantedSet& wanted, const Want& want) {
  return std::any_of(wanted.all.begin(), wanted.all.end(), [&](const Want& one) {
    return !wanted.only_asked.contains(one) && one.root == want.root && one.path.size() >= want.path.size() &&
           std::equal(want.path.begin(), want.path.end(), one.path.begin());
  });
}

bool has_number(const LayoutIndex& index, const KnownNumber& known) {
  if (const auto value = index.value(known.want)) return *value == known.number;
  const auto& types = index.find(known.want.kind, known.want.root);
  return known.want.path.empty() && types.size() == 1 &&
         index.pool().size_of(types.front()) == static_cast<std::uint64_t>(known.number);
}

}  // namespace

bool holds(const Fact& fact, std::string_view found) {
  const std::size_t length = length_of(fact);
  if (found.size() < length) return false;
  switch (fact.shape) {
    case Shape::equal:
      return found.substr(0, length) == fact.expected ||
             (!fact.or_else.empty() && found.substr(0, length) == fact.or_else);
    case Shape::pointer_twice:
      return word(found, 1) >= lowest_pointer && word(found, 1) == word(found, 2) && word(found, 0) != word(found, 1);
    case Shape::pointer_last:
      return word(found, 1) >= lowest_pointer && word(found, 2) != word(found, 1);
    case Shape::soon_after:
      return holds_soon_after(fact.expected, found);
    case Shape::cpu_times:
      return holds_cpu_times(fact.expected, found);
    case Shape::pointers:
      return holds_pointers(fact.expected, found);
  }
  return false;
}

Result<Proof> prove(const LayoutIndex& index, const WantedSet& wanted, const Knowledge& known, const ReadMemory& read) {
  Proof proof;
  std::vector<Ready> ready;
  // What costs an exec comes last: most layouts are refused before.
  for (const Start start : {Start::thread, Start::exec}) {
    NIGHTJAR_CHECK(look(index, known.facts, start, read, ready));
    proof.refused = name_suspect(ready);
    proof.facts = ready.size();
    if (!proof.refused.empty()) return proof;
  }
  std::erase_if(ready, [](const Ready& one) { return !satisfied(one, one.found); });

  // Would a mistake be seen?
  struct Trial {
    std::size_t ready;
    Want want;
    std::int64_t bytes;
  };
  std::vector<Trial> trials;
  std::vector<Question> questions;
  std::map<Want, std::set<std::int64_t>> seen;
  for (std::size_t at = 0; at < ready.size(); ++at) {
    for (const Want& want : ready[at].wants) {
      for (const std::int64_t bytes : shifts) {
        if (!can_be_moved(index, {&want, bytes})) {  // nor could what lies there be mistaken for it
          seen[want].insert(bytes);
          continue;
        }
        auto moved = address_of(ready[at].chain, index, {&want, bytes});
        if (!moved) continue;
        questions.push_back({ready[at].fact->start, std::move(*moved)});
        trials.push_back({at, want, bytes});
      }
    }
  }
  const auto answers = NIGHTJAR_TRY(read_all(questions, read));
  for (std::size_t at = 0; at < trials.size(); ++at) {
    auto& shifts_seen = seen[trials[at].want];
    if (!satisfied(ready[trials[at].ready], answers[at])) shifts_seen.insert(trials[at].bytes);
  }
  for (const auto& [want, shifts_seen] : seen) {
    if (shifts_seen.size() == shifts.size()) proof.proved.insert(want);
  }
  for (const KnownNumber& number : known.numbers) {
    if (has_number(index, number)) proof.proved.insert(number.want);
  }
  const auto passed = members_passed(index, proof.proved);
  for (const Want& want : wanted.all) {
    if (proof.proved.contains(want) || is_fixed(want)) continue;
    if (wanted.only_asked.contains(want)) {
      // Its place is not used, but what follows from its being there is. "Not there" cannot be proved; where the
      // question only chooses what is read, what is read has to be proved.
      const bool there = index.has(want);
      if (there ? !is_passed(index, want, proof.proved, passed) : !is_read_below(wanted, want))
        proof.unverified.emplace(want, "whether this kernel has it is not known");
      continue;
    }
    if (!index.has(want)) continue;  // the programs then read another, which has to be proved
    const auto tried = seen.find(want);
    std::string why = "nothing is known that shows where it is";
    if (tried != seen.end()) {
      why = "it could as well be elsewhere:";
      for (const std::int64_t bytes : shifts) {
        if (!tried->second.contains(bytes)) why += (bytes > 0 ? " +" : " ") + std::to_string(bytes);
      }
      why += " bytes";
    }
    proof.unverified.emplace(want, std::move(why));
  }
  return proof;
}

std::map<std::string, std::string> programs_to_leave_out(const WantedSet& wanted, const Proof& proof) {
  std::map<std::string, std::string> out;
  for (const auto& [function, wants] : wanted.by_function) {
    for (const Want& want : wants) {
      const auto found = proof.unverified.find(want);
      if (found == proof.unverified.end()) continue;
      out.emplace(function, want.text() + " is not proved on this kernel: " + found->second);
      break;
    }
  }
  return out;
}

}  // namespace nightjar::atlas
