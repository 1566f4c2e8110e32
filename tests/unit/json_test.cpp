// SPDX-License-Identifier: Apache-2.0
#include "wire/json.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nightjar {
namespace {

TEST(Json, escapes_what_a_string_must_not_hold) {
  EXPECT_EQ(json::quoted("a\"b\\c\n\t\r\x01\x7f"), R"("a\"b\\c\n\t\r\u0001\u007f")");
}

TEST(Json, keeps_valid_utf8_and_replaces_each_bad_byte) {
  const struct {
    std::string bytes, text;
    bool exact;
  } cases[] = {
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true},
      {"a\xff"
       "b",
       "a\xef\xbf\xbd"
       "b",
       false},
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", false},                                  // overlong
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false},                  // surrogate
      {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false},  // past U+10FFFF
      {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", false},                                  // cut short
  };
  for (const auto& c : cases) {
    std::string out;
    EXPECT_EQ(json::string(out, c.bytes), c.exact);
    EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), c.text);
  }
}

TEST(Json, every_pair_of_bytes_makes_a_string_that_parses) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      std::string out;
      json::string(out, std::string{static_cast<char>(a), static_cast<char>(b)});
      ASSERT_TRUE(nlohmann::json::accept(out)) << a << ' ' << b;
    }
  }
}

TEST(Json, base64_is_that_of_rfc_4648) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    std::string out;
    json::base64(out, bytes);
    EXPECT_EQ(out, '"' + text + '"');
    EXPECT_EQ(json::from_base64(out), bytes);
  }
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string out;
  json::base64(out, all);
  EXPECT_EQ(json::from_base64(out), all);
}

TEST(Json, timestamps_are_rfc_3339_with_nine_decimals) {
  const std::pair<std::int64_t, std::string> cases[] = {
      {0, "1970-01-01T00:00:00.000000000Z"},
      {951'782'400'000'000'001, "2000-02-29T00:00:00.000000001Z"},
      {1'735'689'599'999'999'999, "2024-12-31T23:59:59.999999999Z"},
      {1'789'000'000'123'456'789, "2026-09-10T00:26:40.123456789Z"},
      {-5, "1970-01-01T00:00:00.000000000Z"},
  };
  for (const auto& [ns, text] : cases) {
    std::string out;
    json::timestamp(out, ns);
    EXPECT_EQ(out, '"' + text + '"');
  }
}

TEST(Json, dotted_names_nest) {
  EXPECT_EQ(json::nested_object({{"a.c", "2"}, {"a.b", "1"}, {"d", "3"}, {"a.e.f", "4"}}),
            R"({"a":{"b":1,"c":2,"e":{"f":4}},"d":3})");
  EXPECT_EQ(json::nested_object({}), "{}");
}

}  // namespace
}  // namespace nightjar
