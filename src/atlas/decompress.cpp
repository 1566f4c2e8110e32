// SPDX-License-Identifier: Apache-2.0
// The compressions of kernel images and packages.
#include <algorithm>
#include <array>
#include <vector>

#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "atlas/source.hpp"

namespace nightjar::atlas {
namespace {

constexpr std::size_t input_size = 1U << 16U;
/// Enough for xz -9e and the kernel's own images; a hostile header may not ask for more.
constexpr std::uint64_t memory_limit = std::uint64_t{256} << 20U;

/// A decompressor with its input buffer. `step` is given what there is and reports what it took and made.
class StreamSource : public Source {
 public:
  explicit StreamSource(SourcePointer inner) : inner_(std::move(inner)) {}

  Result<std::size_t> read(std::span<std::byte> into) override {
    while (!ended_) {
      if (input_.empty() && !at_end_) {
        const std::size_t count = NIGHTJAR_TRY(inner_->read(buffer_));
        input_ = Bytes(buffer_).first(count);
        at_end_ = count == 0;
      }
      const Bytes before = input_;
      const std::size_t made = NIGHTJAR_TRY(step(into));
      if (made != 0) return made;
      if (!ended_ && at_end_ && input_.size() == before.size()) return corrupt("the compressed data is cut off");
    }
    return std::size_t{0};
  }

 protected:
  /// Takes from input_, fills `into`, sets ended_ at the end of the stream; returns how much it made.
  virtual Result<std::size_t> step(std::span<std::byte> into) = 0;

  void take(std::size_t count) { input_ = input_.subspan(count); }
  [[nodiscard]] unsigned char* input() const {
    return const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(input_.data()));  // NOLINT: zlib's way
  }

  SourcePointer inner_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(input_size);
  Bytes input_;
  bool at_end_ = false;
  bool ended_ = false;
};

class GzipSource : public StreamSource {
 public:
  explicit GzipSource(SourcePointer inner) : StreamSource(std::move(inner)) {
    ok_ = inflateInit2(&stream_, 15 + 32) == Z_OK;
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  ~GzipSource() override { inflateEnd(&stream_); }

 protected:
  Result<std::size_t> step(std::span<std::byte> into) override {
    stream_.next_in = input();
    stream_.avail_in = static_cast<unsigned>(input_.size());
    stream_.next_out = reinterpret_cast<unsigned char*>(into.data());
    stream_.avail_out = static_cast<unsigned>(std::min<std::size_t>(into.size(), 1U << 30U));
    const unsigned room = stream_.avail_out;
    const int result = ok_ ? inflate(&stream_, Z_NO_FLUSH) : Z_MEM_ERROR;
    take(input_.size() - stream_.avail_in);
    ended_ = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return corrupt("gzip data is damaged");
    return room - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool ok_ = false;
};

class XzSource : public StreamSource {
 public:
  XzSource(SourcePointer inner, bool old) : StreamSource(std::move(inner)) {
    ok_ =
        (old ? lzma_alone_decoder(&stream_, memory_limit) : lzma_stream_decoder(&stream_, memory_limit, 0)) == LZMA_OK;
  }
  XzSource(const XzSource&) = delete;
  XzSource& operator=(const XzSource&) = delete;
  ~XzSource() override { lzma_end(&stream_); }

 protected:
  Result<std::size_t> step(std::span<std::byte> into) override {
    stream_.next_in = input();
    stream_.avail_in = input_.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(into.data());
    stream_.avail_out = into.size();
    const lzma_ret result = ok_ ? lzma_code(&stream_, LZMA_RUN) : LZMA_MEM_ERROR;
    take(input_.size() - stream_.avail_in);
    ended_ = result == LZMA_STREAM_END;
    if (result != LZMA_OK && result != LZMA_STREAM_END && result != LZMA_BUF_ERROR)
      return corrupt("xz data is damaged");
    return into.size() - stream_.avail_out;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ok_ = false;
};

class ZstdSource : public StreamSource {
 public:
  explicit ZstdSource(SourcePointer inner) : StreamSource(std::move(inner)), stream_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, 27);
  }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

 protected:
  Result<std::size_t> step(std::span<std::byte> into) override {
    if (at_end_ && input_.empty() && between_frames_) {
      ended_ = true;
      return std::size_t{0};
    }
    ZSTD_inBuffer in{input_.data(), input_.size(), 0};
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    const std::size_t left = ZSTD_decompressStream(stream_, &out, &in);
    take(in.pos);
    if (ZSTD_isError(left) != 0) {
      if (!between_frames_) return corrupt("zstd data is damaged");
      ended_ = true;  // what follows the last frame is not zstd
      return std::size_t{0};
    }
    between_frames_ = left == 0;
    return out.pos;
  }

 private:
  ZSTD_DStream* stream_;
  bool between_frames_ = false;
};

/// The kernel's own form: blocks of 8 MiB, each with its length.
class Lz4LegacySource : public Source {
 public:
  explicit Lz4LegacySource(SourcePointer inner) : inner_(std::move(inner)) {}

  Result<std::size_t> read(std::span<std::byte> into) override {
    if (rest_.empty() && !ended_) NIGHTJAR_CHECK(next_block());
    const std::size_t count = std::min(into.size(), rest_.size());
    std::copy_n(rest_.begin(), count, into.begin());
    rest_ = rest_.subspan(count);
    return count;
  }

 private:
  static constexpr std::uint32_t magic = 0x184c2102;
  static constexpr std::size_t block_size = std::size_t{8} << 20U;

  Result<> next_block() {
    std::array<std::byte, 4> raw{};
    for (bool first = !begun_;; first = false) {
      std::size_t got = 0;
      while (got < raw.size()) {
        const std::size_t count = NIGHTJAR_TRY(inner_->read(std::span(raw).subspan(got)));
        if (count == 0) break;
        got += count;
      }
      const auto word = value_at<std::uint32_t>(raw, 0);
      if (got < raw.size()) {
        ended_ = true;
        return begun_ ? Result<>() : corrupt("lz4 data is cut off");
      }
      begun_ = true;
      if (word == magic) continue;  // the beginning, or another stream right behind
      if (first) return corrupt("lz4 data is damaged");
      if (word == 0 || word > LZ4_COMPRESSBOUND(block_size)) {  // the image's size, which follows the data
        ended_ = true;
        return {};
      }
      packed_.resize(word);
      NIGHTJAR_CHECK(inner_->read_all(packed_));
      break;
    }
    block_.resize(block_size);
    const int size =
        LZ4_decompress_safe(reinterpret_cast<const char*>(packed_.data()), reinterpret_cast<char*>(block_.data()),
                            static_cast<int>(packed_.size()), static_cast<int>(block_.size()));
    if (size <= 0) {
      // Four bytes after the last block are the image's size, which may look like a block's.
      return corrupt("lz4 data is damaged");
    }
    rest_ = Bytes(block_).first(static_cast<std::size_t>(size));
    if (rest_.size() < block_size) ended_ = true;  // only the last block is short
    return {};
  }

  SourcePointer inner_;
  std::vector<std::byte> packed_, block_;
  Bytes rest_;
  bool begun_ = false;
  bool ended_ = false;
};

class Lz4FrameSource : public StreamSource {
 public:
  explicit Lz4FrameSource(SourcePointer inner) : StreamSource(std::move(inner)) {
    ok_ = LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)) == 0;
  }
  Lz4FrameSource(const Lz4FrameSource&) = delete;
  Lz4FrameSource& operator=(const Lz4FrameSource&) = delete;
  ~Lz4FrameSource() override { LZ4F_freeDecompressionContext(context_); }

 protected:
  Result<std::size_t> step(std::span<std::byte> into) override {
    std::size_t taken = input_.size();
    std::size_t made = into.size();
    const std::size_t left =
        ok_ ? LZ4F_decompress(context_, into.data(), &made, input_.data(), &taken, nullptr) : SIZE_MAX;
    if (LZ4F_isError(left) != 0) return corrupt("lz4 data is damaged");
    take(taken);
    ended_ = left == 0;
    return made;
  }

 private:
  LZ4F_dctx* context_ = nullptr;
  bool ok_ = false;
};

}  // namespace

Compression compression_of(Bytes beginning) {
  const std::string_view text = as_text(beginning);
  if (text.starts_with("\x1f\x8b")) return Compression::gzip;
  if (text.starts_with("\xfd"
                       "7zXZ"))
    return Compression::xz;
  if (text.starts_with("\x28\xb5\x2f\xfd")) return Compression::zstd;
  if (text.starts_with("\x02\x21\x4c\x18")) return Compression::lz4_legacy;
  if (text.starts_with("\x04\x22\x4d\x18")) return Compression::lz4_frame;
  if (text.starts_with(std::string_view("\x5d\0\0", 3))) return Compression::lzma;
  return Compression::none;
}

SourcePointer decompressed(SourcePointer inner, Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return std::make_unique<GzipSource>(std::move(inner));
    case Compression::xz:
    case Compression::lzma:
      return std::make_unique<XzSource>(std::move(inner), compression == Compression::lzma);
    case Compression::zstd:
      return std::make_unique<ZstdSource>(std::move(inner));
    case Compression::lz4_legacy:
      return std::make_unique<Lz4LegacySource>(std::move(inner));
    case Compression::lz4_frame:
      return std::make_unique<Lz4FrameSource>(std::move(inner));
    case Compression::none:
      break;
  }
  return inner;
}

}  // namespace nightjar::atlas
