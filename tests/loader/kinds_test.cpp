// SPDX-License-Identifier: Apache-2.0
// Kinds of program beyond tracepoints and plain kprobes, and the ways that probes are made.
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <sched.h>
#include <unistd.h>

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "mounts.hpp"
#include "probe_event.hpp"
#include "support.hpp"
#include "tracefs.hpp"

/// What the uprobes are put on.
extern "C" [[gnu::noinline]] int nightjar_probed(int number);
int nightjar_probed(int number) {
  asm volatile("" : "+r"(number));
  return number + 1;
}

namespace nightjar::test {
namespace {

void call_getppid() {
  (void)::syscall(SYS_getppid);
}

std::string own_path() {
  return std::filesystem::read_symlink("/proc/self/exe");
}

/// A statically defined probe test:fired with one argument, as <sys/sdt.h> would make it.
void fire_usdt(long argument) {
#if defined(__x86_64__)
  asm volatile(
      "990: nop\n"
      ".pushsection .note.stapsdt,\"?\",\"note\"\n"
      ".balign 4\n"
      ".4byte 992f-991f, 994f-993f, 3\n"
      "991: .asciz \"stapsdt\"\n"
      "992: .balign 4\n"
      "993: .8byte 990b\n"
      ".8byte _.stapsdt.base\n"
      ".8byte 0\n"
      ".asciz \"test\"\n"
      ".asciz \"fired\"\n"
      ".asciz \"-8@%%rax\"\n"
      "994: .balign 4\n"
      ".popsection\n"
      ".ifndef _.stapsdt.base\n"
      ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
      ".weak _.stapsdt.base\n"
      ".hidden _.stapsdt.base\n"
      "_.stapsdt.base: .space 1\n"
      ".size _.stapsdt.base, 1\n"
      ".popsection\n"
      ".endif\n" ::"a"(argument));
#else
  (void)argument;
#endif
}

std::uint64_t fired(const LoadedGroup& group, std::uint32_t key) {
  return counter(*group.map("counters"), key);
}

/// Uprobes come with kprobes: both are CONFIG_*PROBE_EVENTS, which distributions set or leave together.
#define NEEDS_UPROBES()                                                                 \
  do {                                                                                  \
    NEEDS(kprobe);                                                                      \
    if (auto pmu = check_probe_pmu(true); !pmu) GTEST_SKIP() << to_string(pmu.error()); \
  } while (false)

TEST(Kinds, UprobeOnAFunctionOfAProgram) {
  NEEDS_UPROBES();
  const auto loaded =
      load(ProgramVersion("v", {Program("on_user_function", {own_path() + ":nightjar_probed"}),
                                Program("on_user_function_return", {own_path() + ":nightjar_probed"})}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->programs()[0].hook, "uprobe/" + own_path() + ":nightjar_probed");
  EXPECT_EQ(nightjar_probed(1), 2);
  EXPECT_EQ(nightjar_probed(2), 3);
  EXPECT_EQ(fired(*loaded, 8), 2U);
  EXPECT_EQ(fired(*loaded, 9), 2U);
}

TEST(Kinds, UprobeOnALibraryFoundByName) {
  NEEDS_UPROBES();
  const auto loaded =
      load(ProgramVersion("v", {Program("on_user_function", {"libc.so.6:no_such_function", "libc.so.6:getppid"})}));
  ASSERT_OK(loaded);
  for (int i = 0; i < 3; ++i) (void)::getppid();
  EXPECT_EQ(fired(*loaded, 8), 3U);
}

TEST(Kinds, UprobeForOneProcessOnly) {
  NEEDS_UPROBES();
  const std::string point = own_path() + ":nightjar_probed";
  const auto mine = load(ProgramVersion("v", {Program("on_user_function", {point}).pid(::getpid())}));
  ASSERT_OK(mine);
  nightjar_probed(1);
  EXPECT_EQ(fired(*mine, 8), 1U);
  const pid_t sleeper = ::fork();
  if (sleeper == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto others = load(ProgramVersion("v", {Program("on_user_function", {point}).pid(sleeper)}));
  EXPECT_OK(others);
  nightjar_probed(1);
  if (others) {
    EXPECT_EQ(fired(*others, 8), 0U);
  }
  ::kill(sleeper, SIGKILL);
  ::waitpid(sleeper, nullptr, 0);
}

TEST(Kinds, AFunctionThatIsNotThereGetsASuggestion) {
  const auto loaded = load(ProgramVersion("v", {Program("on_user_function", {own_path() + ":nightjar_probet"})}));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::unsupported);
  const std::string text = to_string(loaded.error());
  // Where the program cannot even be loaded, the suggestion does not come to it.
  if (Features().has(Feature::kprobe)) {
    EXPECT_NE(text.find("did you mean 'nightjar_probed'?"), std::string::npos) << text;
  }
}

TEST(Kinds, AnOptionalCallThatTheKernelLacksIsToldAndTheRestWorks) {  // the seed's clone and clone3
  NEEDS(kprobe);
  const auto loaded = ProgramGroup(only_me()).load(
      blueprint(), {ProgramVersion{Program{"on_getppid", {"sys_getppid"}}.syscall(),
                                   Program{"on_getppid_return", {"sys_getppid3"}}.syscall().optional()}});
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->programs()[1].hook, "");
  EXPECT_NE(loaded->programs()[1].absent_because, "");
  ASSERT_EQ(loaded->remarks().size(), 1U);
  EXPECT_TRUE(loaded->remarks()[0].starts_with("program 'on_getppid_return' is absent: ")) << loaded->remarks()[0];
  call_getppid();
  EXPECT_EQ(fired(*loaded, 5), 1U);
}

TEST(Kinds, UsdtWithItsArgument) {
  NEEDS_UPROBES();
#if !defined(__x86_64__)
  GTEST_SKIP() << "the probe in this test is written for x86-64";
#endif
  const auto loaded =
      load(ProgramVersion("v", {Program("on_user_statically_defined", {own_path() + ":test:fired"}).pid(::getpid())}));
  ASSERT_OK(loaded);
  fire_usdt(41);
  fire_usdt(42);
  fire_usdt(42);
  EXPECT_EQ(fired(*loaded, 10), 2U);
}

TEST(Kinds, KsyscallSectionNamesASystemCall) {
  NEEDS(kprobe);
  const auto loaded = load(ProgramVersion("v", {Program("on_getppid_by_section")}));
  ASSERT_OK(loaded);
  call_getppid();
  EXPECT_EQ(fired(*loaded, 7), 1U);
}

TEST(Kinds, KprobeInTheMiddleOfAFunctionIsParsed) {
  NEEDS(kprobe);
  const auto bad = load(ProgramVersion("v", {Program("on_getppid", {"do_exit+zero"})}));
  ASSERT_FALSE(bad);
  EXPECT_NE(to_string(bad.error()).find("offset is no number"), std::string::npos);
}

TEST(Kinds, FunctionExitModifyAndLsm) {
  NEEDS(fentry);
  const auto exits = load(ProgramVersion("v", {Program("on_fexit"), Program("on_modify_return").optional()}));
  ASSERT_OK(exits);
  EXPECT_EQ(exits->programs()[0].hook, "fexit/bpf_fentry_test1");
  EXPECT_EQ(exits->programs()[1].hook, "fmod_ret/security_task_getpgid") << exits->programs()[1].absent_because;
  Features features;
  if (!features.has(Feature::lsm)) return;
  const auto guarded = load(ProgramVersion("v", {Program("on_lsm")}));
  ASSERT_OK(guarded);
  EXPECT_EQ(guarded->programs()[0].hook, "lsm/task_getpgid");
}

TEST(Kinds, CgroupPrograms) {
  const PrivateMount cgroups("cgroup2");
  if (!cgroups.valid()) GTEST_SKIP() << cgroups.why_not();
  const std::string path = cgroups.path() + "/nightjar_loader_test_" + std::to_string(::getpid());
  if (::mkdir(path.c_str(), S_IRWXU) != 0) GTEST_SKIP() << "cannot make a cgroup: " << ::strerrordesc_np(errno);
  {
    const auto loaded = load(ProgramVersion("v", {Program("on_socket_in_cgroup", {"/nonexistent", path})}));
    if (!loaded && to_string(loaded.error()).find("Invalid argument") != std::string::npos) {
      ::rmdir(path.c_str());
      GTEST_SKIP() << "no cgroup programs here: " << to_string(loaded.error());
    }
    EXPECT_OK(loaded);
    const pid_t child = ::fork();
    if (child == 0) {
      std::ofstream(path + "/cgroup.procs") << "0" << std::flush;
      const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ::_exit(socket.valid() ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    if (loaded) {
      EXPECT_EQ(fired(*loaded, 13), 1U);
    }
  }
  EXPECT_EQ(::rmdir(path.c_str()), 0);
}

TEST(Kinds, SocketFilterDropsUntilItIsTakenOff) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd in(pair[0]);
  const UniqueFd out(pair[1]);
  char byte = 'x';
  {
    const auto loaded = load(ProgramVersion("v", {Program("drops_all").socket(out.get())}));
    ASSERT_OK(loaded);
    EXPECT_EQ(loaded->programs()[0].hook, "socket/" + std::to_string(out.get()));
    (void)::send(in.get(), &byte, 1, 0);
    EXPECT_EQ(::recv(out.get(), &byte, 1, 0), -1);
    EXPECT_EQ(fired(*loaded, 14), 1U);
  }
  EXPECT_EQ(::send(in.get(), &byte, 1, 0), 1);
  EXPECT_EQ(::recv(out.get(), &byte, 1, 0), 1) << "the filter is still on";
}

TEST(Kinds, ASocketFilterNeedsASocket) {
  const auto loaded = load(ProgramVersion("v", {Program("drops_all")}));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::invalid);
}

TEST(Kinds, TailCallSlotIsFilledBeforeAttaching) {
  NEEDS(raw_tracepoint);
  const auto loaded =
      load(ProgramVersion("v", {Program("jumps_on_rename"), Program("jumped_to").tail_call("jumps", 2)}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->program("jumped_to")->hook, "tail call/jumps") << "it is only called";
  rename_self();
  EXPECT_EQ(fired(*loaded, 15), 1U);
  EXPECT_EQ(fired(*loaded, 16), 0U);
}

TEST(Kinds, TwoProgramsShareOneArrayOfPrograms) {  // a bug the seed had fixed
  const auto loaded = load(ProgramVersion("v", {Program("jumps_on_rename"), Program("jumped_to").tail_call("jumps", 2),
                                                Program("on_rename_raw").tail_call("jumps", 1)}));
  ASSERT_OK(loaded);
  rename_self();
  EXPECT_EQ(fired(*loaded, 15), 1U);
}

TEST(Kinds, TailCallErrorsAreNotExcused) {
  const auto no_map =
      load(ProgramVersion("v", {Program("jumped_to").tail_call("jump", 2).optional(), Program("on_rename_raw")}));
  ASSERT_FALSE(no_map);
  EXPECT_EQ(no_map.error().code(), errc::invalid);
  EXPECT_NE(to_string(no_map.error()).find("did you mean 'jumps'?"), std::string::npos);
  const auto no_slot = load(ProgramVersion("v", {Program("jumped_to").tail_call("jumps", 99)}));
  ASSERT_FALSE(no_slot);
  EXPECT_NE(to_string(no_slot.error()).find("slot 99"), std::string::npos) << to_string(no_slot.error());
}

/// Lines of kprobe_events and uprobe_events.
std::vector<std::string> probes_in_tracefs() {
  std::vector<std::string> lines;
  const auto tracefs = Tracefs::open();
  if (!tracefs) return lines;
  for (const char* file : {"kprobe_events", "uprobe_events"}) {
    std::istringstream in(tracefs->read(file).value_or(""));
    for (std::string line; std::getline(in, line);) lines.push_back(line);
  }
  return lines;
}

GroupOptions through_tracefs() {
  GroupOptions options = only_me();
  options.probes = ProbeWay::tracefs;
  return options;
}

TEST(TracefsProbes, WorkUnderOwnNamesAndVanish) {
  NEEDS_UPROBES();
  const auto before = probes_in_tracefs();
  {
    const auto loaded =
        load(ProgramVersion("v", {Program("on_getppid", {"getppid"}).syscall(),
                                  Program("on_getppid_return", {"getppid"}).syscall(),
                                  Program("on_user_function", {own_path() + ":nightjar_probed"}),
                                  Program("on_user_function_return", {own_path() + ":nightjar_probed"})}),
             through_tracefs());
    ASSERT_OK(loaded);
    call_getppid();
    nightjar_probed(1);
    EXPECT_EQ(fired(*loaded, 5), 1U);
    EXPECT_EQ(fired(*loaded, 6), 1U);
    EXPECT_EQ(fired(*loaded, 8), 1U);
    EXPECT_EQ(fired(*loaded, 9), 1U);
    EXPECT_EQ(probes_in_tracefs().size(), before.size() + 4);
  }
  EXPECT_EQ(probes_in_tracefs(), before);
}

TEST(TracefsProbes, AFailedVersionLeavesNone) {
  NEEDS_UPROBES();
  const auto before = probes_in_tracefs();
  const auto loaded = load(ProgramVersion("v", {Program("on_getppid", {"getppid"}).syscall(),
                                                Program("on_getppid_return", {"no_such_function_here"})}),
                           through_tracefs());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::unsupported) << to_string(loaded.error());
  EXPECT_EQ(probes_in_tracefs(), before);
}

TEST(TracefsProbes, OfADeadProcessAreSweptAndOthersAreLeft) {
  NEEDS_UPROBES();
  const auto tracefs = Tracefs::open();
  ASSERT_OK(tracefs);
  ASSERT_OK(tracefs->append("kprobe_events", "p:somebody_else/probe_1 do_exit\n"));
  const pid_t child = ::fork();
  if (child == 0) {
    auto probe = TracefsProbe::make({.target = "do_exit", .pid = std::nullopt}, *tracefs);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  auto mine = TracefsProbe::make({.target = "do_exit", .pid = std::nullopt}, *tracefs);  // sweeps first
  EXPECT_OK(mine);
  std::string all;
  for (const std::string& line : probes_in_tracefs()) all += line + "\n";
  EXPECT_EQ(all.find("_" + std::to_string(child) + "_"), std::string::npos) << all;
  EXPECT_NE(all.find("somebody_else"), std::string::npos) << all;
  EXPECT_NE(all.find("_" + std::to_string(::getpid()) + "_"), std::string::npos) << all;
  EXPECT_EQ(sweep_probes(*tracefs).value_or(99), 0U) << "this process is alive";
  ASSERT_OK(tracefs->append("kprobe_events", "-:somebody_else/probe_1\n"));
}

TEST(TracefsMount, IsMadeOnlyWhereAsked) {
  const pid_t child = ::fork();  // a mount namespace of its own
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(77);
    const std::string path = "/tmp/nightjar_tracefs_" + std::to_string(::getpid());
    const auto mounted = Tracefs::mount(path);
    const bool works = mounted && ::access((path + "/events").c_str(), F_OK) == 0;
    ::umount2(path.c_str(), MNT_DETACH);
    ::rmdir(path.c_str());
    ::_exit(works ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace nightjar::test
