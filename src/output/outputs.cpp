// SPDX-License-Identifier: Apache-2.0
#include "output/outputs.hpp"

#include <algorithm>

namespace nightjar {

Result<Outputs> Outputs::open(const std::vector<std::string>& uris, const SinkContext& context, const Select& select) {
  Outputs all;
  for (const std::string& uri : uris) {
    const OutputSpec spec = NIGHTJAR_TRY(OutputSpec::parse(uri));
    std::set<Kind> wanted;
    if (const std::string list = spec.text("events"); !list.empty()) {
      auto selected = select(list);
      if (!selected) return std::move(selected).error().in("output " + uri);
      wanted = std::move(*selected);
    }
    all.outputs_.push_back(NIGHTJAR_TRY(Output::open(spec, context, std::move(wanted))));
  }
  return all;
}

void Outputs::start() {
  for (const auto& output : outputs_) output->start();
}

Result<> Outputs::write(Batch& batch) {
  std::optional<Error> failed;
  bool written = outputs_.empty();
  // One output, or several that want the same, share one copy.
  const bool filtered = std::ranges::any_of(outputs_, [](const auto& output) { return !output->takes_all(); });
  const bool keeps = std::ranges::any_of(outputs_, [](const auto& output) { return !output->direct(); });
  std::shared_ptr<const Batch> shared;
  if (keeps) {
    shared = std::make_shared<const Batch>(std::move(batch));
    batch = {};
  } else {
    shared = std::shared_ptr<const Batch>(&batch, [](const Batch*) {});  // borrowed: they write it at once
  }
  for (const auto& output : outputs_) {
    std::shared_ptr<const Batch> mine = shared;
    if (filtered && !output->takes_all()) {
      auto part = std::make_shared<Batch>();
      for (std::size_t i = 0; i < shared->lines.size(); ++i) {
        if (output->takes(shared->lines[i].kind)) part->add(shared->lines[i].kind, shared->line(i));
      }
      mine = std::move(part);
    }
    if (auto here = output->write(mine); !here) {
      failed = std::move(here).error();
    } else {
      written = true;
    }
  }
  shared.reset();
  batch.clear();
  if (!written && failed) return *failed;
  return {};
}

bool Outputs::need_network() const {
  return std::ranges::any_of(outputs_, [](const auto& output) {
    const OutputSpec& spec = output->spec();
    return spec.scheme.find("http") != std::string::npos || spec.scheme == "kafka" ||
           (spec.scheme == "syslog" && spec.target.find("://") != std::string::npos);
  });
}

Result<> Outputs::close() {
  Result<> closed;
  for (const auto& output : outputs_) {
    if (auto here = output->close(); !here && closed) closed = std::move(here);
  }
  return closed;
}

std::vector<Outputs::Loss> Outputs::take_losses() {
  std::vector<Loss> all;
  for (const auto& output : outputs_) {
    for (const OutputLoss& loss : output->take_losses()) all.push_back({output->spec().uri, loss});
  }
  return all;
}

std::vector<OutputStats> Outputs::stats() {
  std::vector<OutputStats> all;
  for (const auto& output : outputs_) all.push_back(output->stats());
  return all;
}

}  // namespace nightjar
