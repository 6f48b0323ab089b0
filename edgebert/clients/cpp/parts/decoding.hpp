// From a model's raw outputs to answers, as on every other device.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "json.hpp"
#include "model.hpp"

namespace edgebert {
namespace detail {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Probabilities of logits.
template <typename Number>
std::vector<double> softmax(const Number* logits, std::size_t count) {
  std::vector<double> found(logits, logits + count);
  const double top = *std::max_element(found.begin(), found.end());
  for (double& one : found) one = std::exp(one - top);
  const double sum = std::accumulate(found.begin(), found.end(), 0.0);
  for (double& one : found) one /= sum;
  return found;
}

/// The logits of labels. Throws ModelError where the model gives another number of them.
inline const Output& logits_of(const Outputs& outputs, const std::string& name, std::size_t width) {
  const Output& found = outputs.at(name);
  if (found.width != width || found.values.empty())
    throw ModelError(name + ": " + std::to_string(found.width) + " values, where the manifest has " +
                     std::to_string(width));
  return found;
}

inline std::vector<Scored> named(const std::vector<std::string>& labels, const std::vector<double>& shares) {
  std::vector<Scored> found;
  for (std::size_t i = 0; i < labels.size(); ++i) found.push_back({labels[i], shares[i]});
  return found;
}

inline Classified one_label(const Outputs& outputs, const std::vector<std::string>& labels, const Json& decoding) {
  const Output& logits = logits_of(outputs, "logits", labels.size());
  const std::vector<double> shares = softmax(logits.row(0), logits.width);
  const auto best = static_cast<std::size_t>(std::max_element(shares.begin(), shares.end()) - shares.begin());
  Classified found{labels[best], shares[best], named(labels, shares), std::nullopt, false};
  if (const Json* threshold = decoding.given("threshold")) found.in_scope = found.score >= threshold->number();
  return found;
}

inline Labelled several_labels(const Outputs& outputs, const std::vector<std::string>& labels, const Json& decoding) {
  const Output& logits = logits_of(outputs, "logits", labels.size());
  const Json* thresholds = decoding.given("thresholds");
  const bool tuned = thresholds != nullptr && !thresholds->items().empty();
  std::vector<double> shares;
  for (const float logit : logits.values) shares.push_back(0.5 * (1 + std::tanh(0.5 * static_cast<double>(logit))));
  Labelled found{{}, named(labels, shares), false};
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (shares[i] >= (tuned ? thresholds->items().at(i).number() : 0.5)) found.labels.push_back(found.scores[i]);
  std::stable_sort(found.labels.begin(), found.labels.end(),
                   [](const Scored& a, const Scored& b) { return a.score > b.score; });
  return found;
}

/// A tag's kind, B, I, E, S or O, and its slot.
struct Tag {
  std::string kind, slot;
};

inline Tag tag_of(const std::string& label) {
  const std::size_t dash = label.find('-');
  return dash == std::string::npos ? Tag{label, ""} : Tag{label.substr(0, dash), label.substr(dash + 1)};
}

/// Tags of words as entities: slot, first word, last word. The rule is conlleval's: an entity goes on where I or E
/// follows B or I of the same slot, and every other tag but O begins one.
struct Chunk {
  std::string slot;
  std::size_t first, last;
};

inline std::vector<Chunk> chunks(const std::vector<Tag>& tags) {
  std::vector<Chunk> found;
  Tag before{"O", ""};
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const bool inner = tags[i].kind == "I" || tags[i].kind == "E";
    const bool open = before.kind == "B" || before.kind == "I";
    if (inner && open && tags[i].slot == before.slot)
      found.back().last = i;
    else if (tags[i].kind != "O")
      found.push_back({tags[i].slot, i, i});
    before = tags[i];
  }
  return found;
}

/// The most probable tags in which I- and E- follow B- or I- of their slot: the path of the largest product
/// (Viterbi). A slot that has no B- among the labels may begin with I-.
inline std::vector<std::size_t> well_formed(const std::vector<std::vector<double>>& shares,
                                            const std::vector<Tag>& tags) {
  const std::size_t count = tags.size();
  std::vector<bool> inner(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto begins = [&](const Tag& tag) { return tag.kind == "B" && tag.slot == tags[i].slot; };
    inner[i] = (tags[i].kind == "I" || tags[i].kind == "E") && std::any_of(tags.begin(), tags.end(), begins);
  }
  const auto allowed = [&](std::size_t from, std::size_t to) {
    return !inner[to] || ((tags[from].kind == "B" || tags[from].kind == "I") && tags[from].slot == tags[to].slot);
  };
  const auto log_of = [](double share) { return std::log(std::max(share, std::numeric_limits<double>::min())); };
  std::vector<double> path(count);
  for (std::size_t i = 0; i < count; ++i) path[i] = inner[i] ? -kInfinity : log_of(shares[0][i]);
  std::vector<std::vector<std::size_t>> back;
  for (std::size_t word = 1; word < shares.size(); ++word) {
    std::vector<double> next(count);
    back.emplace_back(count);
    for (std::size_t to = 0; to < count; ++to) {
      double best = -kInfinity;
      for (std::size_t from = 0; from < count; ++from)
        if (allowed(from, to) && path[from] > best) {
          best = path[from];
          back.back()[to] = from;
        }
      next[to] = best + log_of(shares[word][to]);
    }
    path = std::move(next);
  }
  std::vector<std::size_t> found(shares.size());
  found.back() = static_cast<std::size_t>(std::max_element(path.begin(), path.end()) - path.begin());
  for (std::size_t i = back.size(); i-- > 0;) found[i] = back[i][found[i + 1]];
  return found;
}

/// A span of a context in code points, and its logit.
struct Found {
  double logit;
  std::size_t start, end;
};

/// The best spans of a window, best first: all pairs of tokens within `longest` of each other.
inline std::vector<Found> best_spans(const Outputs& outputs, const Window& window, std::size_t longest,
                                     std::size_t most, std::u32string_view context) {
  const Output &starts = logits_of(outputs, "start_logits", 1), &ends = logits_of(outputs, "end_logits", 1);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < window.sequence.size(); ++i)
    if (window.sequence[i] == 1) places.push_back(i);
  if (starts.rows() < window.ids.size() || ends.rows() < window.ids.size())
    throw ModelError("start_logits: fewer than one a token");
  std::vector<Found> spans;  // of token numbers, until they are put into code points
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t k = i; k < std::min(i + longest, places.size()); ++k)
      spans.push_back({static_cast<double>(*starts.row(places[i])) + static_cast<double>(*ends.row(places[k])),
                       places[i], places[k]});
  const auto better = [](const Found& a, const Found& b) {
    return a.logit != b.logit ? a.logit > b.logit : std::make_pair(a.start, a.end) < std::make_pair(b.start, b.end);
  };
  const std::size_t kept = std::min(most, spans.size());
  std::partial_sort(spans.begin(), spans.begin() + static_cast<std::ptrdiff_t>(kept), spans.end(), better);
  spans.resize(kept);
  for (Found& one : spans) {
    const Range place = trimmed(context, window.tokens[one.start].start, window.tokens[one.end].end);
    one.start = place.start;
    one.end = place.end;
  }
  return spans;
}

}  // namespace detail
}  // namespace edgebert
