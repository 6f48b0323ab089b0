// What tests ask the header beside its sample; a text is a line of standard input, the hex of its bytes.
//
//   probe ids FOLDER MAX              token numbers of a text, or of two parted by a tab
//   probe placed FOLDER               number:start:end:word of each token
//   probe windows FOLDER MAX STRIDE   token numbers of each window of a text, or of a question and a text
//   probe open FOLDER                 how opening a bundle ends
//   probe ask FOLDER                  the answer to each text
//   probe bytes FOLDER                the hex of the bytes of each entity, parted by |
//   probe threads FOLDER COUNT        how many answers of threads that ask at once differ from those of one
//   probe json                        each text as JSON, read and written
//   probe tables FOLDER               how opening a tokenizer ends, with each text for tokenizer.bin
// An error is told by its class.

#include <atomic>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "edgebert.hpp"

namespace {

using Parts = std::vector<std::string>;

std::string bytes(const std::string& hex) {
  std::string found;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) found.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return found;
}

Parts parts(const std::string& line) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string::npos) return {bytes(line)};
  return {bytes(line.substr(0, tab)), bytes(line.substr(tab + 1))};
}

std::string joined(const std::vector<std::int64_t>& ids) {
  std::string found;
  for (const std::int64_t id : ids) found += (found.empty() ? "" : " ") + std::to_string(id);
  return found;
}

template <typename Call>
std::string ended(Call call) {
  try {
    return call();
  } catch (const edgebert::TextError&) {
    return "TextError";
  } catch (const edgebert::JsonError&) {
    return "JsonError";
  } catch (const edgebert::FileMissing&) {
    return "FileMissing";
  } catch (const edgebert::FileDamaged&) {
    return "FileDamaged";
  } catch (const edgebert::BundleTooNew&) {
    return "BundleTooNew";
  } catch (const edgebert::TaskNotServed&) {
    return "TaskNotServed";
  } catch (const edgebert::ModelError&) {
    return "ModelError";
  }
}

template <typename Call>
void each(Call call) {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << ended([&] { return call(parts(line)); }) << '\n';
}

void ids(const edgebert::Tokenizer& tokenizer) {
  each([&](const Parts& given) {
    return joined(given.size() == 1 ? tokenizer.encode(given[0]).ids : tokenizer.encode(given[0], given[1]).ids);
  });
}

void placed(const edgebert::Tokenizer& tokenizer) {
  each([&](const Parts& given) {
    std::string found;
    for (const edgebert::Token& one : tokenizer.placed(edgebert::detail::decode(given[0]))) {
      found += (found.empty() ? "" : " ") + std::to_string(one.id);
      for (const std::size_t value : {one.start, one.end, one.word}) found += ':' + std::to_string(value);
    }
    return found;
  });
}

void windows(const edgebert::Tokenizer& tokenizer, std::size_t stride) {
  each([&](const Parts& given) {
    const std::u32string first = edgebert::detail::decode(given[0]);
    std::string found;
    const auto add = [&](const std::vector<edgebert::Window>& read) {
      for (const edgebert::Window& window : read)
        found += joined(window.ids) + (window.truncated ? "!" : "") + "|" + joined(window.types) + "|";
    };
    if (given.size() == 1) add(tokenizer.encode_windows(first, stride));
    else add(tokenizer.encode_windows(edgebert::detail::decode(given[1]), stride, &first));
    return found;
  });
}

std::string entities(const edgebert::Bundle& bundle, const std::string& text) {
  std::string found;
  for (const edgebert::Entity& one : bundle.entities(text).entities) {
    if (!found.empty()) found += '|';
    for (std::size_t i = one.place.start; i < one.place.end; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      found += {"0123456789abcdef"[byte / 16], "0123456789abcdef"[byte % 16]};
    }
  }
  return found;
}

void threads(const edgebert::Bundle& bundle, int count) {
  Parts texts, alone;
  for (std::string line; std::getline(std::cin, line);) {
    texts.push_back(bytes(line));
    alone.push_back(bundle.predict(texts.back()).dump());
  }
  std::atomic<int> different{0};
  std::vector<std::thread> asking;
  for (int i = 0; i < count; ++i)
    asking.emplace_back([&] {
      for (std::size_t k = 0; k < texts.size(); ++k)
        if (bundle.predict(texts[k]).dump() != alone[k]) ++different;
    });
  for (std::thread& one : asking) one.join();
  std::cout << different << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = arguments[1], folder = count > 2 ? arguments[2] : "";
  const std::size_t number = count > 3 ? std::stoul(arguments[3]) : 1u << 30;
  if (what == "ids") ids(edgebert::Tokenizer(folder, number));
  if (what == "placed") placed(edgebert::Tokenizer(folder, number));
  if (what == "windows") windows(edgebert::Tokenizer(folder, number), std::stoul(arguments[4]));
  if (what == "open") std::cout << ended([&] { return edgebert::Bundle(folder).task(); }) << '\n';
  if (what == "ask") {
    const edgebert::Bundle bundle(folder);
    each([&](const Parts& given) { return bundle.predict(given[0]).dump(); });
  }
  if (what == "bytes") {
    const edgebert::Bundle bundle(folder);
    each([&](const Parts& given) { return entities(bundle, given[0]); });
  }
  if (what == "threads") threads(edgebert::Bundle(folder), static_cast<int>(number));
  if (what == "json") each([](const Parts& given) { return edgebert::Json::parse(given[0]).dump(); });
  if (what == "tables") {
    const std::string vocabulary = edgebert::detail::read_file(folder + "/vocab.txt");
    each([&](const Parts& given) { return edgebert::Tokenizer(given[0], vocabulary, 64), "opened"; });
  }
}
