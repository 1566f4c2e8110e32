// SPDX-License-Identifier: Apache-2.0
#include "agent/image.hpp"

#include <algorithm>

#include "wire/record.hpp"

namespace nightjar {
namespace {

/// An array of strings, and of their exact bytes if any is not UTF-8.
void string_array(std::string_view name, const std::vector<std::string_view>& strings, std::string& value,
                  std::vector<json::Named>& raw) {
  bool exact = true;
  value += '[';
  for (const std::string_view element : strings) {
    if (value.back() != '[') value += ',';
    exact &= json::string(value, element);
  }
  value += ']';
  if (exact) return;
  std::string bytes = "[";
  for (const std::string_view element : strings) {
    if (bytes.back() != '[') bytes += ',';
    json::base64(bytes, element);
  }
  bytes += ']';
  raw.emplace_back(name, std::move(bytes));
}

}  // namespace

void text_field(std::string_view name, std::string_view bytes, std::string& value, std::vector<json::Named>& raw) {
  if (json::string(value, bytes)) return;
  std::string exact;
  json::base64(exact, bytes);
  raw.emplace_back(name, std::move(exact));
}

ArgsText args_text(std::string_view block) {
  ArgsText text;
  const auto strings = split_strings(block);
  string_array("process.args", strings, text.args, text.raw);
  std::string joined(block);
  if (!joined.empty() && joined.back() == '\0') joined.pop_back();
  std::replace(joined.begin(), joined.end(), '\0', ' ');
  text_field("process.command_line", joined, text.command_line, text.raw);
  return text;
}

std::shared_ptr<const Image> make_image(std::string executable, std::string_view args, std::uint64_t full_size,
                                        ArgsText* whole) {
  auto image = std::make_shared<Image>();
  image->executable_path = std::move(executable);
  if (!image->executable_path.empty())
    text_field("process.executable", image->executable_path, image->executable, image->raw);
  const bool cut = args.size() > args_kept;
  ArgsText kept = args_text(args.substr(0, args_kept));
  if (cut && whole != nullptr) *whole = args_text(args);
  if (cut || full_size > args.size()) image->args_cut_from = full_size;
  image->args = std::move(kept.args);
  image->command_line = std::move(kept.command_line);
  std::move(kept.raw.begin(), kept.raw.end(), std::back_inserter(image->raw));
  return image;
}

std::string chosen_environment(std::string_view block, std::span<const std::string> names,
                               std::vector<json::Named>& raw) {
  std::vector<std::string_view> chosen;
  while (!block.empty()) {
    const std::string_view entry = block.substr(0, block.find('\0'));
    for (const std::string& name : names) {
      if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) chosen.push_back(entry);
    }
    block.remove_prefix(std::min(entry.size() + 1, block.size()));
  }
  std::string value;
  if (!chosen.empty()) string_array("process.env_vars", chosen, value, raw);
  return value;
}

}  // namespace nightjar
