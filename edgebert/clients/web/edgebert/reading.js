/** What the model reads of a row, by task: windows of tokens, and what decoding must know of them. */
import { TextError } from "./errors.js";
import { isSpace, texts, trimmed, wellFormed } from "./text.js";

/**
 * @typedef {object} Window  `encoding` of the tokenizer and `align`, the task's own knowledge of its tokens
 * @typedef {(row: object, tokenizer: import("./tokenizer.js").Tokenizer, decoding: object) => Window[]} Windows
 */

/** @type {Record<string, Windows>} Each throws TextError for a row that cannot be read. */
export const WINDOWS = {
  "text-classification": (row, tokenizer) => one(tokenizer.encode(...texts(row, ["text"]))),
  "sentence-pairs": (row, tokenizer) => one(tokenizer.encode(...texts(row, ["text", "text_pair"]))),
  regression,
  "feature-extraction": vectors,
  "token-classification": entities,
  "question-answering": answers,
};

/** Columns of each task's row, and whether a text alone is a row. */
export const COLUMNS = {
  "text-classification": ["text"],
  "sentence-pairs": ["text", "text_pair"],
  regression: ["text", "text_pair"],
  "feature-extraction": ["text", "text_pair"],
  "token-classification": ["text", "tokens"],
  "question-answering": ["question", "context"],
};
const NO_QUESTION = new Set(["sentence-pairs", "question-answering"]); // a text alone is none

/** A text, or an object with the task's columns, as such an object. Throws TextError. */
export function rowOf(given, task) {
  if (typeof given !== "string") {
    if (given === null || typeof given !== "object") throw new TextError("a row is a text, or an object of texts");
    return given;
  }
  if (NO_QUESTION.has(task)) {
    throw new TextError(`is plain text; ${task} reads ${COLUMNS[task].join(" and ")}: give an object`);
  }
  return { text: given };
}

function one(encoding) {
  return [{ encoding, align: {} }];
}

function regression(row, tokenizer, decoding) {
  const [text] = texts(row, ["text"]);
  if (!decoding.pairs && row.text_pair !== undefined) throw new TextError("text_pair is there; texts alone are read");
  return one(tokenizer.encode(text, decoding.pairs ? wellFormed(row.text_pair, "text_pair") : null));
}

function vectors(row, tokenizer, decoding) {
  const prefixes = { text: decoding.query_prefix ?? "", text_pair: decoding.passage_prefix ?? "" };
  const given = Object.keys(prefixes).filter((column) => column in row);
  return (given.length ? given : ["text"]).map((column) => ({
    encoding: tokenizer.encode(prefixes[column] + wellFormed(row[column], column)),
    align: { column },
  }));
}

function answers(row, tokenizer, decoding) {
  const [question, context] = texts(row, ["question", "context"]);
  return tokenizer.encodeWindows(context, decoding.doc_stride, question).map((encoding) => {
    const first = encoding.sequences.indexOf(1);
    const offsets = encoding.offsets.filter((_, i) => encoding.sequences[i] === 1);
    return { encoding, align: { first: Math.max(0, first), offsets } };
  });
}

/** The text of a row that may be given as words; those are joined by single spaces. Throws TextError. */
export function textOf(row) {
  if ("text" in row || !("tokens" in row)) return wellFormed(row.text, "text");
  if (!Array.isArray(row.tokens) || !row.tokens.length) throw new TextError("tokens must be a list of words");
  row.tokens.forEach((token, i) => {
    const blank = typeof token === "string" && [...token].every((character) => isSpace(character));
    if (!blank) wellFormed(token, `tokens[${i}]`); // real data has blank ones
  });
  return wellFormed(row.tokens.join(" "), "tokens together");
}

function entities(row, tokenizer, decoding) {
  const text = textOf(row);
  const encodings = tokenizer.encodeWindows(text, decoding.doc_stride);
  const words = wordsOf(text, encodings, tokenizer);
  return encodings.map((encoding) => {
    const first = new Map();
    for (const [place, start] of pieces(text, encoding)) if (!first.has(start)) first.set(start, place);
    const here = words.filter(([start]) => first.has(start));
    return { encoding, align: { words: here.map(([start, end]) => [first.get(start), start, end]) } };
  });
}

/** [start, end] of the words of a text: parted by the tokenizer, and at punctuation and symbols but underscores. */
function wordsOf(text, encodings, tokenizer) {
  const words = [];
  let [read, before] = [0, null];
  for (const encoding of encodings) {
    for (const [place, start, end] of pieces(text, encoding)) {
      if (end <= read) continue; // in the window before too, or one of several pieces of one character
      const last = words.at(-1);
      const whole = encoding.words[place] === before;
      if (last !== undefined && goesOn(around(text, start), start === last[1], whole, tokenizer)) last[1] = end;
      else words.push([start, end]);
      [read, before] = [end, encoding.words[place]];
    }
  }
  return words;
}

/** [place among the tokens, start, end] of the pieces of a window that are more than white space. */
function pieces(text, encoding) {
  const found = [];
  encoding.offsets.forEach((offset, place) => {
    const [start, end] = trimmed(text, ...offset);
    if (encoding.sequences[place] !== null && start < end) found.push([place, start, end]);
  });
  return found;
}

/** The characters that meet at a place. */
function around(text, place) {
  const before = Array.from(text.slice(Math.max(0, place - 2), place)).at(-1) ?? "";
  return before + String.fromCodePoint(text.codePointAt(place));
}

/** Whether a piece goes on with the word before it, `whole` to the splitter; they meet between `beside`. */
function goesOn(beside, touches, whole, tokenizer) {
  return (touches && beside.includes("_")) || (whole && !tokenizer.hasSign(beside));
}
