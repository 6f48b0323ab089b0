// As much JSON as a bundle's manifest, a row and an answer take.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.hpp"

namespace edgebert {

/// A JSON value. Its functions throw JsonError where it is of another kind than they ask for.
class Json {
 public:
  enum class Kind { null, boolean, number, text, list, object };

  Json() = default;
  static Json of(bool value) { return with(Kind::boolean, value ? 1.0 : 0.0); }
  static Json of(double value) { return with(Kind::number, value); }
  static Json of(std::size_t value) { return of(static_cast<double>(value)); }
  static Json of(const char* value) { return of(std::string(value)); }
  static Json of(std::string value) {
    Json made = with(Kind::text, 0);
    made.text_ = std::move(value);
    return made;
  }
  static Json list() { return with(Kind::list, 0); }
  static Json object() { return with(Kind::object, 0); }
  static Json parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool boolean() const { return check(Kind::boolean, "true or false"), number_ != 0; }
  double number() const { return check(Kind::number, "a number"), number_; }
  const std::string& text() const { return check(Kind::text, "a text"), text_; }
  const std::vector<Json>& items() const { return check(Kind::list, "a list"), items_; }

  std::int64_t integer() const {
    constexpr double kMost = 9007199254740992.0;  // 2^53: beyond it doubles skip whole numbers
    if (!(std::abs(number()) <= kMost) || number_ != std::floor(number_)) throw JsonError("is no whole number");
    return static_cast<std::int64_t>(number_);
  }

  /// A member of an object; null where there is none. Of a name that is there twice, the last.
  const Json* find(std::string_view name) const {
    check(Kind::object, "an object");
    for (std::size_t i = names_.size(); i-- > 0;)
      if (names_[i] == name) return &items_[i];
    return nullptr;
  }

  const Json& at(std::string_view name) const {
    if (const Json* found = find(name)) return *found;
    throw JsonError("has no '" + std::string(name) + "'");
  }

  /// Gives the name and value of each member of an object to `take`.
  template <typename Take>
  void each(Take take) const {
    check(Kind::object, "an object");
    for (std::size_t i = 0; i < items_.size(); ++i) take(names_[i], items_[i]);
  }

  /// A member that is there and is not null.
  const Json* given(std::string_view name) const {
    const Json* found = find(name);
    return found == nullptr || found->is_null() ? nullptr : found;
  }

  Json& add(Json value) {
    items_.push_back(std::move(value));
    return *this;
  }

  Json& set(std::string name, Json value) {
    names_.push_back(std::move(name));
    return add(std::move(value));
  }

  /// The value on one line.
  std::string dump() const {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out.precision(std::numeric_limits<double>::max_digits10);
    write(out);
    return out.str();
  }

 private:
  static Json with(Kind kind, double number) {
    Json made;
    made.kind_ = kind;
    made.number_ = number;
    return made;
  }

  void check(Kind kind, const char* wanted) const {
    if (kind_ != kind) throw JsonError(std::string("is not ") + wanted);
  }

  void write(std::ostream& out) const {
    switch (kind_) {
      case Kind::null: out << "null"; break;
      case Kind::boolean: out << (number_ != 0 ? "true" : "false"); break;
      case Kind::number: std::isfinite(number_) ? out << number_ : out << "null"; break;
      case Kind::text: write_text(out, text_); break;
      default: write_items(out);
    }
  }

  void write_items(std::ostream& out) const {
    const bool named = kind_ == Kind::object;
    out << (named ? '{' : '[');
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (i > 0) out << ", ";
      if (named) {
        write_text(out, names_[i]);
        out << ": ";
      }
      items_[i].write(out);
    }
    out << (named ? '}' : ']');
  }

  static void write_text(std::ostream& out, const std::string& text) {
    out << '"';
    for (const char one : text) {
      const auto byte = static_cast<unsigned char>(one);
      if (byte == '"' || byte == '\\') {
        out << '\\' << one;
      } else if (byte < 0x20) {
        out << "\\u00" << (byte < 0x10 ? '0' : '1') << "0123456789abcdef"[byte % 16];
      } else {
        out << one;
      }
    }
    out << '"';
  }

  Kind kind_ = Kind::null;
  double number_ = 0;
  std::string text_;
  std::vector<std::string> names_;  // of an object's items
  std::vector<Json> items_;
};

}  // namespace edgebert
