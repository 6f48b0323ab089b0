// The model file in ONNX Runtime, one window at a time.

#pragma once

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "json.hpp"
#include "tokenizer.hpp"

namespace edgebert {
namespace detail {

/// What the model gives by name, row by row, without the batch axis.
struct Output {
  std::vector<float> values;
  std::size_t width = 0;  // values of a row; rows are tokens where the model gives something for each

  const float* row(std::size_t number) const { return values.data() + number * width; }
  std::size_t rows() const { return width == 0 ? 0 : values.size() / width; }
};

using Outputs = std::unordered_map<std::string, Output>;

/// A file opened by its path, which ONNX Runtime reads or maps by itself. It may be run by many threads at once.
class Model {
 public:
  /// `entry` is the manifest's. Throws FileMissing, FileDamaged, ModelError, JsonError.
  Model(const std::filesystem::path& folder, const Json& entry, int threads) {
    const std::filesystem::path path = folder / entry.at("file").text();
    std::error_code fault;
    const std::uintmax_t size = std::filesystem::file_size(path, fault);
    if (fault) throw FileMissing(path.string() + ": cannot be read");
    if (static_cast<std::int64_t>(size) != entry.at("bytes").integer())
      throw FileDamaged(path.string() + ": has " + std::to_string(size) + " bytes, not the " +
                        std::to_string(entry.at("bytes").integer()) + " of the manifest");
    const Json& signature = entry.at("signature");
    const std::vector<Json>& shape = signature.at("inputs").items().at(0).at("shape").items();
    if (!shape.at(1).is_null()) tokens_ = static_cast<std::size_t>(shape.at(1).integer());
    for (const Json& output : signature.at("outputs").items()) {
      const Json* each = output.given("per_token");
      names_.push_back(output.at("name").text());
      per_token_.push_back(each != nullptr && each->boolean());
    }
    checked([&] { open(path, entry.at("session"), threads); });
  }

  /// Throws ModelError.
  Outputs run(const Window& window) const {
    Outputs found;
    checked([&] { found = asked(window); });
    return found;
  }

 private:
  using Type = ONNXTensorElementDataType;

  /// Calls ONNX Runtime; its exceptions become ModelError.
  template <typename Call>
  static void checked(Call call) {
    try {
      call();
    } catch (const Ort::Exception& error) {
      throw ModelError(error.what());
    }
  }

  void open(const std::filesystem::path& path, const Json& session, int threads) {
    env_ = Ort::Env(ORT_LOGGING_LEVEL_ERROR, "edgebert");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    options.SetInterOpNumThreads(1);
    session.each([&](const std::string& name, const Json& value) {
      options.AddConfigEntry(name.c_str(), value.text().c_str());
    });
    session_ = std::make_unique<Ort::Session>(env_, path.c_str(), options);
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < session_->GetInputCount(); ++i) {
      inputs_.emplace_back(session_->GetInputNameAllocated(i, allocator).get());
      types_.push_back(session_->GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetElementType());
    }
  }

  Outputs asked(const Window& window) const {
    const std::size_t length = window.ids.size(), padded = tokens_ == 0 ? length : tokens_;
    if (length > padded) throw ModelError(std::to_string(length) + " tokens; the file holds " + std::to_string(padded));
    const std::vector<std::int64_t> mask(length, 1);
    std::vector<std::vector<std::int64_t>> wide(inputs_.size());
    std::vector<std::vector<std::int32_t>> narrow(inputs_.size());
    std::vector<Ort::Value> values;
    std::vector<const char*> names, outputs;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const std::vector<std::int64_t>& given = inputs_[i] == "input_ids"        ? window.ids
                                               : inputs_[i] == "token_type_ids" ? window.types
                                                                                : mask;
      values.push_back(types_[i] == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 ? tensor(given, padded, narrow[i])
                                                                        : tensor(given, padded, wide[i]));
      names.push_back(inputs_[i].c_str());
    }
    for (const std::string& name : names_) outputs.push_back(name.c_str());
    const std::vector<Ort::Value> results = session_->Run(Ort::RunOptions(), names.data(), values.data(),
                                                          values.size(), outputs.data(), outputs.size());
    Outputs found;
    for (std::size_t i = 0; i < results.size(); ++i) found[names_[i]] = cut(results[i], per_token_[i], length);
    return found;
  }

  /// Numbers int [1, padded], zeros behind them: the mask's zeros make the model overlook the others.
  template <typename Number>
  static Ort::Value tensor(const std::vector<std::int64_t>& given, std::size_t padded, std::vector<Number>& held) {
    held.resize(padded);
    std::transform(given.begin(), given.end(), held.begin(), [](std::int64_t id) { return static_cast<Number>(id); });
    const std::int64_t shape[] = {1, static_cast<std::int64_t>(padded)};
    const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    return Ort::Value::CreateTensor<Number>(memory, held.data(), padded, shape, 2);
  }

  /// float32 [1, ...] without the batch axis and without the rows of padding.
  static Output cut(const Ort::Value& value, bool per_token, std::size_t length) {
    const Ort::TensorTypeAndShapeInfo about = value.GetTensorTypeAndShapeInfo();
    if (about.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) throw ModelError("gives no float32");
    const std::vector<std::int64_t> shape = about.GetShape();
    const std::size_t count = about.GetElementCount();
    Output found;
    found.width = per_token ? 1 : count;
    for (std::size_t axis = 2; per_token && axis < shape.size(); ++axis)
      found.width *= static_cast<std::size_t>(shape[axis]);
    const std::size_t kept = per_token ? std::min(count, length * found.width) : count;
    const float* values = value.GetTensorData<float>();
    found.values.assign(values, values + kept);
    return found;
  }

  Ort::Env env_{nullptr};  // outlives the session
  std::unique_ptr<Ort::Session> session_;
  std::vector<std::string> inputs_, names_;
  std::vector<Type> types_;
  std::vector<bool> per_token_;
  std::size_t tokens_ = 0;  // of a file of one fixed length; 0 where texts have their own
};

}  // namespace detail
}  // namespace edgebert
