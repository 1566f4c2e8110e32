// SPDX-License-Identifier: Apache-2.0
#include "agent/recorded.hpp"

#include <gtest/gtest.h>

#include "agent/report_index.hpp"

namespace nightjar {
namespace {

using nlohmann::json;

std::int64_t time_of(const char* text) {
  return time_at(json{{"at", text}}, "at");
}

TEST(Recorded, reads_times) {
  EXPECT_EQ(time_of("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(time_of("2026-11-29T08:54:55.275767341Z"), 1795942495275767341);  // date +%s%N
  EXPECT_EQ(time_of("2024-02-29T23:59:59.5Z"), 1709251199500000000);
}

TEST(Recorded, takes_no_other_text_for_a_time) {
  for (const char* text :
       {"", "Z", "2026-11-29T08:54:55", "2026-11-29 08:54:55Z", "2026-11-29T08:54:55.1+01:00", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "9999-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "2026-11-29T08:54:55.1x2Z",
        "2026-11-29T24:00:00Z", "20a6-11-29T08:54:55Z", "2026-11-29T08:54:55,5Z"})
    EXPECT_EQ(time_of(text), no_time) << text;
  EXPECT_EQ(time_at(json{{"at", 7}}, "at"), no_time);
  EXPECT_EQ(time_at(json{{"at", 7}}, "at.at"), no_time);
}

TEST(ReportIndex, keeps_who_when_and_what) {
  ReportIndex index;
  const auto take = [&](const char* text) {
    const json event = json::parse(text);
    index.take(event, text_at(event, "event.action"));
  };
  take(R"({"@timestamp":"2026-01-01T00:00:02Z","event":{"action":"fork"},"process":{"entity_id":"b","pid":2,"name":"sh",
           "start":"2026-01-01T00:00:01Z","parent":{"entity_id":"a","pid":1,"name":"init"}},"user":{"id":"7"}})");
  take(R"({"@timestamp":"2026-01-01T00:00:03Z","event":{"action":"exit"},"process":{"entity_id":"b","exit_code":3}})");
  take(R"({"@timestamp":"nonsense","event":{"action":"sensor_stats"},"process":{"entity_id":"c"}})");
  const json told = index.told();
  EXPECT_EQ(told["span_us"], 1'000'000);
  EXPECT_EQ(told["when"], json({0, 1'000'000, nullptr}));
  EXPECT_EQ(told["process"], json({1, 1, -1}));
  EXPECT_EQ(told["actions"], json({"fork", "exit", "sensor_stats"}));
  EXPECT_EQ(told["texts"], json({"init", "sh", "7", "3"}));
  EXPECT_EQ(told["processes"], json::parse("[[1,0,-1,-1,-1,-1,null,null,-1,-1],"
                                           "[2,1,-1,-1,2,0,-1000000,1000000,3,-1]]"));
}

}  // namespace
}  // namespace nightjar
