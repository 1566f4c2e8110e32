// SPDX-License-Identifier: Apache-2.0
#include "wire/dns.hpp"

#include <string_view>

#include <gtest/gtest.h>

namespace nightjar {
namespace {

std::optional<DnsMessage> parse(std::string_view text, bool whole = true) {
  return parse_dns(std::as_bytes(std::span(text)), whole);
}

std::string header(unsigned bits, char questions, char answers) {
  std::string text("\x12\x34", 2);
  text += static_cast<char>(bits >> 8);
  text += static_cast<char>(bits);
  for (const char count : {questions, answers, '\0', '\0'}) {
    text += '\0';
    text += count;
  }
  return text;
}

const std::string example(
    "\x07"
    "example"
    "\x03"
    "org"
    "\x00"
    "\x00\x01"
    "\x00\x01",
    17);

TEST(Dns, reads_a_question) {
  const auto message = parse(header(0x0100, 1, 0) + example);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->id, 0x1234);
  EXPECT_FALSE(message->is_answer);
  EXPECT_EQ(message->operation, "QUERY");
  EXPECT_EQ(message->flags, std::vector<std::string>{"RD"});
  ASSERT_EQ(message->questions.size(), 1U);
  EXPECT_EQ(message->questions[0].name, "example.org");
  EXPECT_EQ(message->questions[0].type, "A");
  EXPECT_EQ(message->questions[0].klass, "IN");
}

std::string record(std::string_view name, unsigned type, std::string_view data) {
  std::string text(name);
  text += '\0';
  text += static_cast<char>(type);
  text += std::string("\x00\x01\x00\x00\x01\x00\x00", 7);
  text += static_cast<char>(data.size());
  return text.append(data);
}

TEST(Dns, reads_answers_of_each_kind) {
  const std::string_view name("\xc0\x0c", 2);
  const auto message = parse(header(0x8180, 1, 7) + example + record(name, 1, std::string_view("\xc0\x00\x02\x07", 4)) +
                             record(name, 28, std::string_view("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16)) +
                             record(name, 5, std::string_view("\x03www\xc0\x0c", 6)) +
                             record(name, 15, std::string_view("\x00\x0a\x04mail\xc0\x0c", 9)) +
                             record(name, 16, "\x05hello\x06 world") +
                             record(name, 33, std::string_view("\0\x01\0\x02\0\x50\xc0\x0c", 8)) +
                             record(name, 222, std::string_view("\xde\xad", 2)));
  ASSERT_TRUE(message);
  ASSERT_EQ(message->answers.size(), 7U);
  const char* const expected[] = {"192.0.2.7",   "2001:db8::1",        "www.example.org", "10 mail.example.org",
                                  "hello world", "1 2 80 example.org", "\\# 2 dead"};
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(message->answers[i].data, expected[i]);
    EXPECT_EQ(message->answers[i].name, "example.org");
    EXPECT_EQ(message->answers[i].ttl, 256U);
    EXPECT_EQ(message->answers[i].is_address, i < 2);
  }
  EXPECT_EQ(message->answers[6].type, "TYPE222");
}

TEST(Dns, shows_odd_bytes_of_a_name) {
  const auto message = parse(header(0, 1, 0) + std::string("\x04"
                                                           "a.\\\x01"
                                                           "\x00"
                                                           "\x00\x0f\x00\x01",
                                                           10));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->questions[0].name, "a\\.\\\\\\001");
}

TEST(Dns, refuses_names_that_never_end_or_lie_outside) {
  const std::string rest("\x00\x01\x00\x01", 4);
  EXPECT_FALSE(parse(header(0, 1, 0) + "\xc0\x0c" + rest)) << "a pointer to itself";
  EXPECT_FALSE(parse(header(0, 1, 0) + "\xc0\xff" + rest)) << "a pointer forward";
  EXPECT_FALSE(parse(header(0, 1, 0) +
                     std::string("\x01"
                                 "a\xc0\x0c",
                                 4) +
                     rest))
      << "a pointer to its own name";
  EXPECT_FALSE(parse(header(0, 1, 0) + "\x3f"
                                       "abc"))
      << "a label that is cut";
  std::string name;
  for (int i = 0; i < 64; ++i)
    name +=
        "\x04"
        "abcd";
  EXPECT_FALSE(parse(header(0, 1, 0) + name + '\0' + rest)) << "more than 255 bytes";
  EXPECT_FALSE(parse(header(0, 1, 0).substr(0, 11))) << "not even a header";
}

TEST(Dns, tells_a_message_that_is_cut_from_one_that_is_wrong) {
  const std::string cut = header(0x8180, 1, 2) + example + record(std::string_view("\xc0\x0c", 2), 1, "abcd");
  EXPECT_FALSE(parse(cut));
  const auto beginning = parse(cut, false);
  ASSERT_TRUE(beginning);
  EXPECT_TRUE(beginning->cut);
  EXPECT_EQ(beginning->answers.size(), 1U);
}

}  // namespace
}  // namespace nightjar
