// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/process_table.hpp"

namespace nightjar {

/// What later events of a process repeat of its argv; an exec tells it whole.
inline constexpr std::size_t args_kept = 4096;

/// An argv as JSON: array and command line, with exact bytes beside them where they are not UTF-8.
struct ArgsText {
  std::string args, command_line;
  std::vector<json::Named> raw;
};
ArgsText args_text(std::string_view block);

/// Adds a text field: its JSON to `value`, and its exact bytes to `raw` when they are not UTF-8.
void text_field(std::string_view name, std::string_view bytes, std::string& value, std::vector<json::Named>& raw);

/// An image from its path and argv block. `whole` receives the argv's text when the image keeps less than all of it.
std::shared_ptr<const Image> make_image(std::string executable, std::string_view args, std::uint64_t full_size,
                                        ArgsText* whole);

/// ["NAME=value",...] of the variables in `names`, as JSON; empty when there is none of them.
std::string chosen_environment(std::string_view block, std::span<const std::string> names,
                               std::vector<json::Named>& raw);

}  // namespace nightjar
