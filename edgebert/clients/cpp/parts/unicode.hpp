// UTF-8, and the little of Unicode that is asked beside the tokenizer's table: white space and letters.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "errors.hpp"
#include "unicode_ranges.hpp"

namespace edgebert {
namespace detail {

/// A code point at the start of `bytes` and how many bytes it takes; 0 bytes where they are not well-formed.
struct Decoded {
  char32_t code;
  std::size_t bytes;
};

inline Decoded decode_one(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes.size() < size) return {0, 0};
  char32_t code = lead & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return overlong || surrogate || code > 0x10FFFF ? Decoded{0, 0} : Decoded{code, size};
}

/// The code points of a text. Throws TextError naming the first byte that is not well-formed UTF-8.
inline std::u32string decode(std::string_view text) {
  std::u32string found;
  found.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded one = decode_one(text.substr(at));
    if (one.bytes == 0) throw TextError("is not well-formed UTF-8 at byte " + std::to_string(at));
    found.push_back(one.code);
    at += one.bytes;
  }
  return found;
}

inline void append(std::string& out, char32_t code) {
  const auto put = [&](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

/// How many bytes a code point takes.
inline std::size_t size_of(char32_t code) { return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; }

inline std::string encode(std::u32string_view text) {
  std::string found;
  found.reserve(text.size());
  for (const char32_t code : text) append(found, code);
  return found;
}

/// Code points of some kind, as ascending ranges.
class Ranges {
 public:
  /// Adds the code points from `start` up to before `end`.
  void add(char32_t start, char32_t end) {
    edges_.push_back(start);
    edges_.push_back(end);
  }

  bool has(char32_t code) const {
    const auto edge = std::upper_bound(edges_.begin(), edges_.end(), code);
    return (edge - edges_.begin()) % 2 == 1;
  }

 private:
  std::vector<char32_t> edges_;  // first code point inside, first one behind, and so on
};

/// A letter, digit or underscore.
inline bool is_word(char32_t code) {
  static const Ranges ranges = [] {
    Ranges made;
    char32_t at = 0;
    for (std::size_t i = 0; i + 1 < kWordSteps.size(); i += 2) {
      const char32_t start = at + kWordSteps[i];
      made.add(start, at = start + kWordSteps[i + 1]);
    }
    return made;
  }();
  return ranges.has(code);
}

/// Unicode's White_Space.
inline bool is_white(char32_t code) {
  return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

/// White space as Python's str.strip takes it: the four information separators too.
inline bool is_blank(char32_t code) { return is_white(code) || (code >= 0x1C && code <= 0x1F); }

/// Where a part of a text is, in code points, without the white space at its ends.
struct Range {
  std::size_t start, end;
};

inline Range trimmed(std::u32string_view text, std::size_t start, std::size_t end) {
  std::size_t last = end;
  while (last > start && is_blank(text[last - 1])) --last;
  if (last == start) return {end, start};  // nothing but white space: empty, as end <= start
  while (is_blank(text[start])) ++start;
  return {start, last};
}

}  // namespace detail
}  // namespace edgebert
