// SPDX-License-Identifier: Apache-2.0
#include "wire/encoder.hpp"

#include <cstring>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nightjar {
namespace {

process_exit exit_record() {
  process_exit record{};
  record.hdr.kind = WIRE_PROCESS_EXIT;
  record.hdr.size = sizeof record;
  record.task.pid = 4711;
  record.task.uid = 1000;
  record.task.login_uid = 0xffffffff;
  record.task.ns.mnt = 4026531841U;
  std::strcpy(record.task.comm, "cat\xff");
  record.read_bytes = ~0ULL;
  record.write_bytes = 4096;
  return record;
}

nlohmann::json encoded(const process_exit& record, Facts& facts) {
  const Encoder encoder(std::vector<json::Named>{{"host.hostname", "\"h\""}});
  std::string line;
  encoder.encode(line, event_info(Kind::exit), std::as_bytes(std::span(&record, 1)), facts);
  EXPECT_EQ(line.back(), '\n');
  return nlohmann::json::parse(line);
}

TEST(Encoder, nests_names_and_shows_ids_as_ecs_wants_them) {
  Facts facts;
  const auto event = encoded(exit_record(), facts);
  EXPECT_EQ(event["process"]["pid"], 4711);
  EXPECT_EQ(event["process"]["user"]["id"], "1000");
  EXPECT_EQ(event["nightjar"]["ns"]["mnt"], 4026531841U);
  EXPECT_EQ(event["event"]["action"], "exit");
  EXPECT_EQ(event["event"]["type"], nlohmann::json::array({"end"}));
  EXPECT_EQ(event["host"]["hostname"], "h");
}

TEST(Encoder, leaves_out_what_is_not_there_and_objects_that_would_be_empty) {
  Facts facts;
  const auto event = encoded(exit_record(), facts);
  EXPECT_FALSE(event["nightjar"].contains("login_uid"));
  EXPECT_FALSE(event["nightjar"]["exit"].contains("read_bytes"));
  EXPECT_EQ(event["nightjar"]["exit"]["write_bytes"], 4096);
  EXPECT_FALSE(event.contains("container"));
  EXPECT_FALSE(event["process"].contains("parent") && event["process"]["parent"].contains("entity_id"));
}

TEST(Encoder, keeps_the_exact_bytes_beside_a_text_that_is_not_utf8) {
  Facts facts;
  const auto event = encoded(exit_record(), facts);
  EXPECT_EQ(event["process"]["name"], "cat\xef\xbf\xbd");
  EXPECT_EQ(event["nightjar"]["raw"]["process"]["name"], "Y2F0/w==");
}

TEST(Encoder, takes_facts_only_where_they_apply) {
  Facts facts;
  facts[Fact::exit_code] = "7";
  facts[Fact::exec_scripts] = "[]";  // of exec only
  const auto event = encoded(exit_record(), facts);
  EXPECT_EQ(event["process"]["exit_code"], 7);
  EXPECT_FALSE(event["nightjar"].contains("exec"));
}

TEST(Encoder, shows_modes_devices_and_names) {
  process_exec record{};
  record.hdr.kind = WIRE_PROCESS_EXEC;
  record.hdr.size = sizeof record;
  record.file.mode = 0104755;
  record.file.dev = 259U << 20 | 2U;
  record.cap_effective = 1ULL << 21 | 1ULL;
  record.flags = WIRE_EXEC_SETUID | WIRE_EXEC_INTERPRETED;
  const Encoder encoder{std::vector<json::Named>{}};
  std::string line;
  Facts facts;
  encoder.encode(line, event_info(Kind::exec), std::as_bytes(std::span(&record, 1)), facts);
  const auto event = nlohmann::json::parse(line);
  EXPECT_EQ(event["file"]["mode"], "4755");
  EXPECT_EQ(event["file"]["device"], "259:2");
  EXPECT_EQ(event["process"]["thread"]["capabilities"]["effective"],
            nlohmann::json::array({"CAP_CHOWN", "CAP_SYS_ADMIN"}));
  EXPECT_EQ(event["nightjar"]["exec"]["flags"], nlohmann::json::array({"setuid"}));
}

}  // namespace
}  // namespace nightjar
