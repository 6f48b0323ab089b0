// What the tokenizer gives and the model reads.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace edgebert {

/// A token of a text: its number, its first code point in the text, the one behind its last, and its word.
struct Token {
  std::int64_t id;
  std::size_t start, end, word;
};

/// What the model reads at once, special tokens included.
struct Window {
  static constexpr std::size_t kSpecial = std::numeric_limits<std::size_t>::max();

  std::vector<std::int64_t> ids, types;
  bool truncated = false;
  std::vector<Token> tokens;         // of encode_windows: one for each id, in its own text
  std::vector<std::size_t> sequence;  // likewise: 0 the first text, 1 the second, kSpecial neither
};

}  // namespace edgebert
