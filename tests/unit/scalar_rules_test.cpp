// SPDX-License-Identifier: Apache-2.0
// Which rules the kernel side can ask, and which it must leave to user space.
#include "agent/scalar_rules.hpp"

#include <gtest/gtest.h>

#include "agent/config.hpp"

namespace nightjar {
namespace {

CompiledRules compiled(const std::string& yaml) {
  const auto config = parse_config(yaml, "test");
  EXPECT_TRUE(config) << to_string(config.error());
  return compile_rules(config->filter);
}

TEST(ScalarRules, take_over_what_numbers_say) {
  const auto rules = compiled(
      "rules:\n  - {id: a, action: drop, events: [connect, close], uid: [0, 1000-1999], port: 443}\n"
      "  - {id: b, login_uid: 7}\n");
  ASSERT_EQ(rules.set.count, 2U);
  const wire_scalar_rule& a = rules.set.rules[0];
  EXPECT_EQ(a.kinds, 1ULL << WIRE_NET_CONNECT | 1ULL << WIRE_NET_CLOSE);
  EXPECT_EQ(a.flags, std::uint32_t{WIRE_RULE_DROP | WIRE_RULE_UID | WIRE_RULE_PORT});
  EXPECT_EQ(a.uid[1].first, 1000U);
  EXPECT_EQ(a.uid[1].last, 1999U);
  EXPECT_GT(a.uid[2].first, a.uid[2].last);
  EXPECT_EQ(a.port[0].first, 443U);
  EXPECT_EQ(rules.set.rules[1].flags, std::uint32_t{WIRE_RULE_LOGIN_UID});
  EXPECT_EQ(rules.asks, std::uint32_t{WIRE_RULES_ASK_USER});
  EXPECT_EQ(rules.ids, (std::vector<std::string>{"a", "b"}));
}

TEST(ScalarRules, leave_to_user_space_what_they_cannot_decide) {
  const auto rules = compiled(
      "rules:\n  - {id: ranges, action: drop, uid: [1, 3, 5, 7, 9]}\n  - {id: path, action: drop, path: /etc/**}\n"
      "  - {id: image, action: drop, executable: /bin/x}\n  - {id: group, action: drop, container: abc*}\n");
  EXPECT_TRUE(rules.set.rules[0].flags & WIRE_RULE_UNSURE);
  EXPECT_FALSE(rules.set.rules[0].flags & WIRE_RULE_UID);
  EXPECT_TRUE(rules.set.rules[1].flags & WIRE_RULE_UNSURE);
  // Of an event without a path no path rule asks.
  EXPECT_TRUE(rules.set.rules[1].kinds >> WIRE_FILE_CREATE & 1);
  EXPECT_FALSE(rules.set.rules[1].kinds >> WIRE_NET_CONNECT & 1);
  EXPECT_EQ(rules.set.rules[2].flags, std::uint32_t{WIRE_RULE_DROP | WIRE_RULE_IMAGE});
  EXPECT_EQ(rules.set.rules[3].flags, std::uint32_t{WIRE_RULE_DROP | WIRE_RULE_CGROUP});
  EXPECT_EQ(rules.asks, std::uint32_t{WIRE_RULES_ASK_IMAGE | WIRE_RULES_ASK_CGROUP});
}

TEST(ScalarRules, ask_as_many_as_they_hold_and_then_no_default) {
  std::string yaml = "default: drop\nrules:\n";
  for (int i = 0; i < WIRE_RULES; ++i) yaml += "  - {id: r" + std::to_string(i) + ", uid: 1}\n";
  EXPECT_NE(compiled(yaml).set.drop_others, 0U);
  const auto more = compiled(yaml + "  - {id: more, uid: 2}\n");
  EXPECT_EQ(more.set.count, std::uint32_t{WIRE_RULES});
  EXPECT_EQ(more.set.drop_others, 0U);
}

}  // namespace
}  // namespace nightjar
