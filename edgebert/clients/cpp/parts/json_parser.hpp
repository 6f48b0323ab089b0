// From a JSON text to its value.

#pragma once

#include <cstddef>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "errors.hpp"
#include "json.hpp"
#include "unicode.hpp"

namespace edgebert {
namespace detail {

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json whole() {
    Json found = value(0);
    skip();
    if (at_ < text_.size()) fail("more than one value");
    return found;
  }

 private:
  static constexpr int kDeepest = 200;  // values within values: a bound for the stack

  Json value(int depth) {
    if (depth > kDeepest) fail("too deep");
    skip();
    switch (peek()) {
      case '{': return members(depth);
      case '[': return elements(depth);
      case '"': return Json::of(string());
      case 't': return word("true", Json::of(true));
      case 'f': return word("false", Json::of(false));
      case 'n': return word("null", Json());
      default: return number();
    }
  }

  Json members(int depth) {
    Json found = Json::object();
    ++at_;
    if (ends('}')) return found;
    do {
      skip();
      if (peek() != '"') fail("a name is missing");
      std::string name = string();
      skip();
      if (peek() != ':') fail("a colon is missing");
      ++at_;
      found.set(std::move(name), value(depth + 1));
    } while (goes_on('}'));
    return found;
  }

  Json elements(int depth) {
    Json found = Json::list();
    ++at_;
    if (ends(']')) return found;
    do found.add(value(depth + 1));
    while (goes_on(']'));
    return found;
  }

  bool ends(char close) {
    skip();
    if (peek() != close) return false;
    ++at_;
    return true;
  }

  bool goes_on(char close) {
    if (ends(close)) return false;
    if (peek() != ',') fail("a comma is missing");
    ++at_;
    return true;
  }

  Json word(std::string_view wanted, Json found) {
    if (text_.substr(at_, wanted.size()) != wanted) fail("unknown word");
    at_ += wanted.size();
    return found;
  }

  Json number() {
    const std::size_t begin = at_;
    if (peek() == '-') ++at_;
    const char first = peek();
    const std::size_t whole = digits();
    if (whole == 0 || (first == '0' && whole > 1)) fail("no value");
    if (peek() == '.' && (++at_, digits() == 0)) fail("no digit behind the point");
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (digits() == 0) fail("no exponent");
    }
    std::istringstream read{std::string(text_.substr(begin, at_ - begin))};
    read.imbue(std::locale::classic());
    double found = 0;
    read >> found;  // what is too large becomes the largest double
    return Json::of(found);
  }

  std::size_t digits() {
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - begin;
  }

  std::string string() {
    std::string found;
    for (++at_; peek() != '"';) {
      const auto byte = static_cast<unsigned char>(peek());
      if (byte < 0x20) fail("a text does not end");
      if (byte == '\\') {
        escape(found);
        continue;
      }
      const Decoded one = decode_one(text_.substr(at_));
      if (one.bytes == 0) fail("not UTF-8");
      found.append(text_.substr(at_, one.bytes));
      at_ += one.bytes;
    }
    ++at_;
    return found;
  }

  void escape(std::string& out) {
    ++at_;
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    const char name = peek();
    if (name == 'u') return append(out, code());
    const std::size_t which = kNames.find(name);
    if (at_ >= text_.size() || which == std::string_view::npos) fail("unknown escape");
    out.push_back(kMeant[which]);
    ++at_;
  }

  char32_t code() {
    const char32_t first = unit();
    if (first < 0xD800 || first >= 0xE000) return first;
    if (first < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      ++at_;
      const char32_t second = unit();
      if (second >= 0xDC00 && second < 0xE000) return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }
    throw TextError("is not well-formed Unicode: a lone surrogate at byte " + std::to_string(at_));
  }

  char32_t unit() {
    char32_t found = 0;
    for (int i = 0; i < 4; ++i) {
      ++at_;
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(peek());
      if (at_ >= text_.size() || digit == std::string_view::npos) fail("four digits belong behind \\u");
      found = found << 4 | static_cast<char32_t>(digit < 16 ? digit : digit - 6);
    }
    ++at_;
    return found;
  }

  void skip() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  [[noreturn]] void fail(const std::string& what) const {
    throw JsonError("is not JSON: " + what + " at byte " + std::to_string(at_));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace detail

/// The value of a JSON text. Throws JsonError where it is not well-formed, TextError for a lone surrogate.
inline Json Json::parse(std::string_view text) { return detail::JsonParser(text).whole(); }

}  // namespace edgebert
