// SPDX-License-Identifier: Apache-2.0
// The globs of an automaton become a tree of their tokens, so that equal beginnings are one; a state of the automaton
// is a set of nodes (the subset construction). One that has matched `/home/**` needs not know what a later rule says
// of /home: such nodes are taken out of the set, which is what keeps prefixes from multiplying with everything.
#include "agent/glob_automaton.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace nightjar {
namespace {

using Row = std::array<std::uint16_t, WIRE_FILE_KINDS>;

constexpr Row no_verdict() {
  Row row{};
  row.fill(WIRE_VERDICT_NONE);
  return row;
}

/// What a node does with a byte besides leading on to the next token.
enum class Loop : std::uint8_t {
  none,
  name,         ///< `*`: stays, but for a slash
  all,          ///< `**`: stays
  directories,  ///< `**/` behind a slash, at the beginning of a name: any but a slash leads into the name
  directory,    ///< within such a name: a slash leads back
};

struct Node {
  Loop loop = Loop::none;
  std::vector<std::pair<unsigned char, std::uint32_t>> literals;  // by byte
  std::uint32_t any_one = 0, star = 0, deep = 0, directories = 0;
  std::uint32_t partner = 0;  // of directories and directory: the other one
  Row accepts = no_verdict();
  std::uint16_t least = WIRE_VERDICT_NONE, kinds = 0;  // of all that can be reached from here
};

class Tree {
 public:
  Tree() { nodes_.emplace_back(); }

  void add(const VerdictGlob& what, std::string_view glob) {
    std::uint32_t at = 0;
    note(at, what);
    for (std::size_t i = 0; i < glob.size();) {
      const std::string_view rest = glob.substr(i);
      if (rest.starts_with("**/") && i > 0 && glob[i - 1] == '/') {
        at = directories(at, what);
        i += 3;
      } else if (rest.starts_with("**")) {
        at = child(at, &Node::deep, Loop::all);
        i += 2;
      } else {
        at = rest[0] == '*'   ? child(at, &Node::star, Loop::name)
             : rest[0] == '?' ? child(at, &Node::any_one, Loop::none)
                              : literal(at, static_cast<unsigned char>(rest[0]));
        ++i;
      }
      note(at, what);
    }
    for (unsigned kind = 0; kind < WIRE_FILE_KINDS; ++kind) {
      std::uint16_t& accepts = nodes_[at].accepts[kind];
      if ((what.kinds >> kind & 1) != 0) accepts = std::min(accepts, what.verdict);
    }
  }

  const Node& operator[](std::uint32_t node) const { return nodes_[node]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

 private:
  void note(std::uint32_t node, const VerdictGlob& what) {
    nodes_[node].least = std::min(nodes_[node].least, what.verdict);
    nodes_[node].kinds |= what.kinds;
  }
  std::uint32_t make(Loop loop) {
    nodes_.emplace_back().loop = loop;
    return static_cast<std::uint32_t>(nodes_.size() - 1);
  }
  std::uint32_t child(std::uint32_t at, std::uint32_t Node::* which, Loop loop) {
    if (nodes_[at].*which == 0) {
      const std::uint32_t made = make(loop);
      nodes_[at].*which = made;
    }
    return nodes_[at].*which;
  }
  std::uint32_t directories(std::uint32_t at, const VerdictGlob& what) {
    const std::uint32_t start = child(at, &Node::directories, Loop::directories);
    if (nodes_[start].partner == 0) {
      const std::uint32_t inner = make(Loop::directory);
      nodes_[start].partner = inner;
      nodes_[inner].partner = start;
    }
    note(nodes_[start].partner, what);
    return start;
  }
  std::uint32_t literal(std::uint32_t at, unsigned char byte) {
    auto& literals = nodes_[at].literals;
    const auto place = std::lower_bound(literals.begin(), literals.end(), std::pair(byte, 0U));
    if (place != literals.end() && place->first == byte) return place->second;
    const auto offset = place - literals.begin();
    const std::uint32_t made = make(Loop::none);
    auto& again = nodes_[at].literals;
    again.insert(again.begin() + offset, {byte, made});
    return made;
  }

  std::vector<Node> nodes_;
};

using Set = std::vector<std::uint32_t>;  // sorted

struct SetHash {
  std::size_t operator()(const Set& set) const {
    std::size_t hash = 0xcbf29ce484222325;
    for (const std::uint32_t node : set) hash = (hash ^ node) * 0x100000001b3;
    return hash;
  }
};

/// A state before it has a place in the tables.
struct State {
  std::uint32_t other = 0;
  std::vector<std::pair<unsigned char, std::uint32_t>> edges;
  Row verdict = no_verdict();
};

/// The subset construction for one tree.
class Automaton {
 public:
  Automaton(const Tree& tree, std::size_t most_states, std::size_t& steps_left)
      : tree_(tree), most_(most_states), steps_left_(steps_left) {}

  /// State 0 is dead, state 1 the start. Nothing: too many states.
  std::optional<std::deque<State>> build() {
    known_.emplace(Set{}, 0);
    states_.emplace_back();
    Set start{0};
    (void)number_of(std::move(start));
    while (!todo_.empty()) {
      const auto [state, set] = todo_.front();
      todo_.pop_front();
      if (states_.size() > most_ || steps_left_ == 0) return std::nullopt;
      expand(state, *set);
    }
    return std::move(states_);
  }

 private:
  void expand(std::uint32_t state, const Set& set) {
    std::vector<std::pair<unsigned char, std::uint32_t>> literals;
    for (const std::uint32_t node : set)
      literals.insert(literals.end(), tree_[node].literals.begin(), tree_[node].literals.end());
    std::sort(literals.begin(), literals.end());
    const Set elsewhere = wildcards(set, false);
    const Set at_slash = wildcards(set, true);
    const std::uint32_t other = number_of(elsewhere);
    states_[state].other = other;
    bool slash_done = false;
    const auto edge = [&](unsigned char byte, Set next) {
      slash_done |= byte == '/';
      const std::uint32_t number = number_of(std::move(next));
      if (number != other) states_[state].edges.emplace_back(byte, number);
    };
    for (auto at = literals.begin(); at != literals.end();) {
      const unsigned char byte = at->first;
      if (!slash_done && byte > '/') edge('/', at_slash);
      Set next = byte == '/' ? at_slash : elsewhere;
      for (; at != literals.end() && at->first == byte; ++at) next.push_back(at->second);
      edge(byte, std::move(next));
    }
    if (!slash_done) edge('/', at_slash);
    const std::size_t took = literals.size() + set.size() + 1;
    steps_left_ -= std::min(steps_left_, took);
  }

  /// Where a byte leads that no literal is: a slash, or any other.
  [[nodiscard]] Set wildcards(const Set& set, bool slash) const {
    Set next;
    for (const std::uint32_t at : set) {
      const Node& node = tree_[at];
      if (!slash && node.any_one != 0) next.push_back(node.any_one);
      switch (node.loop) {
        case Loop::none:
          break;
        case Loop::name:
          if (!slash) next.push_back(at);
          break;
        case Loop::all:
          next.push_back(at);
          break;
        case Loop::directories:
          next.push_back(slash ? at : node.partner);
          break;
        case Loop::directory:
          next.push_back(slash ? node.partner : at);
      }
    }
    return next;
  }

  /// What stands for nothing leads on at once.
  void close(Set& set) const {
    for (std::size_t i = 0; i < set.size(); ++i) {
      const Node& node = tree_[set[i]];
      for (const std::uint32_t next : {node.star, node.deep, node.directories}) {
        if (next != 0) set.push_back(next);
      }
    }
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
  }

  /// Takes out what a glob that ends in `**`, and has matched for good, overrules.
  void prune(Set& set) const {
    for (std::size_t i = 0; i < set.size(); ++i) {
      const Node& sure = tree_[set[i]];
      if (sure.loop != Loop::all) continue;
      std::uint16_t kinds = 0;
      std::uint16_t most = 0;
      for (unsigned kind = 0; kind < WIRE_FILE_KINDS; ++kind) {
        if (sure.accepts[kind] == WIRE_VERDICT_NONE) continue;
        kinds |= static_cast<std::uint16_t>(1U << kind);
        most = std::max(most, sure.accepts[kind]);
      }
      if (kinds == 0) continue;
      const std::uint32_t keep = set[i];
      std::erase_if(set, [&](std::uint32_t at) {
        return at != keep && tree_[at].least >= most && (tree_[at].kinds & ~kinds) == 0;
      });
      i = static_cast<std::size_t>(std::lower_bound(set.begin(), set.end(), keep) - set.begin());
    }
  }

  std::uint32_t number_of(Set set) {
    close(set);
    prune(set);
    const auto [place, is_new] = known_.try_emplace(std::move(set), static_cast<std::uint32_t>(states_.size()));
    if (!is_new) return place->second;
    State& state = states_.emplace_back();
    for (const std::uint32_t node : place->first) {
      for (unsigned kind = 0; kind < WIRE_FILE_KINDS; ++kind)
        state.verdict[kind] = std::min(state.verdict[kind], tree_[node].accepts[kind]);
    }
    todo_.emplace_back(place->second, &place->first);
    return place->second;
  }

  const Tree& tree_;
  std::size_t most_;
  std::size_t& steps_left_;
  std::deque<State> states_;
  std::unordered_map<Set, std::uint32_t, SetHash> known_;  // its keys stay where they are
  std::deque<std::pair<std::uint32_t, const Set*>> todo_;
};

/// Puts automata behind each other into the tables. Edges of different states lie between each other wherever they fit;
/// each says whose it is.
class Packer {
 public:
  explicit Packer(RuleTables& tables) : tables_(tables) {
    tables_.states.push_back({0, 0, row_of(no_verdict()), 1});
    tables_.verdicts.reserve(64);
  }

  void add(const std::deque<State>& automaton) {
    const auto first = static_cast<std::uint32_t>(tables_.states.size() - 1);  // the dead state is everyone's
    const auto moved = [first](std::uint32_t state) { return state == 0 ? 0 : first + state; };
    tables_.set.starts[tables_.set.automata++] = moved(1);
    for (std::uint32_t i = 1; i < automaton.size(); ++i) {
      const State& state = automaton[i];
      wire_rule_state& row = tables_.states.emplace_back();
      row.other = moved(state.other);
      row.verdict = row_of(state.verdict);
      row.is_final = state.edges.empty() && state.other == i ? 1 : 0;
    }
    // Those with many edges first: single ones fit into the gaps.
    std::vector<std::uint32_t> order(automaton.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return automaton[a].edges.size() > automaton[b].edges.size();
    });
    for (const std::uint32_t i : order) {
      const auto& edges = automaton[i].edges;
      if (edges.empty()) break;
      const std::uint32_t base = tables_.states[moved(i)].base = place(edges);
      for (const auto& [byte, next] : edges) tables_.edges[base + byte] = {moved(i), moved(next)};
    }
  }
  void finish() { tables_.edges.resize(tables_.edges.size() + 256); }

 private:
  static constexpr std::size_t most_tries = 64;

  std::uint32_t row_of(const Row& verdict) {
    const auto [place, is_new] = rows_.try_emplace(verdict, static_cast<std::uint32_t>(tables_.verdicts.size()));
    if (is_new) std::copy(verdict.begin(), verdict.end(), tables_.verdicts.emplace_back().of);
    return place->second;
  }

  [[nodiscard]] bool is_free(std::size_t edge) const {
    return edge >= tables_.edges.size() || tables_.edges[edge].from == 0;
  }

  std::uint32_t place(const std::vector<std::pair<unsigned char, std::uint32_t>>& edges) {
    while (!is_free(first_free_)) ++first_free_;
    const std::size_t lowest = edges.front().first;
    // Where others of several edges have found no place is none for these either.
    std::size_t& begin = edges.size() > 1 ? first_roomy_ : first_free_;
    std::size_t at = std::max({first_free_, begin, lowest});
    for (std::size_t tries = 0; at < tables_.edges.size(); ++at) {
      if (!is_free(at)) continue;
      const std::size_t base = at - lowest;
      if (std::all_of(edges.begin(), edges.end(), [&](const auto& edge) { return is_free(base + edge.first); })) break;
      if (++tries < most_tries) continue;
      first_roomy_ = (at + tables_.edges.size()) / 2;
      at = tables_.edges.size();
      break;
    }
    const std::size_t base = std::max(at, lowest) - lowest;
    if (tables_.edges.size() <= base + edges.back().first) tables_.edges.resize(base + edges.back().first + 1);
    return static_cast<std::uint32_t>(base);
  }

  RuleTables& tables_;
  std::map<Row, std::uint32_t> rows_;
  std::size_t first_free_ = 0, first_roomy_ = 0;
};

std::string_view literal_beginning(std::string_view glob) {
  return glob.substr(0, glob.find_first_of("*?"));
}

using Globs = std::vector<const VerdictGlob*>;

/// What decides which globs share an automaton: where the first wildcard stands (the slashes before it), and which it
/// is. Of /etc/*/a and /etc/ssh/*/b the first goes on while the second is read: their states multiply. Those that are
/// literal up to the same depth mostly exclude each other there. A `**` at the end is none: it is over when it begins.
struct Shape {
  std::size_t depth = 0;
  enum Wildcard : std::uint8_t { none, within_name, whole_name, deep } wildcard = none;
  auto operator<=>(const Shape&) const = default;
};

Shape shape_of(std::string_view glob) {
  const std::size_t at = glob.find_first_of("*?");
  const bool is_deep = at != std::string_view::npos && glob.substr(at).starts_with("**");
  if (at == std::string_view::npos || (is_deep && at + 2 == glob.size())) return {};
  const auto depth = std::count(glob.begin(), glob.begin() + static_cast<std::ptrdiff_t>(at), '/');
  const bool is_whole = glob[at] == '*' && (at == 0 || glob[at - 1] == '/') && glob.substr(at + 1).starts_with('/');
  return {static_cast<std::size_t>(depth), is_deep ? Shape::deep : is_whole ? Shape::whole_name : Shape::within_name};
}

std::optional<std::deque<State>> determine(const Globs& globs, bool widened, const AutomatonLimits& limits,
                                           std::size_t& steps_left) {
  Tree tree;
  for (const VerdictGlob* glob : globs)
    tree.add(*glob, widened ? std::string(literal_beginning(glob->glob)) + "**" : glob->glob);
  // An automaton is worth its states as long as they are not many more than the globs' own bytes.
  constexpr std::size_t per_node = 4;
  constexpr std::size_t anyway = 1024;
  return Automaton(tree, std::min(limits.states, per_node * tree.size() + anyway), steps_left).build();
}

}  // namespace

RuleTables compile_globs(const std::vector<VerdictGlob>& globs, const AutomatonLimits& limits) {
  RuleTables tables;
  Packer packer(tables);
  std::size_t steps_left = limits.steps;
  std::map<Shape, Globs> by_shape;
  for (const VerdictGlob& glob : globs) by_shape[shape_of(glob.glob)].push_back(&glob);
  std::deque<Globs> groups;
  for (auto& [shape, group] : by_shape) groups.push_back(std::move(group));
  Globs wide;
  const auto give_up = [&](const Globs& group) {
    for (const VerdictGlob* glob : group) {
      tables.inexact.push_back(glob->glob);
      if ((glob->verdict & WIRE_VERDICT_DROPS) == 0) wide.push_back(glob);
    }
  };
  while (!groups.empty()) {
    const Globs group = std::move(groups.front());
    groups.pop_front();
    if (group.empty()) continue;
    // One automaton is for what is widened.
    const bool has_room = tables.set.automata + 1 < WIRE_RULE_AUTOMATA && tables.states.size() < limits.states &&
                          tables.edges.size() < limits.edges && steps_left > 0;
    if (!has_room) {
      give_up(group);
      continue;
    }
    if (const auto automaton = determine(group, false, limits, steps_left)) {
      packer.add(*automaton);
    } else if (group.size() == 1) {
      give_up(group);
    } else {
      // Neighbours tend to share their beginning, and those multiply each other's states.
      Globs halves[2];
      for (std::size_t i = 0; i < group.size(); ++i) halves[i % 2].push_back(group[i]);
      for (Globs& half : halves) groups.push_back(std::move(half));
    }
  }
  if (!wide.empty()) {
    std::size_t enough = SIZE_MAX;
    AutomatonLimits none = limits;
    none.states = SIZE_MAX;
    if (const auto automaton = determine(wide, true, none, enough)) packer.add(*automaton);
  }
  packer.finish();
  return tables;
}

std::uint16_t walk_tables(const RuleTables& tables, std::string_view text, unsigned kind) {
  std::uint16_t least = WIRE_VERDICT_NONE;
  for (std::uint32_t i = 0; i < tables.set.automata; ++i) {
    std::uint32_t state = tables.set.starts[i];
    for (const char c : text) {
      const wire_rule_state& row = tables.states[state];
      if (row.is_final != 0) break;
      const wire_rule_edge& edge = tables.edges[row.base + static_cast<unsigned char>(c)];
      state = edge.from == state ? edge.next : row.other;
    }
    least = std::min<std::uint16_t>(least, tables.verdicts[tables.states[state].verdict].of[kind]);
  }
  return least;
}

}  // namespace nightjar
