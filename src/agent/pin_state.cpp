// SPDX-License-Identifier: Apache-2.0
#include "agent/pin_state.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

// Changes with the meaning of anything below.
constexpr std::uint64_t layout = 0x6e6a70696e000001;
constexpr std::size_t most_text = std::size_t{128} << 10;
constexpr std::size_t most_listed = std::size_t{1} << 15;
// The smallest record, its header in the buffer included, is larger: no two begin in the same.
constexpr std::uint64_t bytes_per_mark = 32;

}  // namespace

struct PinState::Page {
  std::uint64_t layout;
  Shape shape;
  std::uint32_t text_bytes;
  std::uint32_t commit;  ///< 0: nothing; else the list below counts
  std::uint32_t listed;
  std::uint32_t active;        ///< which of `numbers`
  std::uint32_t next_active;   ///< once the list is carried out
  std::uint32_t nothing_else;  ///< is unsettled
  WriteJournal::Ends ends;
  PinNumbers numbers[2];
  WriteJournal::Page files;
  char text[most_text];
  struct Listed {
    std::uint64_t source, position;
  } list[most_listed];
  // Behind it: told cells, then a mark (the lap of the buffer in which it was set) for each `bytes_per_mark` of each
  // buffer.
};

namespace {

std::size_t bytes_of(const PinState::Shape& shape, std::size_t page) {
  std::size_t bytes = page + shape.told_cells * sizeof(std::uint64_t);
  for (const std::uint64_t buffer : shape.buffer_bytes) bytes += buffer / bytes_per_mark * sizeof(std::uint16_t);
  return bytes;
}

Result<std::byte*> map_memory(const Map& map, std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd(), 0);
  if (memory == MAP_FAILED) return Error::from_errno("map what is pinned of the agent");
  return static_cast<std::byte*>(memory);
}

}  // namespace

PinState::PinState(Map map, std::byte* memory, std::size_t bytes)
    : map_(std::move(map)), page_(reinterpret_cast<Page*>(memory)), bytes_(bytes) {}

PinState::PinState(PinState&& other) noexcept
    : map_(std::move(other.map_)), page_(std::exchange(other.page_, nullptr)), bytes_(other.bytes_) {}

PinState::~PinState() {
  if (page_ != nullptr) munmap(page_, bytes_);
}

Result<PinState> PinState::create(const Shape& shape) {
  const std::size_t bytes = bytes_of(shape, sizeof(Page));
  Map map = NIGHTJAR_TRY(Map::create("nightjar_agent", BPF_MAP_TYPE_ARRAY, sizeof(std::uint32_t),
                                     static_cast<std::uint32_t>(bytes), 1, BPF_F_MMAPABLE));
  std::byte* memory = NIGHTJAR_TRY(map_memory(map, bytes));
  PinState state(std::move(map), memory, bytes);
  state.page_->layout = layout;
  state.page_->shape = shape;
  return state;
}

Result<PinState> PinState::open(const std::string& path) {
  Map map = NIGHTJAR_TRY(Map::open_pinned(path));
  const Error foreign(errc::corrupt, path + " was made by another version of nightjar");
  if (map.type() != BPF_MAP_TYPE_ARRAY || map.value_size() < sizeof(Page)) return foreign;
  const std::size_t bytes = map.value_size();
  std::byte* memory = NIGHTJAR_TRY(map_memory(map, bytes));
  PinState state(std::move(map), memory, bytes);
  const Page& page = *state.page_;
  if (page.layout != layout || bytes_of(page.shape, sizeof(Page)) != bytes || page.text_bytes > most_text ||
      page.active > 1)
    return foreign;
  return state;
}

std::string PinState::text() const {
  return {page_->text, page_->text_bytes};
}

Result<> PinState::set_text(std::string_view text) {
  if (text.size() > most_text) return Error(errc::invalid, "--pin: too much to write down");
  std::memcpy(page_->text, text.data(), text.size());
  page_->text_bytes = static_cast<std::uint32_t>(text.size());
  return {};
}

std::span<std::uint64_t> PinState::told_cells() {
  return {reinterpret_cast<std::uint64_t*>(page_ + 1), page_->shape.told_cells};
}

std::atomic_ref<std::uint16_t> PinState::mark_of(const Origin& origin) const {
  auto* marks = reinterpret_cast<std::uint16_t*>(reinterpret_cast<std::uint64_t*>(page_ + 1) + page_->shape.told_cells);
  for (std::uint32_t before = 0; before < origin.source; ++before)
    marks += page_->shape.buffer_bytes[before] / bytes_per_mark;
  const std::uint64_t bytes = page_->shape.buffer_bytes[origin.source];
  return std::atomic_ref(marks[(origin.position & (bytes - 1)) / bytes_per_mark]);
}

/// Never 0, which stands for no mark.
std::uint16_t PinState::lap_of(const Origin& origin) const {
  return static_cast<std::uint16_t>(origin.position / page_->shape.buffer_bytes[origin.source] % 0xffff + 1);
}

bool PinState::is_marked(const Origin& origin) const {
  return mark_of(origin).load() == lap_of(origin);
}

void PinState::settle(std::span<const Origin> records, const PinNumbers& numbers, const WriteJournal::Ends& ends,
                      bool all) {
  do {
    const std::size_t now = std::min(records.size(), most_listed);
    for (std::size_t i = 0; i < now; ++i) page_->list[i] = {records[i].source, records[i].position};
    records = records.subspan(now);
    page_->listed = static_cast<std::uint32_t>(now);
    page_->next_active = 1 - page_->active;
    page_->numbers[page_->next_active] = numbers;
    page_->ends = ends;
    page_->nothing_else = all ? 1 : 0;
    std::atomic_ref(page_->commit).store(1);
    carry_out();
  } while (!records.empty());
}

void PinState::carry_out() {
  for (std::uint32_t i = 0; i < std::min<std::size_t>(page_->listed, most_listed); ++i) {
    const Origin origin{static_cast<std::uint32_t>(page_->list[i].source), page_->list[i].position};
    if (origin.source < most_buffers && page_->shape.buffer_bytes[origin.source] != 0)
      mark_of(origin).store(lap_of(origin));
  }
  for (std::size_t i = 0; i < WriteJournal::files; ++i) {
    WriteJournal::Entry& file = page_->files.entries[i];
    if (page_->nothing_else != 0) {
      std::atomic_ref(file.pending).store(0);
    } else if (page_->ends.of[i].inode == file.inode) {
      file.size = page_->ends.of[i].size;
    }
  }
  page_->active = page_->next_active & 1;
  std::atomic_ref(page_->commit).store(0);
}

const PinNumbers& PinState::numbers() const {
  return page_->numbers[page_->active];
}

WriteJournal::Page* PinState::journal() {
  return &page_->files;
}

std::vector<std::string> PinState::recover() {
  std::vector<std::string> done;
  if (std::atomic_ref(page_->commit).load() != 0) {
    carry_out();
    return done;
  }
  for (WriteJournal::Entry& entry : page_->files.entries) {
    if (entry.pending == 0) continue;
    const std::string path(entry.path, strnlen(entry.path, sizeof entry.path));
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    const bool same = file.valid() && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
                      status.st_ino == entry.inode && status.st_dev == entry.device;
    if (same && static_cast<std::uint64_t>(status.st_size) > entry.size) {
      if (ftruncate(file.get(), static_cast<off_t>(entry.size)) == 0) {
        done.push_back(path + ": cut off " + std::to_string(static_cast<std::uint64_t>(status.st_size) - entry.size) +
                       " bytes that the agent before did not finish; they come again");
      } else {
        done.push_back(path + ": what the agent before did not finish stays, and comes again: " + std::strerror(errno));
      }
    } else if (!same) {
      done.push_back(path + " is not the file any more that the agent before wrote: its last events may come twice");
    }
    entry.pending = 0;
  }
  return done;
}

}  // namespace nightjar
