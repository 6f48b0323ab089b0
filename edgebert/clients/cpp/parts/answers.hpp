// What a bundle answers, by its task. Offsets of texts are told in bytes of their UTF-8 and in code points.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "json.hpp"

namespace edgebert {

/// A label and its probability.
struct Scored {
  std::string label;
  double score;
};

/// The likeliest of several labels. `in_scope` says whether its score reaches the bundle's threshold, if it has one.
struct Classified {
  std::string label;
  double score;
  std::vector<Scored> scores;  // of all labels, in the bundle's order
  std::optional<bool> in_scope;
  bool truncated;
};

/// The labels that hold, the likeliest first, where several may.
struct Labelled {
  std::vector<Scored> labels, scores;
  bool truncated;
};

/// A part of a text.
struct Place {
  std::size_t start, end;                        // bytes, the end exclusive
  std::size_t start_code_point, end_code_point;  // the same, counted in code points
};

struct Entity {
  std::string label, text;
  Place place;
  double score;
};

struct Entities {
  std::vector<Entity> entities;
  bool truncated;
};

/// A span of the context, or, without a place, "there is no answer".
struct Span {
  std::string answer;
  std::optional<Place> place;
  double score;
};

struct Answered {
  Span best;
  std::vector<Span> n_best;
  bool truncated;
};

struct Rated {
  double score;
  bool truncated;
};

struct Embedded {
  std::vector<float> vector;
  bool truncated;
};

namespace detail {

inline Json told(const std::vector<Scored>& scores) {
  Json found = Json::object();
  for (const Scored& one : scores) found.set(one.label, Json::of(one.score));
  return found;
}

inline Json told(const Span& span) {
  Json found = Json::object();
  found.set("answer", Json::of(span.answer));
  found.set("start", span.place ? Json::of(span.place->start_code_point) : Json());
  found.set("end", span.place ? Json::of(span.place->end_code_point) : Json());
  return found.set("score", Json::of(span.score));
}

}  // namespace detail

// As `edgebert predict --json` tells answers, offsets in code points.

inline Json to_json(const Classified& one) {
  Json found = Json::object();
  found.set("label", Json::of(one.label)).set("score", Json::of(one.score)).set("scores", detail::told(one.scores));
  found.set("in_scope", one.in_scope ? Json::of(*one.in_scope) : Json());
  return found.set("truncated", Json::of(one.truncated));
}

inline Json to_json(const Labelled& one) {
  Json held = Json::list();
  for (const Scored& label : one.labels)
    held.add(Json::object().set("label", Json::of(label.label)).set("score", Json::of(label.score)));
  Json found = Json::object();
  found.set("labels", held).set("scores", detail::told(one.scores));
  return found.set("truncated", Json::of(one.truncated));
}

inline Json to_json(const Entities& one) {
  Json listed = Json::list();
  for (const Entity& entity : one.entities) {
    Json told = Json::object();
    told.set("label", Json::of(entity.label)).set("start", Json::of(entity.place.start_code_point));
    told.set("end", Json::of(entity.place.end_code_point)).set("text", Json::of(entity.text));
    listed.add(told.set("score", Json::of(entity.score)));
  }
  return Json::object().set("entities", listed).set("truncated", Json::of(one.truncated));
}

inline Json to_json(const Answered& one) {
  Json listed = Json::list();
  for (const Span& span : one.n_best) listed.add(detail::told(span));
  return detail::told(one.best).set("n_best", listed).set("truncated", Json::of(one.truncated));
}

inline Json to_json(const Rated& one) {
  return Json::object().set("score", Json::of(one.score)).set("truncated", Json::of(one.truncated));
}

}  // namespace edgebert
