/**
 * The model's tokenizer, token for token the same, from `tokenizer.bin` and `vocab.txt`.
 *
 * Special tokens that stand in a text are themselves. Texts are cut to `maxTokens`, [CLS] and [SEP] among them; of
 * a pair the longer text gives way first. Offsets are UTF-16 code units.
 */
import { Characters, Ranges } from "./characters.js";
import { BundleError } from "./errors.js";
import * as pieces from "./pieces.js";
import { Reader } from "./reader.js";
import { isSpace } from "./text.js";

const [LSTRIP, RSTRIP, WHOLE_WORD] = [1, 2, 4];
const WORD_CHARACTER = /[\p{L}\p{N}_]/u;

/**
 * @typedef {object} Encoding  one window
 * @property {number[]} ids  token ids
 * @property {number[]} types  token type ids
 * @property {boolean} truncated  whether its text was cut; of windows, whether the question was
 * @property {[number, number][]} [offsets]  where in its text each token is
 * @property {(number | null)[]} [words]  the word that each token belongs to; null for special ones
 * @property {(number | null)[]} [sequences]  0 for tokens of the first text, 1 of the second, null for special ones
 */

export class Tokenizer {
  /**
   * @param {Uint8Array} table  tokenizer.bin
   * @param {string} vocabulary  vocab.txt
   * @param {number} maxTokens  of a window
   * Throws BundleError for files that are not a tokenizer's.
   */
  constructor(table, vocabulary, maxTokens) {
    this.maxTokens = maxTokens;
    try {
      this.#read(new Reader(table), vocabulary.split("\n"));
    } catch (error) {
      if (error instanceof RangeError || error instanceof TypeError) {
        throw new BundleError(`tokenizer.bin or vocab.txt is cut short, or damaged: ${error.message}`);
      }
      throw error;
    }
  }

  #read(reader, lines) {
    if (lines.pop() !== "") throw new RangeError("vocab.txt has no end");
    const kind = reader.number();
    [this.cls, this.sep] = [reader.number(), reader.number()];
    const unknown = reader.number();
    this.second = reader.number();
    this.added = new Map();
    for (let left = reader.number(); left > 0; left--) {
      const [text, number, flags] = [reader.text(), reader.number(), reader.number()];
      if (text === "" || number > lines.length + 0xffff) throw new RangeError("an added token that is none");
      this.added.set(text, { number, flags });
    }
    const longestFirst = [...this.added.keys()].sort((one, other) => other.length - one.length);
    const escaped = longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|\/-]/g, "\\$&"));
    this.special = escaped.length ? new RegExp(escaped.join("|"), "g") : null;
    this.characters = new Characters(reader);
    this.model = pieces.opened(reader, kind, lines, unknown);
    this.signs = new Ranges(reader);
    if (reader.at !== reader.data.length) throw new RangeError("more than a table");
    this.pieces = [...lines];
    for (const [text, { number }] of this.added) this.pieces[number] = text;
    for (const number of [this.cls, this.sep, unknown]) {
      if (number >= this.pieces.length) throw new RangeError("a special token without a piece");
    }
  }

  /** Whether a text holds a punctuation mark or a symbol. */
  hasSign(text) {
    return Array.from(text).some((one) => this.signs.at(one.codePointAt(0)) !== undefined);
  }

  /** @returns {number[]} the first `most` tokens of a text, without special ones around it. */
  ids(text, most = Infinity) {
    const found = [];
    for (const { begin, end, number } of this.#parts(text)) {
      if (number !== null) {
        found.push(number);
      } else {
        for (const word of this.characters.words(text.slice(begin, end))) {
          for (const one of this.model.numbers(word)) found.push(one);
          if (found.length >= most) break;
        }
      }
      if (found.length >= most) return found.slice(0, most);
    }
    return found;
  }

  /** @returns {Encoding} the tokens of a text, or of a pair of texts. */
  encode(text, pair = null) {
    const room = this.maxTokens - (pair === null ? 2 : 3);
    if (pair === null) {
      const found = this.ids(text, room + 1);
      return { ...this.#around(found.slice(0, room)), truncated: found.length > room };
    }
    const [first, second] = [this.ids(text), this.ids(pair)]; // whole: of two that are too long, the longer gets more
    const [keep, also] = kept(first.length, second.length, room);
    const truncated = keep + also < first.length + second.length;
    return { ...this.#around(first.slice(0, keep), second.slice(0, also)), truncated };
  }

  /**
   * The tokens of a text of any length, in as many windows as it takes, each with the question before it.
   *
   * Neighbours share `stride` tokens of the text, but no more than half of what a window holds of it. A question of
   * more than half a window is cut, which alone is told as `truncated`.
   *
   * @returns {Encoding[]}
   */
  encodeWindows(text, stride, question = null) {
    const room = this.maxTokens - (question === null ? 2 : 3);
    const half = Math.floor(room / 2);
    let asked = question === null ? null : this.placed(question);
    let truncated = false;
    while (asked !== null && asked.length > half) {
      question = question.slice(0, asked[half].begin);
      asked = this.placed(question);
      truncated = true;
    }
    const held = room - (asked === null ? 0 : asked.length);
    const found = this.placed(text);
    const step = held - Math.min(stride, Math.floor(held / 2));
    const windows = [];
    for (let start = 0; !windows.length || start - step + held < found.length; start += step) {
      windows.push({ ...this.#window(asked, found.slice(start, start + held)), truncated });
    }
    return windows;
  }

  /**
   * All tokens of a text with their places, without special ones around it.
   *
   * @returns {{number: number, begin: number, end: number, word: number}[]}
   */
  placed(text) {
    const found = [];
    let word = 0;
    for (const { begin, end, number } of this.#parts(text)) {
      if (number !== null) {
        found.push({ number, begin, end, word: word++ });
        continue;
      }
      for (const [spelled, places] of this.characters.placed(text.slice(begin, end))) {
        for (const [piece, first, behind] of this.model.cut(spelled)) {
          const last = begin + places[Math.max(first, behind - 1)];
          const width = text.codePointAt(last) > 0xffff ? 2 : 1;
          found.push({ number: piece, begin: begin + places[first], end: last + width, word });
        }
        word++;
      }
    }
    return found;
  }

  /** The text between added tokens, and those, which have a number. */
  #parts(text) {
    const found = [];
    let behind = 0;
    for (const match of this.special === null ? [] : text.matchAll(this.special)) {
      const hit = this.added.get(match[0]);
      let [begin, end] = [match.index, match.index + match[0].length];
      if (hit.flags & WHOLE_WORD && inside(text, begin, end)) continue;
      if (hit.flags & LSTRIP) while (begin > behind && isSpace(text[begin - 1], false)) begin--;
      if (hit.flags & RSTRIP) while (end < text.length && isSpace(text[end], false)) end++;
      if (behind < begin) found.push({ begin: behind, end: begin, number: null });
      found.push({ begin, end, number: hit.number });
      behind = end;
    }
    if (behind < text.length) found.push({ begin: behind, end: text.length, number: null });
    return found;
  }

  #window(asked, found) {
    const parts = asked === null ? [found] : [asked, found];
    const numbers = parts.map((part) => part.map((one) => one.number));
    const [offsets, words, sequences] = [[[0, 0]], [null], [null]];
    parts.forEach((part, sequence) => {
      for (const one of part) {
        offsets.push([one.begin, one.end]);
        words.push(one.word);
        sequences.push(sequence);
      }
      offsets.push([0, 0]);
      words.push(null);
      sequences.push(null);
    });
    return { ...this.#around(...numbers), offsets, words, sequences };
  }

  /** Ids and types of [CLS] text [SEP], or [CLS] text [SEP] second [SEP]. */
  #around(first, second = null) {
    const ids = [this.cls, ...first, this.sep];
    const types = ids.map(() => 0);
    if (second !== null) {
      ids.push(...second, this.sep);
      types.push(...second.map(() => this.second), this.second);
    }
    return { ids, types };
  }
}

/** Whether a letter, a digit or an underscore touches a part of a text. */
function inside(text, begin, end) {
  const before = Array.from(text.slice(Math.max(0, begin - 2), begin)).at(-1) ?? "";
  const behind = end < text.length ? String.fromCodePoint(text.codePointAt(end)) : "";
  return WORD_CHARACTER.test(before) || WORD_CHARACTER.test(behind);
}

/** How many tokens of two texts are kept where both must fit: the shorter whole, if it takes half at most. */
function kept(first, second, room) {
  if (first + second <= room) return [first, second];
  let short = Math.min(first, second);
  let long = short > room ? short : Math.max(short, room - short);
  if (short + long > room) [short, long] = [Math.floor(room / 2), Math.ceil(room / 2)];
  return first > second ? [long, short] : [short, long];
}
