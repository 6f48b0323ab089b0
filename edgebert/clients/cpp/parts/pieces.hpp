// From a normalized word to the numbers of its pieces: WordPiece's longest match first, or unigram's likeliest.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "table.hpp"

namespace edgebert {
namespace detail {

/// A piece of a word: its number, its first character in the word, the one behind its last.
struct Cut {
  std::int64_t number;
  std::size_t first, behind;
};

/// Pieces by their characters, walked from the first one on.
class Trie {
 public:
  static constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();

  void add(std::u32string_view piece, std::int64_t number) {
    std::uint32_t node = 0;
    for (const char32_t character : piece) {
      const auto [found, fresh] =
          steps_.try_emplace(key(node, character), static_cast<std::uint32_t>(numbers_.size()));
      if (fresh) numbers_.push_back(-1);
      node = found->second;
    }
    numbers_[node] = number;
  }

  std::uint32_t step(std::uint32_t node, char32_t character) const {
    const auto found = steps_.find(key(node, character));
    return found == steps_.end() ? kNowhere : found->second;
  }

  /// The number of the piece that ends at a node; -1 where none does.
  std::int64_t number(std::uint32_t node) const { return numbers_[node]; }

 private:
  static std::uint64_t key(std::uint32_t node, char32_t character) {
    return static_cast<std::uint64_t>(node) << 21 | character;
  }

  std::unordered_map<std::uint64_t, std::uint32_t> steps_;
  std::vector<std::int64_t> numbers_ = {-1};
};

/// BERT's: from the left, the longest piece that there is; a word with a part that is none is unknown.
class WordPiece {
 public:
  WordPiece(Table& table, const std::vector<std::u32string>& vocabulary, std::int64_t unknown)
      : longest_word_(table.number()), unknown_(unknown) {
    const std::u32string prefix = table.text();
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
      const std::u32string& piece = vocabulary[i];
      first_.add(piece, static_cast<std::int64_t>(i));
      if (piece.compare(0, prefix.size(), prefix) == 0)
        inner_.add(std::u32string_view(piece).substr(prefix.size()), static_cast<std::int64_t>(i));
    }
  }

  std::vector<Cut> cut(std::u32string_view word) const {
    const std::vector<Cut> none = {{unknown_, 0, word.size()}};
    if (word.size() > longest_word_) return none;
    std::vector<Cut> found;
    for (std::size_t start = 0; start < word.size(); start = found.back().behind) {
      const Trie& known = start == 0 ? first_ : inner_;
      Cut best{-1, start, start};
      std::uint32_t node = 0;
      for (std::size_t end = start; end < word.size();) {
        node = known.step(node, word[end++]);
        if (node == Trie::kNowhere) break;
        if (known.number(node) >= 0) best = {known.number(node), start, end};
      }
      if (best.number < 0) return none;
      found.push_back(best);
    }
    return found;
  }

 private:
  std::uint64_t longest_word_;
  std::int64_t unknown_;
  Trie first_, inner_;
};

/// SentencePiece's: the cut of the largest sum of scores (Viterbi); unknown characters side by side are one.
///
/// A word has a prefix in front of it, for the space it stands for, and is cut before each that it holds.
class Unigram {
 public:
  Unigram(Table& table, const std::vector<std::u32string>& vocabulary, std::int64_t unknown)
      : prefix_(table.text()), prepended_(table.number() != 0), scores_(table.floats()), unknown_(unknown) {
    if (prefix_.empty() || scores_.size() < vocabulary.size()) Table::fail("does not fit vocab.txt");
    for (std::size_t i = 0; i < vocabulary.size(); ++i) pieces_.add(vocabulary[i], static_cast<std::int64_t>(i));
    worst_ = (scores_.empty() ? 0.0 : *std::min_element(scores_.begin(), scores_.end())) - kUnknownPenalty;
  }

  std::vector<Cut> cut(std::u32string_view word) const {
    const bool prefixed = !prepended_ || word.substr(0, prefix_.size()) == prefix_;
    const std::size_t added = prefixed ? 0 : prefix_.size();
    const std::u32string whole = prefixed ? std::u32string(word) : prefix_ + std::u32string(word);
    std::vector<Cut> found;
    for (std::size_t start = 0, end; start < whole.size(); start = end) {
      end = std::min(whole.find(prefix_, start + 1), whole.size());
      for (const Cut& one : best(std::u32string_view(whole).substr(start, end - start)))
        found.push_back({one.number, less(start + one.first, added), less(start + one.behind, added)});
    }
    return found;
  }

 private:
  struct Reached {
    double sum = 0;
    std::size_t from = kNever;
    std::int64_t number = 0;
  };

  static constexpr double kUnknownPenalty = 10;  // below the rarest piece: sentencepiece's kUnkPenalty
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  static std::size_t less(std::size_t place, std::size_t added) { return place > added ? place - added : 0; }

  std::vector<Cut> best(std::u32string_view part) const {
    std::vector<Reached> reached(part.size() + 1);
    const auto reach = [&](std::size_t end, std::size_t start, double score, std::int64_t number) {
      const double total = score + reached[start].sum;
      if (reached[end].from == kNever || total > reached[end].sum) reached[end] = {total, start, number};
    };
    for (std::size_t start = 0; start < part.size(); ++start) {
      bool alone = false;
      std::uint32_t node = 0;
      for (std::size_t end = start + 1; end <= part.size(); ++end) {
        node = pieces_.step(node, part[end - 1]);
        if (node == Trie::kNowhere) break;
        const std::int64_t number = pieces_.number(node);
        if (number < 0) continue;
        reach(end, start, scores_[static_cast<std::size_t>(number)], number);
        alone = alone || end == start + 1;
      }
      if (!alone) reach(start + 1, start, worst_, unknown_);
    }
    return path(reached);
  }

  std::vector<Cut> path(const std::vector<Reached>& reached) const {
    std::vector<Cut> found;
    for (std::size_t end = reached.size() - 1; end > 0; end = reached[end].from) {
      const Reached& here = reached[end];
      if (!found.empty() && here.number == unknown_ && found.back().number == unknown_)
        found.back().first = here.from;
      else
        found.push_back({here.number, here.from, end});
    }
    std::reverse(found.begin(), found.end());
    return found;
  }

  std::u32string prefix_;
  bool prepended_;
  std::vector<double> scores_;
  std::int64_t unknown_;
  double worst_ = 0;
  Trie pieces_;
};

using Pieces = std::variant<WordPiece, Unigram>;

}  // namespace detail
}  // namespace edgebert
