// manifest.json: read, and checked for all that answers need of it.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "errors.hpp"
#include "files.hpp"
#include "json.hpp"
#include "json_parser.hpp"

namespace edgebert {
namespace detail {

constexpr std::int64_t kSchema = 1;  // the newest that is read

/// Throws JsonError.
inline Json parsed(const std::string& manifest) {
  try {
    return Json::parse(manifest);
  } catch (const TextError& error) {
    throw JsonError(error.what());
  }
}

/// Throws JsonError where the manifest lacks what answers need, so that no answer has to.
inline void check_manifest(const Json& manifest) {
  const Json& decoding = manifest.at("decoding");
  const std::string& task = manifest.at("task").text();
  for (const Json& label : manifest.at("labels").items()) label.text();
  if (decoding.at("max_tokens").integer() < 8) throw JsonError("max_tokens is too small");
  for (const char* name : {"threshold", "null_threshold"})
    if (const Json* given = decoding.given(name)) given->number();
  if (const Json* thresholds = decoding.given("thresholds"))
    for (std::size_t i = 0; i < manifest.at("labels").items().size() && !thresholds->items().empty(); ++i)
      thresholds->items().at(i).number();
  for (const char* name : {"multi_label", "well_formed"})
    if (const Json* given = decoding.given(name)) given->boolean();
  if (task == "token-classification" || task == "question-answering")
    if (decoding.at("doc_stride").integer() < 0) throw JsonError("doc_stride is negative");
  if (task == "question-answering")
    for (const char* name : {"max_answer_tokens", "n_best"})
      if (decoding.at(name).integer() < 1) throw JsonError(std::string(name) + " is below 1");
  if (task == "regression") decoding.at("pairs").boolean();
  if (task == "feature-extraction")
    for (const char* name : {"query_prefix", "passage_prefix"}) decoding.at(name).text();
}

/// Throws FileMissing, FileDamaged, BundleTooNew, TaskNotServed.
inline Json read_manifest(const std::filesystem::path& folder) {
  const std::string text = read_file(folder / "manifest.json");
  try {
    Json found = parsed(text);
    const std::int64_t schema = found.at("schema").integer();
    if (schema > kSchema)
      throw BundleTooNew("manifest.json: is of schema " + std::to_string(schema) + "; this client reads " +
                         std::to_string(kSchema) + ": export it again with the EdgeBERT that built the bundle");
    const std::string& task = found.at("task").text();
    constexpr std::string_view kServed[] = {"text-classification",  "sentence-pairs",     "regression",
                                            "token-classification", "question-answering", "feature-extraction"};
    if (std::find(std::begin(kServed), std::end(kServed), task) == std::end(kServed))
      throw TaskNotServed("the bundle's task is " + task + ", which this client does not serve");
    check_manifest(found);
    return found;
  } catch (const JsonError& error) {
    throw FileDamaged(std::string("manifest.json: ") + error.what());
  } catch (const std::out_of_range&) {
    throw FileDamaged("manifest.json: it has fewer thresholds than labels");
  }
}

inline std::vector<std::string> labels_of(const Json& manifest) {
  std::vector<std::string> found;
  for (const Json& label : manifest.at("labels").items()) found.push_back(label.text());
  return found;
}

}  // namespace detail
}  // namespace edgebert
