/** An answer as elements, by task. */
import { element } from "./element.js";

const LISTED = 5; // labels beside the first
const VALUES = 5; // of a vector

/** @returns {Node[]} what the page shows of an answer. */
export function shown(manifest, row, answer) {
  const found = SHOWN[manifest.task](answer, row);
  if (answer.truncated) {
    found.push(note(`The text is longer than the ${manifest.decoding.max_tokens} tokens that the model reads; it was cut.`));
  }
  return found;
}

const SHOWN = {
  "text-classification": (answer) => (answer.labels ? several(answer) : label(answer)),
  "sentence-pairs": label,
  regression: (answer) => [headline(number(answer.score))],
  "feature-extraction": vectors,
  "token-classification": entities,
  "question-answering": spans,
};

function label(answer) {
  const first = headline(answer.label, percent(answer.score));
  if (answer.in_scope !== false) return [first, bars(answer.scores)];
  first.classList.add("unsure");
  return [first, note("Too uncertain: probably none of the labels fits."), bars(answer.scores)];
}

function several(answer) {
  const chips = answer.labels.map((one) => element("li", {}, one.label));
  const found = chips.length ? element("ul", { className: "chips" }, ...chips) : note("No label fits.");
  return [found, bars(answer.scores)];
}

function vectors({ vector, pair_vector: pair }) {
  const told = element("p", { className: "mono" }, `[${vector.slice(0, VALUES).map(number).join(", ")}, …]`);
  const size = note(`A vector of ${vector.length} numbers, of the length 1.`);
  if (pair === undefined) return [told, size];
  const cosine = vector.reduce((sum, one, i) => sum + one * pair[i], 0);
  return [headline(number(cosine), "cosine of the two texts"), told, size];
}

function entities(answer, { text }) {
  if (!answer.entities.length) return [note("No entity was found.")];
  return [marked(text, answer.entities), rowsOf(answer.entities.map((one) => [one.label, one.text, percent(one.score)]))];
}

function spans(answer, { context }) {
  const others = answer.n_best.filter((one) => one.start !== answer.start || one.end !== answer.end);
  const rows = others.map((one) => [one.answer || "no answer", percent(one.score)]);
  const found = answer.start === null ? [note("The text does not answer this.")] : [headline(answer.answer, percent(answer.score))];
  if (answer.start !== null) found.push(marked(context, [answer]));
  return rows.length ? [...found, rowsOf(rows)] : found;
}

/** A text with ranges marked, each with its label where it has one. */
function marked(text, ranges) {
  const found = element("p", { className: "text" });
  let behind = 0;
  for (const { start, end, label: named } of ranges) {
    found.append(text.slice(behind, start));
    const tag = named === undefined ? [] : [element("small", {}, named)];
    found.append(element("mark", {}, text.slice(start, end), ...tag));
    behind = end;
  }
  found.append(text.slice(behind));
  return found;
}

function bars(scores) {
  const best = Object.entries(scores).sort((one, other) => other[1] - one[1]).slice(0, LISTED);
  const rows = best.map(([name, share]) => {
    const bar = element("span", { className: "bar" });
    bar.style.setProperty("--share", share);
    return element("li", {}, element("span", {}, name), bar, element("span", { className: "number" }, percent(share)));
  });
  return element("ol", { className: "bars" }, ...rows);
}

function rowsOf(rows) {
  const cells = (row) => row.map((one, i) => element("td", { className: i === row.length - 1 ? "number" : "" }, one));
  return element("table", {}, element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))));
}

function headline(text, beside = "") {
  return element("p", { className: "headline" }, element("strong", {}, text), " ", element("span", {}, beside));
}

function note(text) {
  return element("p", { className: "note" }, text);
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function number(value) {
  return value.toFixed(3);
}
