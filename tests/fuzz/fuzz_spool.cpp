// SPDX-License-Identifier: Apache-2.0
// The spool's records, and JSON from collectors: any bytes give whole records or none, and no read beyond the end.
#include <cstdint>
#include <cstdlib>

#include "output/http_body.hpp"
#include "output/json_walk.hpp"
#include "output/spool.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)http::read_answer(http::Form::bulk, 200, bytes, 3);
  (void)http::read_answer(http::Form::otlp, 200, bytes, 3);
  (void)json::unquoted(bytes);
  while (const auto found = spool_format::read(bytes)) {
    std::string again;
    spool_format::write(again, found->batch, found->first);
    if (again != bytes.substr(found->begin, found->end - found->begin)) std::abort();
    bytes.remove_prefix(found->end);
  }
  return 0;
}
