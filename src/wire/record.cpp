// SPDX-License-Identifier: Apache-2.0
#include "wire/record.hpp"

#include <string>

#include "wire/kernel.h"
#include "wire/memory.h"
#include "wire/namespace.h"
#include "wire/privilege.h"
#include "wire/signal.h"

namespace nightjar {
namespace {

std::size_t fixed_size(unsigned kind) {
  switch (kind) {
    case WIRE_PROCESS_FORK:
      return sizeof(process_fork);
    case WIRE_PROCESS_EXEC:
    case WIRE_PROCESS_SNAPSHOT:
      return sizeof(process_exec);
    case WIRE_PROCESS_EXIT:
      return sizeof(process_exit);
    case WIRE_EXEC_FAILED:
      return sizeof(exec_failed);
    case WIRE_EXEC_DATA:
      return sizeof(exec_data);
    case WIRE_EXEC_SCRIPT:
      return sizeof(exec_script);
    case WIRE_CGROUP:
      return sizeof(cgroup_path);
    case WIRE_UNSHARE:
    case WIRE_SETNS:
      return sizeof(namespace_change);
    case WIRE_MOUNT:
      return sizeof(mount_done);
    case WIRE_UMOUNT:
      return sizeof(umount_done);
    case WIRE_MOVE_MOUNT:
      return sizeof(move_mount_done);
    case WIRE_PIVOT_ROOT:
    case WIRE_CHROOT:
      return sizeof(root_change);
    case WIRE_PATH_PART:
      return sizeof(path_part);
    case WIRE_PTRACE:
      return sizeof(ptrace_done);
    case WIRE_PROCESS_VM_WRITE:
    case WIRE_PROC_MEM_WRITE:
      return sizeof(memory_write);
    case WIRE_MEMFD_CREATE:
      return sizeof(memfd_done);
    case WIRE_MPROTECT_EXEC:
    case WIRE_MMAP_EXEC:
      return sizeof(executable_memory);
    case WIRE_SET_CREDENTIALS:
    case WIRE_CAPABILITY_SET:
      return sizeof(credentials_change);
    case WIRE_LOGIN_UID_SET:
      return sizeof(login_uid_change);
    case WIRE_MODULE_LOAD:
    case WIRE_MODULE_UNLOAD:
      return sizeof(module_change);
    case WIRE_BPF_PROGRAM_LOAD:
      return sizeof(bpf_program_loaded);
    case WIRE_BPF_ACCESS:
      return sizeof(bpf_accessed);
    case WIRE_KEXEC_LOAD:
      return sizeof(kexec_done);
    case WIRE_SYSCTL_WRITE:
      return sizeof(sysctl_written);
    case WIRE_KILL:
      return sizeof(signal_sent);
    case WIRE_NET_CONNECT:
    case WIRE_NET_ACCEPT:
    case WIRE_NET_CLOSE:
    case WIRE_UDP_SEND:
    case WIRE_UDP_RECEIVE:
      return sizeof(net_connection);
    case WIRE_DNS_QUERY:
    case WIRE_DNS_ANSWER:
      return sizeof(net_payload);
    case WIRE_DNS_PART:
      return sizeof(net_dns_part);
    case WIRE_UNIX_CONNECT:
      return sizeof(net_unix);
    case WIRE_NET_LISTEN:
    case WIRE_NET_BIND:
      return sizeof(net_endpoint);
    default:
      if (kind >= WIRE_FILE_CREATE && kind <= WIRE_FILE_UTIMES) return sizeof(file_event);
      return SIZE_MAX;
  }
}

}  // namespace

std::optional<Bytes> checked_record(Bytes bytes) {
  if (bytes.size() < sizeof(wire_header)) return std::nullopt;
  wire_header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.size > bytes.size() || header.size < fixed_size(header.kind)) return std::nullopt;
  return bytes.first(header.size);
}

std::string join_path(std::string_view components) {
  std::string path;
  join_path(components, path);
  return path;
}

void join_path(std::string_view components, std::string& path) {
  path.clear();
  path.reserve(components.size() + 1);
  while (!components.empty()) {
    if (components.back() == '\0') components.remove_suffix(1);
    const auto before = components.rfind('\0');
    const std::string_view name = before == std::string_view::npos ? components : components.substr(before + 1);
    path += '/';
    path += name;
    components.remove_suffix(name.size());
  }
}

std::vector<std::string_view> split_strings(std::string_view block) {
  std::vector<std::string_view> strings;
  while (!block.empty()) {
    const auto end = block.find('\0');
    strings.push_back(block.substr(0, end));
    if (end == std::string_view::npos) break;
    block.remove_prefix(end + 1);
  }
  return strings;
}

}  // namespace nightjar
