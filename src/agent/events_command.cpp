// SPDX-License-Identifier: Apache-2.0
// Every event and field, printed from the tables that the encoder uses.
#include <cstdio>

#include "agent/commands.hpp"
#include "wire/catalogue.hpp"

namespace nightjar {
namespace {

void print_for_people() {
  for (const EventInfo& event : all_events()) {
    std::printf("%s (%s)%s\n  %s\n", std::string(event.action).c_str(), std::string(event.family).c_str(),
                event.by_default ? "" : ", only when named", std::string(event.doc).c_str());
    for (const CatalogueRow& row : fields_of(event)) {
      std::printf("    %-40s %-12s %s\n", std::string(row.name).c_str(), std::string(row.type).c_str(),
                  std::string(row.doc).c_str());
    }
    std::puts("");
  }
}

}  // namespace

int list_events(const Options& options) {
  switch (options.listing) {
    case Listing::people:
      print_for_people();
      break;
    case Listing::json:
      std::fputs(catalogue_json(NIGHTJAR_VERSION).c_str(), stdout);
      break;
    case Listing::schema:
      std::fputs(catalogue_schema().c_str(), stdout);
      break;
    case Listing::markdown:
      std::fputs(catalogue_markdown().c_str(), stdout);
      break;
    case Listing::lock:
      std::fputs(catalogue_lock().c_str(), stdout);
      break;
  }
  if (std::fflush(stdout) == 0) return exit_done;
  std::perror("nightjar: cannot write the list");
  return exit_failed;
}

}  // namespace nightjar
