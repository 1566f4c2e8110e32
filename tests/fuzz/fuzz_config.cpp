// SPDX-License-Identifier: Apache-2.0
// A configuration file of any bytes: settings and rules, or an error that names a place in it.
#include <cstdint>
#include <cstdlib>

#include "agent/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar;
  const auto config = parse_config({reinterpret_cast<const char*>(data), size}, "fuzz.yaml");
  if (!config && !config.error().what().starts_with("fuzz.yaml:")) std::abort();
  if (!config) return 0;
  SensorOptions options;
  for (const GivenSetting& given : config->settings) (void)given.setting->apply(options, given.values, given.name);
  return 0;
}
