// SPDX-License-Identifier: Apache-2.0
#include "output/outputs.hpp"

#include <algorithm>

namespace nightjar {

Result<Outputs> Outputs::open(const std::vector<std::string>& uris, const SinkContext& context,
                              const Selection& selection) {
  Outputs all;
  all.format_ = selection.format;
  for (const std::string& uri : uris) {
    const OutputSpec spec = NIGHTJAR_TRY(OutputSpec::parse(uri));
    Output::Wanted wanted;
    wanted.format = selection.format;
    if (const std::string list = spec.text("events"); !list.empty()) {
      auto selected = selection.events(list);
      if (!selected) return std::move(selected).error().in("output " + uri);
      wanted.kinds = std::move(*selected);
    }
    if (const std::string list = spec.text("rules"); !list.empty()) {
      auto selected = selection.rules(list);
      if (!selected) return std::move(selected).error().in("output " + uri);
      wanted.rules = std::move(*selected);
    }
    if (const std::string format = spec.text("format"); !format.empty()) {
      if (format != "ecs" && format != "ocsf")
        return Error(errc::invalid, "output " + uri + ": format=" + format + ": expected ecs, ocsf");
      wanted.format = format == "ecs" ? Format::ecs : Format::ocsf;
    }
    all.outputs_.push_back(NIGHTJAR_TRY(Output::open(spec, context, std::move(wanted))));
  }
  return all;
}

void Outputs::start() {
  for (const auto& output : outputs_) output->start();
}

bool Outputs::want(Format format) const {
  return std::ranges::any_of(outputs_, [&](const auto& output) { return output->wanted().format == format; });
}

Result<> Outputs::write(Batch& batch, Batch& other) {
  std::optional<Error> failed;
  bool alive = outputs_.empty();
  ++taken_;
  write_to(format_, batch, alive, failed);
  write_to(format_ == Format::ecs ? Format::ocsf : Format::ecs, other, alive, failed);
  if (!alive && failed) return *failed;
  return {};
}

void Outputs::write_to(Format format, Batch& batch, bool& alive, std::optional<Error>& failed) {
  std::vector<Output*> mine;
  for (const auto& output : outputs_) {
    if (output->wanted().format == format) mine.push_back(output.get());
  }
  // One output, or several that want the same, share one copy.
  const bool keeps = std::ranges::any_of(mine, [](const Output* output) { return !output->direct(); });
  std::shared_ptr<const Batch> shared;
  if (keeps) {
    shared = std::make_shared<const Batch>(std::move(batch));
    batch = {};
  } else {
    shared = std::shared_ptr<const Batch>(&batch, [](const Batch*) {});  // borrowed: they write it at once
  }
  for (Output* output : mine) {
    std::shared_ptr<const Batch> part = shared;
    if (!output->wanted().all()) {
      auto chosen = std::make_shared<Batch>();
      for (std::size_t i = 0; i < shared->lines.size(); ++i) {
        if (output->wanted().takes(shared->lines[i])) chosen->add(shared->lines[i].kind, shared->line(i));
      }
      part = std::move(chosen);
    }
    if (auto here = output->write(part, taken_); !here) {
      failed = std::move(here).error();
    } else {
      alive = true;
    }
  }
  shared.reset();
  batch.clear();
}

std::uint64_t Outputs::settled() {
  std::uint64_t all = taken_;
  for (const auto& output : outputs_) all = std::min(all, output->settled());
  return all;
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

std::vector<Outputs::Loss> Outputs::take_losses(bool at_the_end) {
  std::vector<Loss> all;
  for (const auto& output : outputs_) {
    for (const OutputLoss& loss : output->take_losses(at_the_end)) all.push_back({output->spec().uri, loss});
  }
  return all;
}

std::vector<OutputStats> Outputs::stats() {
  std::vector<OutputStats> all;
  for (const auto& output : outputs_) all.push_back(output->stats());
  return all;
}

}  // namespace nightjar
