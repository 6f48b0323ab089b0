// tokenizer.bin: its numbers and texts, one after the other.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "errors.hpp"
#include "unicode.hpp"

namespace edgebert {
namespace detail {

constexpr std::uint32_t kCodes = 0x110000;  // code points of Unicode

inline std::int64_t unpacked(std::uint64_t number) {
  const auto half = static_cast<std::int64_t>(number >> 1);
  return number & 1 ? -half - 1 : half;
}

/// Reads a table. All its functions throw FileDamaged where the data end too early or make no sense.
class Table {
 public:
  static constexpr unsigned kVersion = 1;  // the newest that is read

  /// Throws FileDamaged for another kind of file, BundleTooNew for a later version.
  explicit Table(std::string_view data) : data_(data) {
    if (data.size() < 5 || data.substr(0, 4) != "EBTK") fail("is not a tokenizer's table");
    const auto version = static_cast<unsigned char>(data[4]);
    if (version > kVersion)
      throw BundleTooNew("tokenizer.bin: is of version " + std::to_string(version) +
                         "; this client reads 1: export it again with a newer EdgeBERT");
    at_ = 5;
  }

  /// An unsigned number: seven bits a byte, the lowest first.
  std::uint64_t number() {
    std::uint64_t found = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes(1)[0]);
      found |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return found;
    }
    fail("has a number of too many bytes");
  }

  /// An unsigned number below `limit`.
  std::uint32_t below(std::uint64_t limit) {
    const std::uint64_t found = number();
    if (found >= limit) fail("is damaged");
    return static_cast<std::uint32_t>(found);
  }

  /// Gives the first code point of each of some ranges, and the one behind its last, to `take`.
  template <typename Take>
  void ranges(Take take) {
    std::uint64_t end = 0;
    for (std::uint64_t left = number(); left > 0; --left) {
      const std::uint64_t start = end + below(kCodes);
      end = start + below(kCodes) + 1;
      if (end > kCodes) fail("is damaged");
      take(static_cast<char32_t>(start), static_cast<char32_t>(end));
    }
  }

  /// The code point at a signed distance from `code`; `distance` is packed.
  static char32_t shifted(std::uint64_t code, std::uint64_t distance) {
    const std::int64_t found = static_cast<std::int64_t>(code) + unpacked(distance);
    if (found < 0 || found >= kCodes) fail("is damaged");
    return static_cast<char32_t>(found);
  }

  std::u32string text() {
    try {
      return decode(bytes(number()));
    } catch (const TextError&) {
      fail("is damaged");
    }
  }

  /// Numbers of four bytes each, or of eight, after their count.
  std::vector<double> floats() {
    const std::uint64_t count = number(), width = number();
    if (width != 4 && width != 8) fail("is damaged");
    if (count > data_.size() / width) fail("is cut short");
    const std::string_view raw = bytes(count * width);
    std::vector<double> found;
    found.reserve(count);
    for (std::size_t i = 0; i < raw.size(); i += width) {
      std::uint64_t bits = 0;
      for (std::size_t k = 0; k < width; ++k)
        bits |= static_cast<std::uint64_t>(static_cast<unsigned char>(raw[i + k])) << 8 * k;
      found.push_back(width == 8 ? as<double>(bits) : as<float>(static_cast<std::uint32_t>(bits)));
    }
    return found;
  }

  [[noreturn]] static void fail(const std::string& what) { throw FileDamaged("tokenizer.bin: " + what); }

 private:
  template <typename Float, typename Bits>
  static Float as(Bits bits) {
    static_assert(sizeof(Float) == sizeof(Bits), "IEEE 754");
    Float found;
    std::memcpy(&found, &bits, sizeof found);
    return found;
  }

  std::string_view bytes(std::uint64_t count) {
    if (count > data_.size() - at_) fail("is cut short");
    at_ += count;
    return data_.substr(at_ - count, count);
  }

  std::string_view data_;
  std::size_t at_ = 0;
};

}  // namespace detail
}  // namespace edgebert
