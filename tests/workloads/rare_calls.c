// SPDX-License-Identifier: Apache-2.0
// rare_calls LOG DIR MODE: does what the families memory, privilege, kernel and signal tell, and logs each with what
// the event must say. Calls that fail, and calls that are of no interest, lie between. Acts on itself and on children
// of its own only; the modes sysctl, module and kexec belong into guests.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "truth.h"

static char dir[4096];
static unsigned char page[4096];

static pid_t sleeper(void) {
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (pid) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

static void finish(pid_t pid, int how) {
  TRUTH_CHECK(kill(pid, how));
  truth_told("kill", "\"nightjar.target.pid\":%d,\"nightjar.signal.number\":%d", pid, how);
  TRUTH_CHECK(waitpid(pid, NULL, 0));
}

// ---- memory

static void traced(const char* request, pid_t pid) {
  truth_told("ptrace",
             "\"nightjar.ptrace.request\":\"%s\",\"nightjar.target.pid\":%d,\"?nightjar.target.name\":\"rare_calls\"",
             request, pid);
}

static void ptrace_mode(void) {
  pid_t pid = sleeper();
  int status;
  unsigned long word = 0;
  if (!syscall(SYS_ptrace, PTRACE_ATTACH, getpid(), 0, 0) || !syscall(SYS_ptrace, PTRACE_PEEKDATA, pid, page, &word))
    truth_die("a request that must fail worked");
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0));
  traced("PTRACE_ATTACH", pid);
  TRUTH_CHECK(waitpid(pid, &status, 0));
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_PEEKDATA, pid, page, &word));
  traced("PTRACE_PEEKDATA", pid);
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_POKEDATA, pid, page, 7));
  traced("PTRACE_POKEDATA", pid);
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL));
  traced("PTRACE_SETOPTIONS", pid);
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_CONT, pid, 0, 0));
  TRUTH_CHECK(syscall(SYS_tgkill, pid, pid, SIGWINCH));
  TRUTH_CHECK(waitpid(pid, &status, 0));
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_DETACH, pid, 0, 0));
  traced("PTRACE_DETACH", pid);
  TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0));
  traced("PTRACE_SEIZE", pid);
  finish(pid, SIGKILL);
  pid = fork();
  if (!pid) {
    TRUTH_CHECK(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
    traced("PTRACE_TRACEME", getpid());
    _exit(0);
  }
  TRUTH_CHECK(waitpid(pid, &status, 0));
}

static void vm_write_mode(void) {
  pid_t pid = sleeper();
  char data[13] = "thirteen";
  struct iovec local = {data, sizeof(data)};
  struct iovec remote[2] = {{page + 17, 5}, {page + 101, 8}};
  struct iovec nowhere = {NULL, 8};
  if (syscall(SYS_process_vm_writev, pid, &local, 1, &nowhere, 1, 0) != -1) truth_die("a write to nowhere worked");
  if (syscall(SYS_process_vm_writev, pid, &local, 1, remote, 2, 0) != 13) truth_die("process_vm_writev");
  truth_told("process_vm_write",
             "\"nightjar.target.pid\":%d,\"nightjar.memory.addresses\":[%lu,%lu],\"nightjar.memory.lengths\":[5,8],"
             "\"nightjar.memory.bytes\":13",
             pid, (unsigned long)(page + 17), (unsigned long)(page + 101));
  if (syscall(SYS_process_vm_readv, pid, &local, 1, remote, 2, 0) != 13) truth_die("process_vm_readv");
  finish(pid, SIGKILL);
}

static void proc_mem_mode(void) {
  pid_t pid = sleeper();
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/mem", pid);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  TRUTH_CHECK(fd);
  if (pwrite(fd, "x", 1, 0) != -1) truth_die("a write to nowhere worked");
  if (pwrite(fd, "1234567", 7, (off_t)(unsigned long)(page + 3)) != 7) truth_die("pwrite");
  truth_told("proc_mem_write",
             "\"nightjar.target.pid\":%d,\"nightjar.memory.addresses\":[%lu],\"nightjar.memory.lengths\":[7]", pid,
             (unsigned long)(page + 3));
  close(fd);
  finish(pid, SIGKILL);
}

static void memfd_mode(void) {
  struct stat st;
  if (syscall(SYS_memfd_create, "bad flags", 0x4000U) != -1) truth_die("memfd_create with bad flags worked");
  int fd = (int)syscall(SYS_memfd_create, "a name", 1U);
  TRUTH_CHECK(fd);
  TRUTH_CHECK(fstat(fd, &st));
  truth_told("memfd_create", "\"file.name\":\"a name\",\"?file.inode\":\"%lu\"", (unsigned long)st.st_ino);
  TRUTH_CHECK(syscall(SYS_memfd_create, "", 0U));
  truth_told("memfd_create", "\"process.name\":\"rare_calls\"");
}

static void told_memory(const char* action, const void* at, size_t size, const char* protection) {
  truth_told(
      action,
      "\"nightjar.memory.addresses\":[%lu],\"nightjar.memory.lengths\":[%zu],\"nightjar.memory.protection\":[%s]",
      (unsigned long)at, size, protection);
}

static void exec_memory_mode(void) {
  const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  void* both = mmap(NULL, 12288, PROT_READ | PROT_WRITE | PROT_EXEC, anonymous, -1, 0);
  if (both == MAP_FAILED) truth_die("mmap");
  told_memory("mmap_exec", both, 12288, "\"PROT_READ\",\"PROT_WRITE\",\"PROT_EXEC\"");
  void* code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, anonymous, -1, 0);
  if (code == MAP_FAILED) truth_die("mmap");
  told_memory("mmap_exec", code, 4096, "\"PROT_READ\",\"PROT_EXEC\"");
  void* data = mmap(NULL, 8192, PROT_READ | PROT_WRITE, anonymous, -1, 0);
  if (data == MAP_FAILED) truth_die("mmap");
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, self, 0) == MAP_FAILED) truth_die("mmap of a file");
  TRUTH_CHECK(mprotect(data, 4096, PROT_READ));
  if (!mprotect(NULL, 4096, PROT_READ | PROT_EXEC)) truth_die("mprotect of nothing worked");
  TRUTH_CHECK(mprotect(data, 8192, PROT_READ | PROT_EXEC));
  told_memory("mprotect_exec", data, 8192, "\"PROT_READ\",\"PROT_EXEC\"");
}

// ---- privilege

static void changed(const char* cause, const char* real, const char* effective, const char* saved, const char* before) {
  truth_told("set_credentials",
             "\"process.real_user.id\":\"%s\",\"process.user.id\":\"%s\",\"process.saved_user.id\":\"%s\","
             "\"nightjar.credentials.before.user.id\":\"%s\",\"nightjar.credentials.cause\":\"%s\"",
             real, effective, saved, before, cause);
}

static void credentials_mode(void) {
  TRUTH_CHECK(setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1));
  TRUTH_CHECK(syscall(SYS_setresgid, 2003, 2011, 2017));
  truth_told("set_credentials",
             "\"process.real_group.id\":\"2003\",\"process.group.id\":\"2011\",\"process.saved_group.id\":\"2017\","
             "\"nightjar.credentials.before.group.id\":\"0\",\"nightjar.credentials.cause\":\"setresgid\","
             "\"nightjar.credentials.changed\":[\"group\",\"real_group\",\"saved_group\",\"fs_group\"]");
  TRUTH_CHECK(syscall(SYS_setresuid, 1009, 1013, 1019));
  changed("setresuid", "1009", "1013", "1019", "0");
  if (!syscall(SYS_setuid, 0)) truth_die("setuid to root worked");
  TRUTH_CHECK(syscall(SYS_setreuid, 1013, 1019));
  changed("setreuid", "1013", "1019", "1019", "1013");
}

static void copy_self(const char* to) {
  struct stat st;
  int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (in < 0 || out < 0 || fstat(in, &st)) truth_die(to);
  while (sendfile(out, in, NULL, (size_t)st.st_size) > 0) {
  }
  TRUTH_CHECK(fchown(out, 1021, 1021));
  TRUTH_CHECK(fchmod(out, 04755));
  close(in);
  close(out);
}

static void setuid_exec_mode(void) {
  char path[4200];
  struct statvfs fs;
  if (statvfs(dir, &fs) || (fs.f_flag & ST_NOSUID)) truth_skip("the directory is on a file system mounted nosuid");
  snprintf(path, sizeof(path), "%s/program", dir);
  copy_self(path);
  pid_t pid = fork();
  if (!pid) {
    TRUTH_CHECK(syscall(SYS_setresuid, 65534, 65534, 65534));
    changed("setresuid", "65534", "65534", "65534", "0");
    changed("execve", "65534", "1021", "1021", "65534");
    execl(path, path, NULL);
    truth_die(path);
  }
  truth_wait("end", pid);
}

static void capset_mode(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2];
  TRUTH_CHECK(syscall(SYS_capget, &header, sets));
  sets[0].effective = 1U << CAP_NET_RAW | 1U << CAP_KILL;
  sets[1].effective = 0;
  sets[0].permitted = 1U << CAP_NET_RAW | 1U << CAP_KILL | 1U << CAP_SETUID;
  sets[1].permitted = 0;
  TRUTH_CHECK(syscall(SYS_capset, &header, sets));
  for (int i = 0; i < 2; i++) {
    truth_told(i ? "capability_set" : "set_credentials",
               "\"process.thread.capabilities.effective\":[\"CAP_KILL\",\"CAP_NET_RAW\"],"
               "\"process.thread.capabilities.permitted\":[\"CAP_KILL\",\"CAP_SETUID\",\"CAP_NET_RAW\"]");
  }
  sets[1].permitted = 1;
  if (!syscall(SYS_capset, &header, sets)) truth_die("capset to more worked");
}

static void login_mode(void) {
  int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
  if (fd < 0) truth_skip("kernel lacks audit");
  if (write(fd, "1031", 4) != 4) truth_skip("the login uid cannot be set");
  truth_told("login_uid_set", "\"nightjar.login_uid\":1031");
}

// ---- signals

static void kill_mode(void) {
  pid_t pid = sleeper();
  TRUTH_CHECK(kill(pid, 0));
  TRUTH_CHECK(kill(pid, SIGWINCH));
  if (!kill(pid, 99)) truth_die("kill with signal 99 worked");
  TRUTH_CHECK(kill(pid, SIGSTOP));
  truth_told("kill",
             "\"nightjar.target.pid\":%d,\"nightjar.signal.number\":%d,\"nightjar.signal.name\":\"SIGSTOP\","
             "\"nightjar.target.name\":\"rare_calls\"",
             pid, SIGSTOP);
  TRUTH_CHECK(waitpid(pid, NULL, WUNTRACED));
  TRUTH_CHECK(kill(pid, SIGCONT));
  finish(pid, SIGTERM);
  pid = sleeper();
  TRUTH_CHECK(syscall(SYS_tgkill, pid, pid, SIGABRT));
  truth_told("kill", "\"nightjar.target.pid\":%d,\"nightjar.signal.name\":\"SIGABRT\"", pid);
  TRUTH_CHECK(waitpid(pid, NULL, 0));
  // Handled by its own process: nothing ends.
  signal(SIGTERM, SIG_IGN);
  TRUTH_CHECK(kill(getpid(), SIGTERM));
}

// ---- kernel

static long call_bpf(int command, union bpf_attr attr) {
  return syscall(SYS_bpf, command, &attr, sizeof(attr));
}

// A program of two instructions; with one, it has no end and is refused.
static union bpf_attr smallest_program(unsigned instructions) {
  static const struct bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = (unsigned long)program;
  attr.insn_cnt = instructions;
  attr.license = (unsigned long)"GPL";
  return attr;
}

// The info of programs and of maps begins alike.
static unsigned id_of_bpf_object(int fd) {
  struct {
    unsigned type, id;
  } info = {0, 0};
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.info.bpf_fd = (unsigned)fd;
  attr.info.info_len = sizeof(info);
  attr.info.info = (unsigned long)&info;
  TRUTH_CHECK(call_bpf(BPF_OBJ_GET_INFO_BY_FD, attr));
  return info.id;
}

// As bpftool does: a program and a map that exist, by their ids.
static void bpf_access_mode(void) {
  int program = (int)call_bpf(BPF_PROG_LOAD, smallest_program(2));
  TRUTH_CHECK(program);
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_id = id_of_bpf_object(program);
  TRUTH_CHECK(call_bpf(BPF_PROG_GET_FD_BY_ID, attr));
  truth_told("bpf_access", "\"nightjar.bpf.command\":\"prog_get_fd_by_id\",\"nightjar.bpf.object_id\":%u",
             attr.prog_id);
  memset(&attr, 0, sizeof(attr));
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 1;
  int map = (int)call_bpf(BPF_MAP_CREATE, attr);
  TRUTH_CHECK(map);
  memset(&attr, 0, sizeof(attr));
  attr.map_id = id_of_bpf_object(map);
  TRUTH_CHECK(call_bpf(BPF_MAP_GET_FD_BY_ID, attr));
  truth_told("bpf_access", "\"nightjar.bpf.command\":\"map_get_fd_by_id\",\"nightjar.bpf.object_id\":%u", attr.map_id);
  // A map of its own is nobody else's; and what does not exist is not reached.
  int key = 0, value = 7;
  memset(&attr, 0, sizeof(attr));
  attr.map_fd = (unsigned)map;
  attr.key = (unsigned long)&key;
  attr.value = (unsigned long)&value;
  TRUTH_CHECK(call_bpf(BPF_MAP_UPDATE_ELEM, attr));
  memset(&attr, 0, sizeof(attr));
  attr.pathname = (unsigned long)"/nonexistent/nightjar";
  if (call_bpf(BPF_OBJ_GET, attr) >= 0) truth_die("a pin that is none was opened");
}

static void told_command(const char* command) {
  truth_told("bpf_access", "\"nightjar.bpf.command\":\"%s\"", command);
}

// What changes objects, and works: a pin, and a flow dissector of a network namespace of this process's own.
static void bpf_change_mode(void) {
  if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
      mount("none", dir, "bpf", 0, NULL))
    truth_skip("namespaces, or a BPF file system, are refused");
  union bpf_attr dissector = smallest_program(2), attr;
  dissector.prog_type = BPF_PROG_TYPE_FLOW_DISSECTOR;
  dissector.expected_attach_type = BPF_FLOW_DISSECTOR;
  int program = (int)call_bpf(BPF_PROG_LOAD, dissector), other = (int)call_bpf(BPF_PROG_LOAD, dissector);
  TRUTH_CHECK(program);
  TRUTH_CHECK(other);
  char pin[4200];
  snprintf(pin, sizeof(pin), "%s/pin", dir);
  memset(&attr, 0, sizeof(attr));
  attr.pathname = (unsigned long)pin;
  attr.bpf_fd = (unsigned)program;
  TRUTH_CHECK(call_bpf(BPF_OBJ_PIN, attr));
  attr.bpf_fd = 0;
  TRUTH_CHECK(call_bpf(BPF_OBJ_GET, attr));
  truth_told("bpf_access", "\"nightjar.bpf.command\":\"obj_get\",\"nightjar.bpf.pin\":\"%s\"", pin);

  memset(&attr, 0, sizeof(attr));
  attr.attach_bpf_fd = (unsigned)program;
  attr.attach_type = BPF_FLOW_DISSECTOR;
  TRUTH_CHECK(call_bpf(BPF_PROG_ATTACH, attr));
  told_command("prog_attach");
  TRUTH_CHECK(call_bpf(BPF_PROG_DETACH, attr));
  told_command("prog_detach");
  if (call_bpf(BPF_PROG_DETACH, attr) >= 0) truth_die("what is not attached was detached");

  int space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  TRUTH_CHECK(space);
  memset(&attr, 0, sizeof(attr));
  attr.link_create.prog_fd = (unsigned)program;
  attr.link_create.target_fd = (unsigned)space;
  attr.link_create.attach_type = BPF_FLOW_DISSECTOR;
  int link = (int)call_bpf(BPF_LINK_CREATE, attr);
  TRUTH_CHECK(link);
  memset(&attr, 0, sizeof(attr));
  attr.link_update.link_fd = (unsigned)link;
  attr.link_update.new_prog_fd = (unsigned)other;
  TRUTH_CHECK(call_bpf(BPF_LINK_UPDATE, attr));
  told_command("link_update");
  memset(&attr, 0, sizeof(attr));
  attr.link_detach.link_fd = (unsigned)link;
  TRUTH_CHECK(call_bpf(BPF_LINK_DETACH, attr));
  told_command("link_detach");
}

static void bpf_mode(void) {
  union bpf_attr attr = smallest_program(1);
  strcpy(attr.prog_name, "nj_test");
  if (call_bpf(BPF_PROG_LOAD, attr) >= 0) truth_die("a program without an end was loaded");
  attr.insn_cnt = 2;
  TRUTH_CHECK(call_bpf(BPF_PROG_LOAD, attr));
  truth_told("bpf_program_load", "\"nightjar.bpf.name\":\"nj_test\",\"nightjar.bpf.type\":\"socket_filter\"");
}

static void sysctl_mode(void) {
  if (unshare(CLONE_NEWUTS)) truth_skip("a UTS namespace is refused");
  int fd = open("/proc/sys/kernel/domainname", O_WRONLY | O_CLOEXEC);
  TRUTH_CHECK(fd);
  if (write(fd, "nightjar.test\n", 14) != 14) truth_die("write");
  truth_told("sysctl_write",
             "\"nightjar.sysctl.name\":\"kernel/domainname\",\"nightjar.sysctl.value\":\"nightjar.test\"");
}

static void kexec_mode(void) {
  if (syscall(SYS_kexec_load, 0, 1, NULL, 0) != -1) truth_die("kexec_load of nothing worked");
  // No segment: what was loaded is dropped.
  if (syscall(SYS_kexec_load, 0, 0, NULL, 0)) truth_skip("kernel lacks kexec");
  truth_told("kexec_load", "\"nightjar.kexec.call\":\"kexec_load\"");
}

static void module_mode(void) {
  const char* path = "/lib/modules/overlay.ko";  // where guests have it
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  char resolved[4096];
  if (fd < 0 || !realpath(path, resolved)) truth_skip("no module to load");
  syscall(SYS_delete_module, "overlay", O_NONBLOCK);
  truth_told("module_unload", "\"nightjar.module.name\":\"overlay\"");
  TRUTH_CHECK(syscall(SYS_finit_module, fd, "", 0));
  truth_told("module_load", "\"nightjar.module.name\":\"overlay\",\"?file.path\":\"%s\"", resolved);
}

int main(int argc, char** argv) {
  if (argc == 1) return 0;  // executed with other credentials: that is all
  if (argc != 4) return 98;
  truth_open(argv[1]);
  if (!realpath(argv[2], dir)) truth_die(argv[2]);
  static const struct {
    const char* name;
    void (*run)(void);
  } modes[] = {{"ptrace", ptrace_mode},
               {"vm_write", vm_write_mode},
               {"proc_mem", proc_mem_mode},
               {"memfd", memfd_mode},
               {"exec_memory", exec_memory_mode},
               {"credentials", credentials_mode},
               {"setuid_exec", setuid_exec_mode},
               {"capset", capset_mode},
               {"login", login_mode},
               {"kill", kill_mode},
               {"bpf", bpf_mode},
               {"bpf_access", bpf_access_mode},
               {"bpf_change", bpf_change_mode},
               {"sysctl", sysctl_mode},
               {"kexec", kexec_mode},
               {"module", module_mode}};
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    if (strcmp(argv[3], modes[i].name)) continue;
    modes[i].run();
    return 0;
  }
  return 98;
}
