// SPDX-License-Identifier: Apache-2.0
#include "nightjar/mapped_array.hpp"

#include <cerrno>

#include <unistd.h>

#include <linux/bpf.h>
#include <sys/mman.h>

#include "text.hpp"

namespace nightjar {

Result<MappedArray> MappedArray::of(const Map& map) {
  if (map.type() != BPF_MAP_TYPE_ARRAY)
    return Error(errc::unsupported, "map " + map.name() + " is no array: only arrays can be mapped into memory");
  const std::size_t stride = (std::size_t{map.value_size()} + 7) / 8 * 8;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t bytes = (stride * map.max_entries() + page - 1) / page * page;
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd(), 0);
  if (data == MAP_FAILED) {
    const int sys = errno;
    if (sys == text::kernel_enotsupp || sys == ENODEV || sys == EINVAL)
      return Error(errc::unsupported,
                   "map " + map.name() + " was made without BPF_F_MMAPABLE, or this kernel cannot map it (5.5 can)",
                   sys);
    return Error::from_errno("cannot map the values of map " + map.name() + " into memory", sys);
  }
  return MappedArray(static_cast<std::byte*>(data), bytes, stride, map.max_entries());
}

MappedArray::~MappedArray() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace nightjar
