// The model's tokenizer, token for token that of Hugging Face, from tokenizer.bin and vocab.txt.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "characters.hpp"
#include "files.hpp"
#include "pieces.hpp"
#include "window.hpp"

namespace edgebert {
/// A bundle's tokenizer; reading it is safe from any number of threads.
///
/// Special tokens that stand in a text are themselves, as the model's own tokenizer has them. Texts are cut to
/// `max_tokens`, [CLS] and [SEP] among them; of a pair the longer text gives way first.
class Tokenizer {
 public:
  /// Throws FileMissing, FileDamaged, BundleTooNew.
  Tokenizer(const std::filesystem::path& folder, std::size_t max_tokens)
      : Tokenizer(detail::read_file(folder / "tokenizer.bin"), detail::read_file(folder / "vocab.txt"), max_tokens) {}

  /// From the contents of both files.
  Tokenizer(std::string_view table, std::string_view vocabulary, std::size_t max_tokens)
      : Tokenizer(detail::Table(table), lines(vocabulary), max_tokens) {}

  /// Token ids of a text in UTF-8, or of a pair. Throws TextError where it is ill-formed.
  Window encode(std::string_view text) const { return encode(detail::decode(text)); }
  Window encode(std::string_view text, std::string_view pair) const {
    return encode(detail::decode(text), detail::decode(pair));
  }

  Window encode(const std::u32string& text) const {
    const std::size_t room = max_tokens_ - 2;
    std::vector<std::int64_t> found = ids(text, room + 1);
    const bool cut = found.size() > room;
    if (cut) found.resize(room);
    Window made = around({found});
    made.truncated = cut;
    return made;
  }

  Window encode(const std::u32string& text, const std::u32string& pair) const {
    constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
    std::vector<std::int64_t> first = ids(text, kAll), second = ids(pair, kAll);
    const auto [keep, also] = kept(first.size(), second.size(), max_tokens_ - 3);
    const bool cut = keep + also < first.size() + second.size();
    first.resize(keep);
    second.resize(also);
    Window made = around({first, second});
    made.truncated = cut;
    return made;
  }

  /// Token ids of a text of any length, in as many windows as it takes, each with the question, if any, before it.
  ///
  /// Neighbours share `stride` tokens of the text, but no more than half of what a window holds of it. A question
  /// of more than half a window is cut, which alone is told as `truncated`.
  std::vector<Window> encode_windows(const std::u32string& text, std::size_t stride,
                                     const std::u32string* question = nullptr) const {
    const std::size_t room = max_tokens_ - (question == nullptr ? 2 : 3);
    std::vector<Token> asked;
    bool cut = false;
    if (question != nullptr) {
      std::u32string shorter = *question;
      for (asked = placed(shorter); asked.size() > room / 2; asked = placed(shorter), cut = true)
        shorter.resize(asked[room / 2].start);
    }
    const std::vector<Token> found = placed(text);
    const std::size_t holds = room - asked.size(), step = holds - std::min(stride, holds / 2);
    std::vector<Window> windows;
    for (std::size_t start = 0; windows.empty() || start - step + holds < found.size(); start += step) {
      const std::size_t begin = std::min(start, found.size()), end = std::min(start + holds, found.size());
      const auto at = [&](std::size_t i) { return found.begin() + static_cast<std::ptrdiff_t>(i); };
      std::vector<std::vector<Token>> parts;
      if (question != nullptr) parts.push_back(asked);
      parts.emplace_back(at(begin), at(end));
      windows.push_back(window(parts, cut));
    }
    return windows;
  }

  /// Whether a character is a punctuation mark or a symbol.
  bool is_sign(char32_t character) const { return signs_.has(character); }

  /// All tokens of a text with their places, without special ones around it.
  std::vector<Token> placed(std::u32string_view text) const {
    std::vector<Token> found;
    std::size_t word = 0;
    for (const Part& part : parts(text)) {
      if (part.added >= 0) {
        found.push_back({part.added, part.begin, part.end, word++});
        continue;
      }
      characters_.words(text.substr(part.begin, part.end - part.begin), [&](const detail::Word& one) {
        for (const detail::Cut& piece : cut(one.spelled)) {
          const std::size_t last = one.places[std::max(piece.first + 1, piece.behind) - 1] + 1;
          found.push_back({piece.number, part.begin + one.places[piece.first], part.begin + last, word});
        }
        ++word;
        return true;
      });
    }
    return found;
  }

 private:
  enum Flag : std::uint64_t { kTakesBefore = 1, kTakesBehind = 2, kWholeWord = 4 };

  struct Added {
    std::u32string text;
    std::int64_t number;
    std::uint64_t flags;
  };

  struct Part {
    std::size_t begin, end;
    std::int64_t added;  // the number of an added token; -1 for text between them
  };

  Tokenizer(detail::Table table, const std::vector<std::u32string>& vocabulary, std::size_t max_tokens)
      : max_tokens_(max_tokens),
        kind_(table.below(2)),
        cls_(table.below(kMostPieces)),
        sep_(table.below(kMostPieces)),
        unknown_(table.below(kMostPieces)),
        second_(table.below(kMostPieces)),
        added_(added(table)),
        characters_(table),
        pieces_(opened(kind_, table, vocabulary, unknown_)) {
    table.ranges([&](char32_t start, char32_t end) { signs_.add(start, end); });
    if (max_tokens < 8) detail::Table::fail("max_tokens is too small");
    auto count = static_cast<std::int64_t>(vocabulary.size());
    for (const Added& one : added_) count = std::max(count, one.number + 1);
    if (std::max({cls_, sep_, unknown_}) >= count) detail::Table::fail("does not fit vocab.txt");
  }

  static constexpr std::uint32_t kMostPieces = 0x7FFFFFFF;  // ids of int32 hold no more

  static std::vector<std::u32string> lines(std::string_view vocabulary) {
    std::vector<std::u32string> found;
    try {
      for (std::size_t end; (end = vocabulary.find('\n')) != std::string_view::npos; vocabulary.remove_prefix(end + 1))
        found.push_back(detail::decode(vocabulary.substr(0, end)));
    } catch (const TextError&) {
      throw FileDamaged("vocab.txt: is not UTF-8");
    }
    return found;
  }

  /// The longest first; of equal ones, the first that was told. Of a text that is there twice, the last number.
  static std::vector<Added> added(detail::Table& table) {
    std::vector<Added> found;
    for (std::uint64_t left = table.number(); left > 0; --left) {
      std::u32string text = table.text();
      const std::int64_t number = table.below(kMostPieces);
      const std::uint64_t flags = table.number();
      if (text.empty()) continue;
      const auto same = std::find_if(found.begin(), found.end(), [&](const Added& one) { return one.text == text; });
      if (same == found.end())
        found.push_back({std::move(text), number, flags});
      else
        *same = {std::move(text), number, flags};
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Added& a, const Added& b) { return a.text.size() > b.text.size(); });
    return found;
  }

  static detail::Pieces opened(std::uint32_t kind, detail::Table& table,
                               const std::vector<std::u32string>& vocabulary, std::int64_t unknown) {
    if (kind == 0) return detail::WordPiece(table, vocabulary, unknown);
    return detail::Unigram(table, vocabulary, unknown);
  }

  std::vector<detail::Cut> cut(std::u32string_view word) const {
    return std::visit([&](const auto& pieces) { return pieces.cut(word); }, pieces_);
  }

  /// The first `most` tokens of a text, without special ones around it.
  std::vector<std::int64_t> ids(std::u32string_view text, std::size_t most) const {
    std::vector<std::int64_t> found;
    for (const Part& part : parts(text)) {
      if (part.added >= 0) {
        found.push_back(part.added);
      } else {
        characters_.words(text.substr(part.begin, part.end - part.begin), [&](const detail::Word& one) {
          for (const detail::Cut& piece : cut(one.spelled)) found.push_back(piece.number);
          return found.size() < most;
        });
      }
      if (found.size() >= most) break;
    }
    if (found.size() > most) found.resize(most);
    return found;
  }

  /// The text between added tokens, and those.
  std::vector<Part> parts(std::u32string_view text) const {
    std::vector<Part> found;
    std::size_t behind = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto hit = std::find_if(added_.begin(), added_.end(), [&](const Added& one) {
        return one.text[0] == text[at] && text.substr(at, one.text.size()) == one.text;
      });
      if (hit == added_.end()) {
        ++at;
        continue;
      }
      std::size_t begin = at, end = at + hit->text.size();
      at = end;
      if ((hit->flags & kWholeWord) && touched(text, begin, end)) continue;
      if (hit->flags & kTakesBefore) {
        while (begin > 0 && detail::is_white(text[begin - 1])) --begin;
        begin = std::max(begin, behind);
      }
      if (hit->flags & kTakesBehind)
        while (end < text.size() && detail::is_white(text[end])) ++end;
      if (behind < begin) found.push_back({behind, begin, -1});
      found.push_back({begin, end, hit->number});
      behind = end;
    }
    if (behind < text.size() || found.empty()) found.push_back({behind, text.size(), -1});
    return found;
  }

  /// Whether a letter or digit touches a part of a text.
  static bool touched(std::u32string_view text, std::size_t begin, std::size_t end) {
    return (begin > 0 && detail::is_word(text[begin - 1])) || (end < text.size() && detail::is_word(text[end]));
  }

  Window window(const std::vector<std::vector<Token>>& parts, bool cut) const {
    std::vector<std::vector<std::int64_t>> ids;
    for (const std::vector<Token>& part : parts) {
      ids.emplace_back();
      for (const Token& token : part) ids.back().push_back(token.id);
    }
    Window made = around(ids);
    made.truncated = cut;
    made.tokens.push_back({cls_, 0, 0, Window::kSpecial});
    made.sequence.push_back(Window::kSpecial);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      made.tokens.insert(made.tokens.end(), parts[i].begin(), parts[i].end());
      made.tokens.push_back({sep_, 0, 0, Window::kSpecial});
      made.sequence.insert(made.sequence.end(), parts[i].size(), i);
      made.sequence.push_back(Window::kSpecial);
    }
    return made;
  }

  /// [CLS] text [SEP], or [CLS] text [SEP] second [SEP].
  Window around(const std::vector<std::vector<std::int64_t>>& parts) const {
    Window made;
    made.ids.push_back(cls_);
    made.types.push_back(0);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      made.ids.insert(made.ids.end(), parts[i].begin(), parts[i].end());
      made.ids.push_back(sep_);
      made.types.insert(made.types.end(), parts[i].size() + 1, i == 0 ? 0 : second_);
    }
    return made;
  }

  /// How many tokens of two texts are kept where both must fit: the shorter whole, if it takes half at most.
  static std::pair<std::size_t, std::size_t> kept(std::size_t first, std::size_t second, std::size_t room) {
    if (first + second <= room) return {first, second};
    std::size_t shorter = std::min(first, second);
    std::size_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
    if (shorter + longer > room) {
      shorter = room / 2;
      longer = room / 2 + room % 2;
    }
    return first > second ? std::make_pair(longer, shorter) : std::make_pair(shorter, longer);
  }

  std::size_t max_tokens_;
  std::uint32_t kind_;
  std::int64_t cls_, sep_, unknown_, second_;
  std::vector<Added> added_;
  detail::Characters characters_;
  detail::Pieces pieces_;
  detail::Ranges signs_;
};

}  // namespace edgebert
