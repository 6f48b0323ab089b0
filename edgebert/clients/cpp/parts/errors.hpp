// What an app can meet. Everything is a std::runtime_error, and says what to do where that is known.

#pragma once

#include <stdexcept>
#include <string>

namespace edgebert {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A text or row that cannot be answered: empty, not well-formed UTF-8, or without what the task reads.
class TextError : public Error {
 public:
  using Error::Error;
};

/// JSON that is not well-formed, or holds another kind of value than is asked for.
class JsonError : public Error {
 public:
  using Error::Error;
};

/// A bundle that cannot be opened; thrown as one of the four below.
class BundleError : public Error {
 public:
  using Error::Error;
};

class FileMissing : public BundleError {
 public:
  using BundleError::BundleError;
};

/// A file that is cut short, damaged, or of another kind.
class FileDamaged : public BundleError {
 public:
  using BundleError::BundleError;
};

/// The bundle is newer than this client: export the client again with the EdgeBERT that built the bundle.
class BundleTooNew : public BundleError {
 public:
  using BundleError::BundleError;
};

/// The bundle's task is not one that is served, or not the one of the function that was called.
class TaskNotServed : public BundleError {
 public:
  using BundleError::BundleError;
};

/// ONNX Runtime cannot load the model file, or cannot run it.
class ModelError : public Error {
 public:
  using Error::Error;
};

}  // namespace edgebert
