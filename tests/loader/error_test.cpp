// SPDX-License-Identifier: Apache-2.0
#include "libbpf_log.hpp"
#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

// What a 6.18 kernel said about program `refused` of loader_test.bpf.c.
constexpr std::string_view null_log =
    "arg#0 reference type('UNKNOWN ') size cannot be determined: -22\n"
    "0: R1=ctx() R10=fp0\n"
    "; int refused(void *ctx) @ loader_test.bpf.c:196\n"
    "0: (b4) w1 = 0                        ; R1=0\n"
    "; __u32 zero = 0; @ loader_test.bpf.c:198\n"
    "1: (63) *(u32 *)(r10 -4) = r1         ; R1=0 R10=fp0 fp-8=0000????\n"
    "2: (bf) r2 = r10                      ; R2=fp0 R10=fp0\n"
    "3: (07) r2 += -4                      ; R2=fp-4\n"
    "; __u64 *value = bpf_map_lookup_elem(&counters, &zero); @ loader_test.bpf.c:199\n"
    "4: (18) r1 = 0xffff88810814c000       ; R1=map_ptr(map=counters,ks=4,vs=8)\n"
    "6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=counters,ks=4,vs=8)\n"
    "; return (int)*value; @ loader_test.bpf.c:201\n"
    "7: (79) r0 = *(u64 *)(r0 +0)\n"
    "R0 invalid mem access 'map_value_or_null'\n"
    "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";

// Written for this test in the kernel's form: a last line that needs no other.
constexpr std::string_view large_log =
    "from 4071 to 4085: safe\n"
    "BPF program is too large. Processed 1000001 insn\n"
    "processed 1000001 insns (limit 1000000) max_states_per_insn 33 total_states 14122 peak_states 1011 mark_read 27\n";

TEST(Error, FromErrnoSaysWhatTheCallerMayDo) {
  EXPECT_EQ(Error::from_errno("x", EPERM).code(), errc::denied);
  EXPECT_EQ(Error::from_errno("x", EACCES).code(), errc::denied);
  EXPECT_EQ(Error::from_errno("x", ENOENT).code(), errc::not_found);
  EXPECT_EQ(Error::from_errno("x", ENOSYS).code(), errc::unsupported);
  EXPECT_EQ(Error::from_errno("x", EOPNOTSUPP).code(), errc::unsupported);
  EXPECT_EQ(Error::from_errno("x", 524).code(), errc::unsupported);
  EXPECT_EQ(Error::from_errno("x", EBUSY).code(), errc::busy);
  EXPECT_EQ(Error::from_errno("x", EAGAIN).code(), errc::busy);
  EXPECT_EQ(Error::from_errno("x", EIO).code(), errc::system);
  EXPECT_EQ(Error::from_errno("open /a", ENOENT).what(), "open /a: No such file or directory");
  EXPECT_EQ(Error::from_errno("open /a", ENOENT).sys(), ENOENT);
}

TEST(Error, ContextGoesInFront) {
  const Error error = Error(errc::invalid, "no such thing").in("program p").in("load o");
  EXPECT_EQ(error.what(), "load o: program p: no such thing");
}

TEST(Error, TextShowsTheReasonOfAVerifierLog) {
  const Error error = Error(errc::rejected, "refused").with_detail(std::string(null_log));
  EXPECT_EQ(to_string(error),
            "refused\n"
            "  | 7: (79) r0 = *(u64 *)(r0 +0)\n"
            "  | R0 invalid mem access 'map_value_or_null' (13 lines omitted)");
}

TEST(Error, OneLineWhenItSaysAll) {
  const Error error = Error(errc::rejected, "refused").with_detail(std::string(large_log));
  EXPECT_EQ(to_string(error), "refused\n  | BPF program is too large. Processed 1000001 insn (2 lines omitted)");
}

TEST(Error, VerboseShowsEverything) {
  const Error error = Error(errc::rejected, "refused").with_detail(std::string(null_log));
  const std::string text = to_string_verbose(error);
  EXPECT_NE(text.find("R1=ctx()"), std::string::npos);
  EXPECT_NE(text.find("processed 7 insns"), std::string::npos);
  EXPECT_EQ(text.find("omitted"), std::string::npos);
}

TEST(Error, CausesAreIndented) {
  std::vector<Error> inner;
  inner.push_back(Error(errc::unsupported, "c"));
  std::vector<Error> causes;
  causes.push_back(Error(errc::unsupported, "a"));
  causes.push_back(Error(errc::rejected, "b").because(std::move(inner)).with_detail("why"));
  EXPECT_EQ(to_string(Error(errc::unsupported, "none").because(std::move(causes))), "none\n  a\n  b\n    | why\n    c");
}

TEST(Error, DetailOfStatisticsOnlyOrNewlinesOnly) {
  EXPECT_EQ(to_string(Error(errc::rejected, "x").with_detail("processed 0 insns\n")), "x\n  | processed 0 insns");
  EXPECT_EQ(to_string(Error(errc::rejected, "x").with_detail("\n\n")), "x");
}

TEST(Error, EveryCodeHasAName) {
  for (int code = 0; code <= static_cast<int>(errc::system); ++code) {
    EXPECT_NE(to_string(static_cast<errc>(code)), "unknown");
  }
}

Result<int> half(int value) {
  if (value % 2 != 0) return Error(errc::invalid, "odd");
  return value / 2;
}
Result<int> quarter(int value) {
  return half(NIGHTJAR_TRY(half(value)));
}
Result<> check_quarter(int value) {
  NIGHTJAR_CHECK(quarter(value));
  return {};
}

TEST(Result, TryPassesValuesAndErrors) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().what(), "odd");
  EXPECT_TRUE(check_quarter(4).has_value());
  EXPECT_EQ(check_quarter(3).error().code(), errc::invalid);
}

TEST(Result, HoldsMoveOnlyValues) {
  const auto make = []() -> Result<UniqueFd> { return UniqueFd(::dup(0)); };
  const auto pass = [&]() -> Result<UniqueFd> {
    UniqueFd fd = NIGHTJAR_TRY(make());
    return fd;
  };
  EXPECT_TRUE(pass()->valid());
}

TEST(LibbpfLog, CutsTheVerifiersWords) {
  const std::string warnings =
      "prog 'a': BPF program load failed: Permission denied\n"
      "prog 'a': -- BEGIN PROG LOAD LOG --\n" +
      std::string(null_log) + "-- END PROG LOAD LOG --\nprog 'a': failed to load: -13\nfailed to load object 'o'\n";
  EXPECT_EQ(verifier_log(warnings), null_log);
  EXPECT_EQ(blamed_program(warnings), "a");
  EXPECT_EQ(first_warning(warnings), "prog 'a': BPF program load failed: Permission denied");
}

TEST(LibbpfLog, AnUnaskedVerifierSaidNothing) {
  EXPECT_EQ(verifier_log("prog 'a': -- BEGIN PROG LOAD LOG --\nprocessed 0 insns (limit 1000000)\n"
                         "-- END PROG LOAD LOG --\n"),
            "");
  EXPECT_EQ(verifier_log(""), "");
  EXPECT_EQ(blamed_program("prog 'unfinished"), "");
}

}  // namespace
}  // namespace nightjar::test
