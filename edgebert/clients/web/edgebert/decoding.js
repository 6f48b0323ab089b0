/**
 * From a model's raw outputs to answers, by task.
 *
 * `windows` are those of reading.js with their `outputs`: by name, `data` (Float32Array) and `dims` without the
 * batch axis. `settings` are the manifest's `decoding`.
 */
import { best, byLogit, sigmoid, softmax } from "./numbers.js";
import { textOf } from "./reading.js";
import { trimmed } from "./text.js";

const HALF = 0.5; // every label's threshold, until thresholds are tuned

/** @type {Record<string, (windows: object[], row: object, labels: string[], settings: object) => object>} */
export const ANSWERS = {
  "text-classification": classes,
  "sentence-pairs": (windows, row, labels) => oneLabel(windows[0].outputs.logits.data, labels),
  regression: (windows) => ({ score: windows[0].outputs.logits.data[0] }),
  "feature-extraction": vectors,
  "token-classification": entities,
  "question-answering": answer,
};

function oneLabel(logits, labels) {
  const shares = softmax(logits);
  const first = best(shares);
  return { label: labels[first], score: shares[first], scores: named(shares, labels) };
}

function named(shares, labels) {
  return Object.fromEntries(labels.map((label, i) => [label, shares[i]]));
}

function classes([{ outputs }], row, labels, settings) {
  const logits = outputs.logits.data;
  if (!settings.multi_label) {
    const found = oneLabel(logits, labels);
    const threshold = settings.threshold ?? null;
    return { ...found, in_scope: threshold === null ? null : found.score >= threshold };
  }
  const shares = Array.from(logits, sigmoid);
  const thresholds = settings.thresholds?.length ? settings.thresholds : shares.map(() => HALF);
  const holding = labels.map((label, i) => ({ label, score: shares[i] })).filter((one, i) => one.score >= thresholds[i]);
  return { labels: holding.sort((one, other) => other.score - one.score), scores: named(shares, labels) };
}

function vectors(windows) {
  const keys = { text: "vector", text_pair: "pair_vector" };
  const told = windows.map(({ outputs, align }) => [keys[align.column], Array.from(outputs.sentence_embedding.data)]);
  return Object.fromEntries(told);
}

/** A word in two windows is read in the one that shows more around it; the score is the mean of its words' tags. */
function entities(windows, row, labels, settings) {
  const text = textOf(row);
  const read = new Map();
  for (const { outputs, align } of windows) {
    const [tokens, count] = outputs.logits.dims;
    for (const [place, start, end] of align.words) {
      const around = Math.min(place, tokens - 1 - place);
      if (around > (read.get(start)?.around ?? -1)) {
        const logits = outputs.logits.data.subarray(place * count, (place + 1) * count);
        read.set(start, { start, end, around, shares: softmax(logits) });
      }
    }
  }
  const words = [...read.values()].sort((one, other) => one.start - other.start);
  if (!words.length) return { entities: [] };
  const shares = words.map((word) => word.shares);
  const tags = settings.well_formed ?? true ? wellFormed(shares, labels) : shares.map(best);
  const found = chunks(tags.map((tag) => labels[tag])).map(([label, first, last]) => {
    const sure = words.slice(first, last + 1).map((word, i) => word.shares[tags[first + i]]);
    const [start, end] = [words[first].start, words[last].end];
    const score = sure.reduce((sum, one) => sum + one, 0) / sure.length;
    return { label, start, end, text: text.slice(start, end), score };
  });
  return { entities: found };
}

/** [slot, first word, last] of each entity in tags, by the rule of conlleval (Tjong Kim Sang and Buchholz 2000). */
function chunks(tags) {
  const found = [];
  let before = ["O", ""];
  tags.forEach((tag, i) => {
    const [kind, slot] = parted(tag);
    const goes = (kind === "I" || kind === "E") && (before[0] === "B" || before[0] === "I") && before[1] === slot;
    if (goes) found.at(-1)[2] = i;
    else if (kind !== "O") found.push([slot, i, i]);
    before = [kind, slot];
  });
  return found;
}

function parted(tag) {
  const at = tag.indexOf("-");
  return at < 0 ? [tag, ""] : [tag.slice(0, at), tag.slice(at + 1)];
}

/** The likeliest tags of words in which I- and E- follow B- or I- of their slot (Viterbi). */
function wellFormed(shares, labels) {
  const parts = labels.map(parted);
  const inner = parts.map(([kind, slot]) => (kind === "I" || kind === "E") && labels.includes(`B-${slot}`));
  const opens = parts.map(([kind, slot]) => (kind === "B" || kind === "I" ? slot : null));
  const logs = shares.map((row) => Array.from(row, (one) => Math.log(Math.max(one, 2.2250738585072014e-308))));
  let path = logs[0].map((one, tag) => (inner[tag] ? -Infinity : one));
  const back = [];
  for (const row of logs.slice(1)) {
    const came = row.map((_, tag) => best(path.map((sum, from) => (barred(tag, from) ? -Infinity : sum))));
    path = row.map((one, tag) => (barred(tag, came[tag]) ? -Infinity : path[came[tag]]) + one);
    back.push(came);
  }
  const found = [best(path)];
  for (const came of back.reverse()) found.push(came[found.at(-1)]);
  return found.reverse();

  function barred(tag, from) {
    return inner[tag] && opens[from] !== parts[tag][1];
  }
}

/** The best span of the context, or none where a window's [CLS] speaks for that (Devlin et al. 2018, section 4.3). */
function answer(windows, row, labels, settings) {
  const { context } = row;
  let listed = spans(windows, context, settings);
  const threshold = settings.null_threshold === undefined ? 0 : settings.null_threshold;
  let none = false;
  if (threshold !== null) {
    const logit = Math.min(...windows.map(({ outputs }) => outputs.start_logits.data[0] + outputs.end_logits.data[0]));
    none = !listed.length || logit - listed[0].logit > threshold;
    listed = [...listed, { logit, start: null, end: null }].sort(byLogit);
  }
  if (!listed.length) return { answer: "", start: null, end: null, score: 0, n_best: [] };
  const shares = softmax(listed.map((span) => span.logit));
  const told = listed.map(({ start, end }, i) => {
    return { answer: start === null ? "" : context.slice(start, end), start, end, score: shares[i] };
  });
  return { ...told.find((span) => (span.start === null) === none), n_best: told };
}

/** The best different spans of all windows, best first. */
function spans(windows, context, settings) {
  const found = new Map();
  for (const { outputs, align } of windows) {
    for (const { logit, first, last } of largestSums(outputs, align, settings)) {
      const [start, end] = trimmed(context, align.offsets[first][0], align.offsets[last][1]);
      const before = found.get(`${start} ${end}`);
      if (start < end && !(before?.logit >= logit)) found.set(`${start} ${end}`, { logit, start, end });
    }
  }
  const order = (one, other) => byLogit(one, other) || one.start - other.start || one.end - other.end;
  return [...found.values()].sort(order).slice(0, settings.n_best);
}

/** The `n_best` spans of a window whose start and end logits have the largest sums, earlier ones first among equals. */
function largestSums(outputs, align, settings) {
  const count = align.offsets.length;
  const [starts, ends] = ["start_logits", "end_logits"].map((name) =>
    outputs[name].data.subarray(align.first, align.first + count),
  );
  const kept = [];
  for (let first = 0; first < count; first++) {
    for (let last = first; last < Math.min(count, first + settings.max_answer_tokens); last++) {
      const logit = starts[first] + ends[last];
      if (kept.length === settings.n_best && logit <= kept.at(-1).logit) continue;
      let at = kept.length;
      while (at > 0 && kept[at - 1].logit < logit) at--;
      kept.splice(at, 0, { logit, first, last });
      kept.length = Math.min(kept.length, settings.n_best);
    }
  }
  return kept;
}
