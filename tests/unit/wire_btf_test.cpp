// SPDX-License-Identifier: Apache-2.0
// The layout that clang put into the BPF object is the layout that the descriptions (made by g++) tell.
#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <bpf/btf.h>

#include "wire/network.h"
#include "wire/privilege.h"
#include "wire/process.h"

namespace {

using nightjar::wire::Field;
using nightjar::wire::Schema;

void compare(const btf* types, const std::string& name, std::span<const Field> fields, std::size_t size) {
  const int id = btf__find_by_name_kind(types, name.c_str(), BTF_KIND_STRUCT);
  ASSERT_GT(id, 0) << name << " is not in the BPF object";
  const btf_type* type = btf__type_by_id(types, static_cast<__u32>(id));
  EXPECT_EQ(type->size, size) << name;
  ASSERT_EQ(btf_vlen(type), fields.size()) << name;
  const btf_member* members = btf_members(type);
  for (__u32 i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(fields[i].member, btf__name_by_offset(types, members[i].name_off)) << name;
    EXPECT_EQ(fields[i].offset * 8, btf_member_bit_offset(type, i)) << name << '.' << fields[i].member;
  }
}

template <class T>
void compare(const btf* types) {
  compare(types, std::string(Schema<T>::name), Schema<T>::fields, sizeof(T));
}

TEST(Wire, has_the_same_layout_in_the_bpf_object) {
  const auto object = std::filesystem::read_symlink("/proc/self/exe").parent_path() / PROBES_FILE;
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__parse_elf(object.c_str(), nullptr), btf__free);
  ASSERT_NE(types, nullptr) << object;
  compare<wire_header>(types.get());
  compare<wire_namespaces>(types.get());
  compare<wire_task>(types.get());
  compare<wire_file>(types.get());
  compare<process_exec>(types.get());
  compare<exec_failed>(types.get());
  compare<process_fork>(types.get());
  compare<process_exit>(types.get());
  compare<wire_credentials>(types.get());
  compare<net_connection>(types.get());
  compare<net_endpoint>(types.get());
  compare<net_payload>(types.get());
  compare<net_unix>(types.get());
}

}  // namespace
