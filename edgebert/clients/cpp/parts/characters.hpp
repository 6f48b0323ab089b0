// What the tokenizer's normalizer and splitter make of text, code point by code point.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "table.hpp"

namespace edgebert {
namespace detail {

/// A normalized word, and the code point of the text that each of its characters comes from.
struct Word {
  std::u32string spelled;
  std::vector<std::size_t> places;
};

/// The table's part that splits text into normalized words.
class Characters {
 public:
  explicit Characters(Table& table) {
    for (std::uint64_t left = table.number(); left > 0; --left) {
      std::u32string pattern = table.text(), other = table.text();
      if (!pattern.empty()) replaced_.emplace_back(std::move(pattern), std::move(other));
    }
    for (std::uint64_t left = table.number(); left > 0; --left) {
      const char32_t first = table.below(kCodes);
      swallowed_.insert(pair(first, table.below(kCodes)));
    }
    table.ranges([&](char32_t start, char32_t end) { read_range(table, start, end); });
  }

  /// Gives the normalized words of a text to `take`, until that is false.
  template <typename Take>
  void words(std::u32string_view text, Take take) const {
    if (replaced_.empty()) {
      split(text, [](std::size_t place) { return place; }, take);
      return;
    }
    const Replaced read = replaced(text);
    split(read.text, [&](std::size_t place) { return read.places[place]; }, take);
  }

 private:
  enum Kind : std::uint8_t { kSpace, kAlone, kDropped, kBreaks, kShifted, kSpelled, kHangul, kMarkRange };
  enum What : std::uint8_t { kWordPart, kBlank, kStandsAlone, kMark };  // of a character, to the splitter

  struct Output {
    char32_t character;
    What what;
  };

  struct CodeRange {
    char32_t start, end;
    Kind kind;
    std::uint64_t payload;  // a packed distance, a mark's order, or where a spelled range begins in spellings_
  };

  struct Mark {
    std::uint64_t order;
    char32_t character;
    std::size_t place;
  };

  struct Replaced {
    std::u32string text;
    std::vector<std::size_t> places;
  };

  static std::uint64_t pair(char32_t first, char32_t second) {
    return static_cast<std::uint64_t>(first) << 32 | second;
  }

  void read_range(Table& table, char32_t start, char32_t end) {
    const Kind kind = static_cast<Kind>(table.below(kMarkRange + 1));
    CodeRange range{start, end, kind, 0};
    if (kind == kAlone || kind == kShifted) {
      range.payload = table.number();
      Table::shifted(start, range.payload);
      Table::shifted(end - 1, range.payload);
    } else if (kind == kMarkRange) {
      range.payload = table.number();
    } else if (kind == kHangul && (start < kHangulFirst || end > kHangulLast + 1)) {
      Table::fail("is damaged");
    } else if (kind == kSpelled) {
      range.payload = spellings_.size();
      for (char32_t code = start; code < end; ++code) read_spelling(table, code);
    }
    ranges_.push_back(range);
  }

  void read_spelling(Table& table, char32_t code) {
    spellings_.push_back(outputs_.size());
    for (std::uint64_t left = table.number(); left > 0; --left) {
      const std::uint64_t packed = table.number();
      outputs_.push_back({Table::shifted(code, packed >> 2), static_cast<What>(packed & 3)});
    }
    ends_.push_back(outputs_.size());
  }

  /// The range that holds a code point; null where none does.
  const CodeRange* range_of(char32_t code) const {
    const auto above = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                                        [](char32_t one, const CodeRange& range) { return one < range.start; });
    return above == ranges_.begin() || code >= (above - 1)->end ? nullptr : &*(above - 1);
  }

  std::uint64_t order(char32_t mark) const {
    const CodeRange* range = range_of(mark);
    return range != nullptr && range->kind == kMarkRange ? range->payload : 0;
  }

  /// Gives what becomes of a character to `take`.
  template <typename Take>
  void outputs(char32_t code, const CodeRange* range, Take take) const {
    if (range == nullptr) return take(Output{code, kWordPart});
    switch (range->kind) {
      case kSpace: return take(Output{U' ', kBlank});
      case kAlone: return take(Output{Table::shifted(code, range->payload), kStandsAlone});
      case kShifted: return take(Output{Table::shifted(code, range->payload), kWordPart});
      case kMarkRange: return take(Output{code, kMark});
      case kHangul: return hangul(code, take);
      case kSpelled: {
        const std::size_t which = range->payload + (code - range->start);
        for (std::size_t i = spellings_[which]; i < ends_[which]; ++i) take(outputs_[i]);
        return;
      }
      default: return;  // dropped
    }
  }

  /// The letters of a Hangul syllable (Unicode, section 3.12).
  template <typename Take>
  static void hangul(char32_t code, Take take) {
    constexpr char32_t kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7, kVowels = 21, kTails = 28;
    const char32_t number = code - kHangulFirst, tail = number % kTails;
    take(Output{kLead + number / (kVowels * kTails), kWordPart});
    take(Output{kVowel + number % (kVowels * kTails) / kTails, kWordPart});
    if (tail != 0) take(Output{kTail + tail, kWordPart});
  }

  /// The text after what is replaced before all else, and the places of its characters in the one before.
  Replaced replaced(std::u32string_view text) const {
    Replaced read{std::u32string(text), std::vector<std::size_t>(text.size())};
    for (std::size_t i = 0; i < text.size(); ++i) read.places[i] = i;
    for (const auto& [pattern, other] : replaced_) {
      Replaced made;
      std::size_t at = 0;
      const auto copy = [&](std::size_t end) {
        made.text.append(read.text, at, end - at);
        made.places.insert(made.places.end(), read.places.begin() + static_cast<std::ptrdiff_t>(at),
                           read.places.begin() + static_cast<std::ptrdiff_t>(end));
      };
      for (std::size_t hit; (hit = read.text.find(pattern, at)) != std::u32string::npos; at = hit + pattern.size()) {
        copy(hit);
        made.text += other;
        made.places.insert(made.places.end(), other.size(), read.places[hit + pattern.size() - 1]);
      }
      if (at == 0) continue;
      copy(read.text.size());
      read = std::move(made);
    }
    return read;
  }

  template <typename Place, typename Take>
  void split(std::u32string_view text, Place place_of, Take take) const {
    Word word;
    std::vector<Mark> marks;
    bool more = true;
    const auto put = [&](char32_t character, std::size_t place) {
      word.spelled.push_back(character);
      word.places.push_back(place);
    };
    const auto flush = [&] {
      if (marks.empty()) return;
      std::stable_sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) { return a.order < b.order; });
      for (const Mark& mark : marks) put(mark.character, mark.place);
      marks.clear();
    };
    const auto end = [&] {
      flush();
      if (!word.spelled.empty() && more) more = take(static_cast<const Word&>(word));
      word.spelled.clear();
      word.places.clear();
    };
    char32_t before = kCodes;  // no code point
    for (std::size_t i = 0; i < text.size() && more; ++i) {
      const CodeRange* range = range_of(text[i]);
      if (range != nullptr && range->kind == kDropped) continue;
      const bool gone = !swallowed_.empty() && swallowed_.count(pair(before, text[i])) > 0;
      before = text[i];
      if (gone) continue;
      const std::size_t place = place_of(i);
      if (range != nullptr && range->kind == kBreaks) flush();
      outputs(text[i], range, [&](Output output) {
        if (output.what == kMark) {
          marks.push_back({order(output.character), output.character, place});
          return;
        }
        flush();
        if (output.what != kWordPart) end();
        if (output.what != kBlank) put(output.character, place);
        if (output.what == kStandsAlone) end();
      });
    }
    end();
  }

  static constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;

  std::vector<std::pair<std::u32string, std::u32string>> replaced_;
  std::unordered_set<std::uint64_t> swallowed_;
  std::vector<CodeRange> ranges_;             // ascending
  std::vector<std::size_t> spellings_, ends_;  // of each spelled code point, its part of outputs_
  std::vector<Output> outputs_;
};

}  // namespace detail
}  // namespace edgebert
