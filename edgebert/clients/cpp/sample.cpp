// Answers lines of standard input, each a text or a JSON object with the task's columns: one JSON object a line.
//
//   edgebert_sample BUNDLE [THREADS]            exit status 2 for a row or bundle that cannot be answered
//   edgebert_sample BUNDLE [THREADS] --bench    instead of answers, how many texts a second it reads and answers

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "edgebert.hpp"

namespace {

using edgebert::Json;

Json answer(const edgebert::Bundle& bundle, const std::string& line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first != std::string::npos && line[first] == '{') {
    try {
      return bundle.predict(Json::parse(line));
    } catch (const edgebert::JsonError&) {  // a text that only begins like an object
    }
  }
  return bundle.predict(line);
}

template <typename Call>
double seconds(Call call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Texts a second: by the tokenizer alone, and answered; the first of three rounds is not counted.
void bench(const edgebert::Bundle& bundle, const std::vector<std::string>& lines) {
  double read = 0, answered = 0;
  for (int round = 0; round < 3; ++round) {
    const double first = seconds([&] {
      for (const std::string& line : lines) bundle.tokenizer().encode(line);
    });
    const double second = seconds([&] {
      for (const std::string& line : lines) answer(bundle, line);
    });
    if (round > 0) {
      read += first;
      answered += second;
    }
  }
  const double texts = 2.0 * static_cast<double>(lines.size());
  std::printf("{\"texts\": %zu, \"tokenized_a_second\": %.0f, \"answered_a_second\": %.1f}\n", lines.size(),
              texts / read, texts / answered);
}

std::vector<std::string> standard_input() {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) {
    if (lines.empty() && line.compare(0, 3, "\xEF\xBB\xBF") == 0) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

}  // namespace

int main(int count, char** arguments) {
  std::ios::sync_with_stdio(false);
  const bool timed = count > 2 && std::string(arguments[count - 1]) == "--bench";
  const int given = timed ? count - 1 : count;
  if (given < 2 || given > 3) {
    std::cerr << "usage: edgebert_sample BUNDLE [THREADS] [--bench]\n";
    return 2;
  }
  std::size_t row = 0;
  try {
    const edgebert::Bundle bundle(arguments[1], given > 2 ? std::atoi(arguments[2]) : 1);
    const std::vector<std::string> lines = standard_input();
    if (timed && !lines.empty()) {
      bench(bundle, lines);
      return 0;
    }
    for (const std::string& line : lines) {
      ++row;
      std::cout << answer(bundle, line).dump() << '\n';
    }
  } catch (const edgebert::TextError& error) {
    std::cerr << "row " << row << ": " << error.what() << '\n';
    return 2;
  } catch (const edgebert::Error& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  return 0;
}
