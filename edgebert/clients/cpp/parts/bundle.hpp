// A bundle: from texts in UTF-8 to answers.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "decoding.hpp"
#include "manifest.hpp"
#include "model.hpp"
#include "reading.hpp"
#include "tokenizer.hpp"

namespace edgebert {

/// An opened bundle. Its functions may be called by any number of threads at once; it frees what it holds by itself.
///
/// They throw TextError for a text that is empty or not well-formed UTF-8, TaskNotServed where the bundle's task is
/// another one, and ModelError. A text that is too long is answered from its beginning, and told as `truncated`;
/// entities and answers are looked for in all of it.
class Bundle {
 public:
  /// Opens a folder with manifest.json, tokenizer.bin, vocab.txt and the model file.
  ///
  /// Throws FileMissing, FileDamaged, BundleTooNew, TaskNotServed, ModelError.
  explicit Bundle(const std::filesystem::path& folder, int threads = 1)
      : manifest_(detail::read_manifest(folder)),
        decoding_(manifest_.at("decoding")),
        labels_(detail::labels_of(manifest_)),
        tokenizer_(folder, static_cast<std::size_t>(decoding_.at("max_tokens").integer())),
        model_(opened(folder, manifest_, threads)) {}

  const std::string& task() const { return manifest_.at("task").text(); }
  const std::vector<std::string>& labels() const { return labels_; }
  const Json& manifest() const { return manifest_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

  /// text-classification: the likeliest label.
  Classified classify(std::string_view text) const {
    served("text-classification", !several_labels(), "several labels may hold: call labels_that_hold");
    return classified(tokenizer_.encode(checked(text, "text")));
  }

  /// sentence-pairs: the likeliest label of two texts.
  Classified classify(std::string_view text, std::string_view pair) const {
    served("sentence-pairs");
    return classified(tokenizer_.encode(checked(text, "text"), checked(pair, "text_pair")));
  }

  /// text-classification where several labels may hold: those whose probability reaches their threshold.
  Labelled labels_that_hold(std::string_view text) const {
    served("text-classification", several_labels(), "one label holds: call classify");
    const Window window = tokenizer_.encode(checked(text, "text"));
    Labelled found = detail::several_labels(model_.run(window), labels_, decoding_);
    found.truncated = window.truncated;
    return found;
  }

  /// regression: the number that fits a text, or two.
  Rated rate(std::string_view text) const {
    served("regression", !pairs(), "it was trained on pairs: give two texts");
    return rated(tokenizer_.encode(checked(text, "text")));
  }

  Rated rate(std::string_view text, std::string_view pair) const {
    served("regression", pairs(), "it was trained on texts alone: give one");
    return rated(tokenizer_.encode(checked(text, "text"), checked(pair, "text_pair")));
  }

  /// feature-extraction: the vector of a text, of the length 1. Passages are what texts are searched in.
  Embedded embed(std::string_view text) const { return embedded(text, "text", "query_prefix"); }
  Embedded embed_passage(std::string_view text) const { return embedded(text, "text_pair", "passage_prefix"); }

  /// token-classification: the entities of a text, in its order.
  Entities entities(std::string_view text) const {
    served("token-classification");
    const std::u32string read = checked(text, "text");
    const std::vector<Window> windows = tokenizer_.encode_windows(read, stride());
    const detail::Words words = detail::words_of(read, windows, tokenizer_);
    std::map<std::pair<std::size_t, std::size_t>, Seen> seen;
    for (const Window& window : windows) {
      const detail::Outputs outputs = model_.run(window);
      const detail::Output& logits = detail::logits_of(outputs, "logits", labels_.size());
      for (const auto& [position, word] : detail::positions(read, window, words)) {
        const std::size_t around = std::min(position, logits.rows() - 1 - position);  // the window that shows most
        Seen& held = seen[{word.start, word.end}];
        if (!held.shares.empty() && around <= held.around) continue;
        held = {around, detail::softmax(logits.row(position), logits.width)};
      }
    }
    return {entities_of(read, seen), false};
  }

  /// question-answering: the span of a context that answers a question best, or none.
  Answered answer(std::string_view question, std::string_view context) const;

  /// The answer to a row with the task's columns, as `edgebert predict --json` tells it: offsets in code points.
  ///
  /// Throws TextError also where a column is missing.
  Json predict(const Json& row) const;

  /// The answer to a text; of tasks that read two, TextError.
  Json predict(std::string_view text) const {
    if (task() == "question-answering" || task() == "sentence-pairs" || (task() == "regression" && pairs()))
      throw TextError("is plain text; " + task() + " reads two: give a JSON object");
    return predict(Json::object().set("text", Json::of(std::string(text))));
  }

 private:
  /// A word in the window that shows most around it, and the probabilities of its tags.
  struct Seen {
    std::size_t around = 0;
    std::vector<double> shares;
  };

  static detail::Model opened(const std::filesystem::path& folder, const Json& manifest, int threads) {
    try {
      const std::string& wanted = manifest.at("default_model").text();
      for (const Json& entry : manifest.at("models").items()) {
        if (entry.at("id").text() != wanted) continue;
        if (entry.at("format").text() != "onnx") throw FileDamaged("manifest.json: its model is no ONNX file");
        return detail::Model(folder, entry, threads);
      }
      throw JsonError("has no model '" + wanted + "'");
    } catch (const JsonError& error) {
      throw FileDamaged(std::string("manifest.json: ") + error.what());
    } catch (const std::out_of_range&) {
      throw FileDamaged("manifest.json: its model's signature has no inputs");
    }
  }

  /// Throws TaskNotServed.
  void served(std::string_view wanted, bool fits = true, const char* otherwise = "") const {
    if (task() != wanted) throw TaskNotServed("the bundle's task is " + task() + ", not " + std::string(wanted));
    if (!fits) throw TaskNotServed(otherwise);
  }

  bool several_labels() const { return decoding_.given("multi_label") && decoding_.at("multi_label").boolean(); }
  bool pairs() const { return decoding_.at("pairs").boolean(); }
  std::size_t stride() const { return static_cast<std::size_t>(decoding_.at("doc_stride").integer()); }

  /// The code points of a text that may be answered. Throws TextError naming the column.
  static std::u32string checked(std::string_view text, const std::string& column) {
    std::u32string found;
    try {
      found = detail::decode(text);
    } catch (const TextError& error) {
      throw TextError(column + " " + error.what());
    }
    if (std::all_of(found.begin(), found.end(), detail::is_blank)) throw TextError(column + " is empty");
    return found;
  }

  static const std::string& column(const Json& row, const char* name) {
    const Json* found = row.find(name);
    if (found == nullptr) throw TextError(std::string("no column '") + name + "'");
    if (found->kind() != Json::Kind::text) throw TextError(std::string(name) + " is not text");
    return found->text();
  }

  Classified classified(const Window& window) const {
    Classified found = detail::one_label(model_.run(window), labels_, decoding_);
    found.truncated = window.truncated;
    return found;
  }

  Rated rated(const Window& window) const {
    const detail::Outputs outputs = model_.run(window);
    return {*detail::logits_of(outputs, "logits", 1).row(0), window.truncated};
  }

  Embedded embedded(std::string_view text, const char* column, const char* prefix) const {
    served("feature-extraction");
    const Window window = tokenizer_.encode(detail::decode(decoding_.at(prefix).text()) + checked(text, column));
    return {model_.run(window).at("sentence_embedding").values, window.truncated};
  }

  /// The byte at which each code point of a text begins, and where the text ends.
  static std::vector<std::size_t> bytes_of(std::u32string_view text) {
    std::vector<std::size_t> found = {0};
    for (const char32_t code : text) found.push_back(found.back() + detail::size_of(code));
    return found;
  }

  std::vector<Entity> entities_of(std::u32string_view text,
                                  const std::map<std::pair<std::size_t, std::size_t>, Seen>& seen) const {
    if (seen.empty()) return {};
    std::vector<detail::Range> words;
    std::vector<std::vector<double>> shares;
    for (const auto& [word, held] : seen) {
      words.push_back({word.first, word.second});
      shares.push_back(held.shares);
    }
    std::vector<detail::Tag> tags, chosen;
    for (const std::string& label : labels_) tags.push_back(detail::tag_of(label));
    const Json* formed = decoding_.given("well_formed");
    std::vector<std::size_t> best(words.size());
    if (formed == nullptr || formed->boolean())
      best = detail::well_formed(shares, tags);
    else
      for (std::size_t i = 0; i < best.size(); ++i)
        best[i] = static_cast<std::size_t>(std::max_element(shares[i].begin(), shares[i].end()) - shares[i].begin());
    for (const std::size_t one : best) chosen.push_back(tags[one]);
    const std::vector<std::size_t> bytes = bytes_of(text);
    std::vector<Entity> found;
    for (const detail::Chunk& chunk : detail::chunks(chosen)) {
      const std::size_t start = words[chunk.first].start, end = words[chunk.last].end;
      double sum = 0;
      for (std::size_t i = chunk.first; i <= chunk.last; ++i) sum += shares[i][best[i]];
      found.push_back({chunk.slot, detail::encode(text.substr(start, end - start)),
                       Place{bytes[start], bytes[end], start, end}, sum / static_cast<double>(chunk.last - chunk.first + 1)});
    }
    return found;
  }

  Json manifest_;
  Json decoding_;
  std::vector<std::string> labels_;
  Tokenizer tokenizer_;
  detail::Model model_;
};

inline Answered Bundle::answer(std::string_view question, std::string_view context) const {
  served("question-answering");
  const std::u32string asked = checked(question, "question"), read = checked(context, "context");
  const auto most = static_cast<std::size_t>(decoding_.at("n_best").integer());
  const auto longest = static_cast<std::size_t>(decoding_.at("max_answer_tokens").integer());
  Answered found{{"", std::nullopt, 0}, {}, false};
  std::map<std::pair<std::size_t, std::size_t>, double> spans;
  double missing = detail::kInfinity;  // the logit of "no answer", of the window that speaks least for it
  for (const Window& window : tokenizer_.encode_windows(read, stride(), &asked)) {
    found.truncated = found.truncated || window.truncated;
    const detail::Outputs outputs = model_.run(window);
    for (const detail::Found& one : detail::best_spans(outputs, window, longest, most, read)) {
      if (one.start >= one.end) continue;
      const auto held = spans.emplace(std::make_pair(one.start, one.end), one.logit).first;
      held->second = std::max(held->second, one.logit);
    }
    missing = std::min(missing, static_cast<double>(*outputs.at("start_logits").row(0)) +
                                    static_cast<double>(*outputs.at("end_logits").row(0)));
  }
  std::vector<std::pair<double, std::optional<Place>>> listed;
  const std::vector<std::size_t> bytes = bytes_of(read);
  for (const auto& [span, logit] : spans)
    listed.emplace_back(logit, Place{bytes[span.first], bytes[span.second], span.first, span.second});
  const auto better = [](const auto& a, const auto& b) { return a.first > b.first; };
  std::stable_sort(listed.begin(), listed.end(), better);
  if (listed.size() > most) listed.resize(most);
  const Json* told = decoding_.find("null_threshold");
  bool none = listed.empty();
  if (told == nullptr || !told->is_null()) {  // null: every question has an answer
    none = none || missing - listed[0].first > (told == nullptr ? 0.0 : told->number());
    listed.emplace_back(missing, std::nullopt);
    std::stable_sort(listed.begin(), listed.end(), better);
  }
  if (listed.empty()) return found;
  std::vector<double> logits;
  for (const auto& one : listed) logits.push_back(one.first);
  const std::vector<double> shares = detail::softmax(logits.data(), logits.size());
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const std::optional<Place>& place = listed[i].second;
    const std::string_view text = place ? context.substr(place->start, place->end - place->start) : std::string_view();
    found.n_best.push_back({std::string(text), place, shares[i]});
  }
  found.best = *std::find_if(found.n_best.begin(), found.n_best.end(),
                             [&](const Span& span) { return span.place.has_value() != none; });
  return found;
}

inline Json Bundle::predict(const Json& row) const {
  const std::string& name = task();
  if (name == "sentence-pairs") {
    Json whole = to_json(classify(column(row, "text"), column(row, "text_pair")));
    Json found = Json::object();  // in_scope is no key of this task
    whole.each([&](const std::string& key, const Json& value) {
      if (key != "in_scope") found.set(key, value);
    });
    return found;
  }
  if (name == "question-answering") return to_json(answer(column(row, "question"), column(row, "context")));
  if (name == "regression") {
    if (pairs()) return to_json(rate(column(row, "text"), column(row, "text_pair")));
    if (row.find("text_pair") != nullptr) throw TextError("text_pair is there, and texts alone are expected");
    return to_json(rate(column(row, "text")));
  }
  if (name == "feature-extraction") {
    Json found = Json::object();
    bool truncated = false;
    const auto tell = [&](const char* key, const Embedded& one) {
      Json vector = Json::list();
      for (const float value : one.vector) vector.add(Json::of(static_cast<double>(value)));
      found.set(key, vector);
      truncated = truncated || one.truncated;
    };
    const bool passage = row.find("text_pair") != nullptr;
    if (!passage || row.find("text") != nullptr) tell("vector", embed(column(row, "text")));
    if (passage) tell("pair_vector", embed_passage(column(row, "text_pair")));
    return found.set("truncated", Json::of(truncated));
  }
  if (name == "token-classification") {
    if (row.find("text") != nullptr && row.find("tags") == nullptr) return to_json(entities(column(row, "text")));
    const Json* tokens = row.find("tokens");
    if (tokens == nullptr || tokens->kind() != Json::Kind::list) throw TextError("no column 'text' or 'tokens'");
    std::string text;
    for (const Json& token : tokens->items()) {
      if (token.kind() != Json::Kind::text) throw TextError("tokens hold something else than texts");
      if (&token != &tokens->items().front()) text += ' ';
      text += token.text();
    }
    return to_json(entities(text));
  }
  if (several_labels()) return to_json(labels_that_hold(column(row, "text")));
  return to_json(classify(column(row, "text")));
}

}  // namespace edgebert
