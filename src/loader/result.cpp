// SPDX-License-Identifier: Apache-2.0
#include "nightjar/result.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <iterator>

#include "text.hpp"

namespace nightjar {
namespace {

errc code_of(int sys) {
  switch (sys) {
    case EPERM:
    case EACCES:
      return errc::denied;
    case ENOENT:
      return errc::not_found;
    case ENOSYS:
    case EOPNOTSUPP:
    case text::kernel_enotsupp:
      return errc::unsupported;
    case EBUSY:
    case EAGAIN:
      return errc::busy;
    default:
      return errc::system;
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\0')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

/// The verifier's bookkeeping, printed after the reason.
bool is_statistics(std::string_view line) {
  return line.starts_with("processed ") || line.starts_with("verification time ") || line.starts_with("stack depth ") ||
         line.starts_with("peak_states ");
}

/// Lines that say little without the one before: continuations, and complaints about a register, which are about
/// the instruction above them.
bool needs_predecessor(std::string_view line) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  return line.front() == '\t' || line.front() == ' ' || (line.size() > 1 && line[0] == 'R' && digit(line[1])) ||
         line.starts_with("invalid ") || line.starts_with("math between ");
}

/// How many of the first lines are left out, and the rest.
struct Summary {
  std::size_t omitted = 0;
  std::vector<std::string_view> lines;
};

Summary summarize(std::string_view detail) {
  std::vector<std::string_view> all = lines_of(detail);
  const std::size_t total = all.size();
  while (all.size() > 1 && is_statistics(all.back())) all.pop_back();
  const std::size_t keep = std::min<std::size_t>(all.size(), !all.empty() && needs_predecessor(all.back()) ? 2 : 1);
  Summary summary;
  summary.lines.assign(all.end() - static_cast<std::ptrdiff_t>(keep), all.end());
  summary.omitted = total - keep;
  return summary;
}

void print(std::string& out, const Error& error, std::size_t depth, bool verbose) {
  const std::string indent(depth * 2, ' ');
  out += indent;
  out += error.what();
  if (!error.detail().empty()) {
    const Summary summary =
        verbose ? Summary{.omitted = 0, .lines = lines_of(error.detail())} : summarize(error.detail());
    for (const std::string_view line : summary.lines) {
      out += '\n';
      out += indent;
      out += "  | ";
      out += line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
    }
    if (summary.omitted != 0) {
      out += " (" + std::to_string(summary.omitted) + (summary.omitted == 1 ? " line" : " lines") + " omitted)";
    }
  }
  for (const Error& cause : error.causes()) {
    out += '\n';
    print(out, cause, depth + 1, verbose);
  }
}

}  // namespace

Error Error::from_errno(std::string_view what, int sys) {
  return {code_of(sys), std::string(what) + ": " + text::errno_text(sys), sys};
}

Error Error::in(std::string_view where) && {
  what_ = std::string(where) + ": " + what_;
  return std::move(*this);
}

Error Error::with_detail(std::string detail) && {
  detail_ = std::move(detail);
  return std::move(*this);
}

Error Error::because(std::vector<Error> causes) && {
  std::move(causes.begin(), causes.end(), std::back_inserter(causes_));
  return std::move(*this);
}

std::string to_string(const Error& error) {
  std::string out;
  print(out, error, 0, false);
  return out;
}

std::string to_string_verbose(const Error& error) {
  std::string out;
  print(out, error, 0, true);
  return out;
}

std::string_view to_string(errc code) {
  switch (code) {
    case errc::invalid:
      return "invalid";
    case errc::not_found:
      return "not_found";
    case errc::unsupported:
      return "unsupported";
    case errc::denied:
      return "denied";
    case errc::rejected:
      return "rejected";
    case errc::corrupt:
      return "corrupt";
    case errc::busy:
      return "busy";
    case errc::system:
      return "system";
  }
  return "unknown";
}

}  // namespace nightjar
