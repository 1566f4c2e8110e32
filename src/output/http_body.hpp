// SPDX-License-Identifier: Apache-2.0
// The three forms in which batches are posted, and what the answers mean. No network here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "output/batch.hpp"

namespace nightjar::http {

enum class Form : std::uint8_t {
  ndjson,  ///< the lines as they are
  bulk,    ///< Elasticsearch and OpenSearch: create with _id = event.id, so that a repeated event is stored once
  otlp,    ///< an OTLP ExportLogsServiceRequest as JSON
};

std::string_view content_type(Form form);

struct BodySettings {
  Form form = Form::ndjson;
  std::string index;  ///< of bulk; empty: the URL names it
  std::string hostname;
};

/// The lines with these indices.
std::string make_body(const BodySettings& settings, const Batch& batch, const std::vector<std::size_t>& lines);

/// What became of each line of a request.
enum class Fate : std::uint8_t { delivered, refused, again };
struct Answer {
  std::vector<Fate> fates;
  bool too_large = false;  ///< send fewer at once
  std::string why;         ///< of refused or again
};

/// `body` comes from the network and may be anything.
Answer read_answer(Form form, long status, std::string_view body, std::size_t lines);

}  // namespace nightjar::http
