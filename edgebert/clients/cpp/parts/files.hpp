// Files of a bundle.

#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "errors.hpp"

namespace edgebert {
namespace detail {

/// All of a file. Throws FileMissing.
inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) throw FileMissing(path.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace detail
}  // namespace edgebert
