// SPDX-License-Identifier: Apache-2.0
#include "output/json_walk.hpp"

#include <charconv>
#include <utility>

namespace nightjar::json {
namespace {

constexpr int deepest = 32;

class Walk {
 public:
  using Visit = std::function<bool(std::string_view, std::string_view)>;
  Walk(std::string_view text, Visit visit) : text_(text), visit_(std::move(visit)) {}

  bool object(int depth) {
    if (depth > deepest || !take('{')) return false;
    if (take('}')) return true;
    do {
      const std::string_view key = quoted();
      if (key.size() < 2 || !take(':')) return false;
      const std::size_t parent = name_.size();
      if (parent != 0) name_ += '.';
      name_ += key.substr(1, key.size() - 2);
      if (at() == '{') {
        if (!object(depth + 1)) return false;
      } else {
        const std::string_view value = skip(depth + 1);
        if (value.empty()) return false;
        stopped_ = !visit_(name_, value);
      }
      if (stopped_) return true;
      name_.resize(parent);
    } while (take(','));
    return take('}');
  }

  bool array(const std::function<void(std::string_view)>& visit) {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      const std::string_view value = skip(1);
      if (value.empty()) return false;
      visit(value);
    } while (take(','));
    return take(']');
  }

 private:
  /// What stands next, blanks passed over.
  char at() {
    while (place_ < text_.size() && std::string_view(" \t\r\n").find(text_[place_]) != std::string_view::npos) ++place_;
    return place_ < text_.size() ? text_[place_] : '\0';
  }
  bool take(char c) {
    if (at() != c) return false;
    ++place_;
    return true;
  }

  /// A string with its quotes; empty when there is none.
  std::string_view quoted() {
    if (at() != '"') return {};
    const std::size_t begin = place_++;
    while (place_ < text_.size() && text_[place_] != '"') place_ += text_[place_] == '\\' ? 2U : 1U;
    if (place_ >= text_.size()) return {};
    ++place_;
    return text_.substr(begin, place_ - begin);
  }

  /// Any value in one piece; empty when there is none.
  std::string_view skip(int depth) {
    if (depth > deepest) return {};
    if (at() == '"') return quoted();
    const std::size_t begin = place_;
    if (take('[')) {
      if (take(']')) return text_.substr(begin, place_ - begin);
      do {
        if (skip(depth + 1).empty()) return {};
      } while (take(','));
      return take(']') ? text_.substr(begin, place_ - begin) : std::string_view();
    }
    if (take('{')) {
      if (take('}')) return text_.substr(begin, place_ - begin);
      do {
        if (quoted().empty() || !take(':') || skip(depth + 1).empty()) return {};
      } while (take(','));
      return take('}') ? text_.substr(begin, place_ - begin) : std::string_view();
    }
    while (place_ < text_.size() && std::string_view(",]} \t\r\n").find(text_[place_]) == std::string_view::npos)
      ++place_;
    return text_.substr(begin, place_ - begin);
  }

  std::string_view text_;
  Visit visit_;
  std::size_t place_ = 0;
  std::string name_;
  bool stopped_ = false;
};

}  // namespace

bool walk(std::string_view object, const std::function<bool(std::string_view, std::string_view)>& visit) {
  return Walk(object, visit).object(0);
}

bool elements(std::string_view array, const std::function<void(std::string_view value)>& visit) {
  return Walk(array, {}).array(visit);
}

std::string_view find(std::string_view object, std::string_view name) {
  std::string_view found;
  walk(object, [&](std::string_view here, std::string_view value) {
    if (here != name) return true;
    found = value;
    return false;
  });
  return found;
}

}  // namespace nightjar::json
