// SPDX-License-Identifier: Apache-2.0
#include "agent/audit_rules.hpp"

#include <gtest/gtest.h>

#include "agent/config.hpp"

namespace nightjar {
namespace {

AuditImport imported(const std::vector<std::string>& lines) {
  AuditImport import;
  std::size_t number = 0;
  for (const std::string& line : lines) import.take(line, "audit.rules", ++number);
  return import;
}

const auto& of(const Rule& rule, Subject subject) {
  return rule.patterns[static_cast<std::size_t>(subject)];
}

TEST(Audit_rules, a_call_rule_keeps_its_events_executable_ids_and_key) {
  const auto import =
      imported({"-a always,exit -F arch=b64 -S execve,execveat -F exe=/usr/bin/sudo -F auid>=1000 -F "
                "auid!=unset -F euid=0 -k root-acts"});
  ASSERT_EQ(import.rules.size(), 1U) << import.without_equivalent.size() << import.wrong.size();
  const Rule& rule = import.rules[0].rule;
  EXPECT_TRUE(rule.keep);
  EXPECT_EQ(rule.id, "audit.rules:1");
  EXPECT_EQ(rule.tags, std::vector<std::string>{"root-acts"});
  EXPECT_EQ(rule.events, std::set<Kind>{Kind::exec});
  EXPECT_EQ(of(rule, Subject::executable), std::vector<std::string>{"/usr/bin/sudo"});
  const auto& logins = rule.ranges[static_cast<std::size_t>(Subject::login_uid)];
  ASSERT_EQ(logins.size(), 1U);
  EXPECT_EQ(logins[0].first, 1000U);
  EXPECT_EQ(logins[0].last, 4294967294U);
  EXPECT_EQ(rule.ranges[static_cast<std::size_t>(Subject::uid)].size(), 1U);
}

TEST(Audit_rules, a_watch_for_execution_is_a_rule_of_the_executable) {
  const auto import = imported({"-w /usr/bin/wget -p x -k download"});
  ASSERT_EQ(import.rules.size(), 1U);
  EXPECT_EQ(of(import.rules[0].rule, Subject::executable),
            (std::vector<std::string>{"/usr/bin/wget", "/usr/bin/wget/**"}));
  EXPECT_TRUE(of(import.rules[0].rule, Subject::path).empty());
}

TEST(Audit_rules, twins_of_32_bit_are_one) {
  const auto import =
      imported({"-a always,exit -F arch=b32 -S execve -k e", "-a always,exit -F arch=b64 -S execve -k e"});
  EXPECT_EQ(import.rules.size(), 1U);
  EXPECT_EQ(import.twin_rules, 1U);
}

TEST(Audit_rules, never_drops) {
  const auto import = imported({"-a never,exit -S execve -F exe=/usr/bin/true"});
  ASSERT_EQ(import.rules.size(), 1U);
  EXPECT_FALSE(import.rules[0].rule.keep);
}

TEST(Audit_rules, says_what_has_no_equivalent) {
  for (const auto* line : {"-a always,exit -S adjtimex -k t", "-a always,exclude -F msgtype=CWD",
                           "-a always,exit -S execve -F exit=-EACCES", "-a always,exit -S execve -C auid!=uid",
                           "-a never,exit -S execve -F a0=1", "-a always,exit -S execve -F auid=unset"}) {
    const auto import = imported({line});
    EXPECT_EQ(import.without_equivalent.size(), 1U) << line;
    EXPECT_TRUE(import.rules.empty()) << line;
  }
}

TEST(Audit_rules, says_what_is_no_rule) {
  for (const auto* line : {"-w etc/passwd", "-a always,exi -S execve", "-a always,exit -S", "-a always,exit -F key",
                           "hello", "-S execve", "-w /x -p q"}) {
    const auto import = imported({line});
    EXPECT_EQ(import.wrong.size(), 1U) << line;
  }
  EXPECT_EQ(imported({"-D", "-b 8192", "--loginuid-immutable", "# a comment", "", "   "}).settings, 3U);
}

TEST(Audit_rules, what_is_written_is_a_right_configuration) {
  const auto import =
      imported({"-a always,exit -S execve -k 'a \"quoted\" key'", "-a always,exit -S fork,adjtimex -F uid!=0",
                "-w bad \x1b[31m\n", "-a always,exit -S kexec_load\t-k x: {y"});
  const auto config = parse_config(import.yaml(), "made.yaml");
  ASSERT_TRUE(config) << config.error().what() << import.yaml();
  EXPECT_EQ(config->filter.rules.size(), import.rules.size());
  EXPECT_FALSE(config->filter.keep_others);
  EXPECT_EQ(config->filter.rules[0].tags, std::vector<std::string>{"a \"quoted\" key"});
  EXPECT_EQ(import.yaml().find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace nightjar
