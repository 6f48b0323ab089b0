// The words of a text as entities are read from them.

#pragma once

#include <cstddef>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer.hpp"
#include "unicode.hpp"

namespace edgebert {
namespace detail {

/// A piece of a window that is more than white space: its position, where it is in the text, its word.
struct Piece {
  std::size_t position, start, end, word;
};

inline std::vector<Piece> pieces_of(std::u32string_view text, const Window& window) {
  std::vector<Piece> found;
  for (std::size_t i = 0; i < window.tokens.size(); ++i) {
    if (window.sequence[i] == Window::kSpecial) continue;
    const Range place = trimmed(text, window.tokens[i].start, window.tokens[i].end);
    if (place.start < place.end) found.push_back({i, place.start, place.end, window.tokens[i].word});
  }
  return found;
}

/// Whether a piece at `start` goes on with the word that ends at `end`, `whole` to the tokenizer's splitter.
inline bool goes_on(std::u32string_view text, std::size_t start, std::size_t end, bool whole,
                    const Tokenizer& tokenizer) {
  const std::u32string_view beside = start == 0 ? std::u32string_view() : text.substr(start - 1, 2);
  if (start == end && beside.find(U'_') != std::u32string_view::npos) return true;
  if (!whole) return false;
  for (const char32_t character : beside)
    if (tokenizer.is_sign(character)) return false;
  return true;
}

using Words = std::multimap<std::size_t, std::size_t>;  // starts and ends: a symbol spelled out may be two words

/// The words of a text, from the windows that hold all of it.
///
/// A word begins where the tokenizer's splitter says so, and at and after every punctuation mark or symbol; but an
/// underscore parts nothing, it is a letter of names.
inline Words words_of(std::u32string_view text, const std::vector<Window>& windows, const Tokenizer& tokenizer) {
  std::vector<Range> words;
  Words found;
  std::size_t read = 0, before = Window::kSpecial;
  for (const Window& window : windows) {
    for (const Piece& piece : pieces_of(text, window)) {
      if (piece.end <= read) continue;  // in the window before too, or one of several pieces of one character
      if (!words.empty() && goes_on(text, piece.start, words.back().end, piece.word == before, tokenizer))
        words.back().end = piece.end;
      else
        words.push_back({piece.start, piece.end});
      read = piece.end;
      before = piece.word;
    }
  }
  for (const Range& word : words) found.emplace(word.start, word.end);
  return found;
}

/// The position of its first piece in a window, for each word that begins there.
inline std::vector<std::pair<std::size_t, Range>> positions(std::u32string_view text, const Window& window,
                                                           const Words& words) {
  std::map<std::size_t, std::size_t> first;
  for (const Piece& piece : pieces_of(text, window)) first.emplace(piece.start, piece.position);
  std::vector<std::pair<std::size_t, Range>> found;
  for (const auto& [start, position] : first) {
    const auto [begin, end] = words.equal_range(start);
    for (auto word = begin; word != end; ++word) found.emplace_back(position, Range{word->first, word->second});
  }
  return found;
}

}  // namespace detail
}  // namespace edgebert
