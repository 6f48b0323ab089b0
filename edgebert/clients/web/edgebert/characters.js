/**
 * What a tokenizer's normalizer and splitter make of text, code point by code point.
 *
 * The table was filled by the model's own tokenizer: nothing of the platform's Unicode data is asked. Places are
 * those of JavaScript's strings, UTF-16 code units.
 */
import { signed } from "./reader.js";

const [WORD, SPACE, ALONE, MARK] = [0, 1, 2, 3]; // what a character is to the splitter; marks may change places
const [IS_SPACE, IS_ALONE, DROPPED, BREAKS, SHIFTED, SPELLED, HANGUL, IS_MARK] = [0, 1, 2, 3, 4, 5, 6, 7];
const NO_OUTPUT = [];
const ODD = {}; // a character that the plain way of splitting does not know

/** Ranges of code points, ascending, none of which touches another's; `payload` reads what else one has. */
export class Ranges {
  constructor(reader, payload = () => ({})) {
    let behind = 0;
    this.ranges = repeated(reader, () => {
      const start = behind + reader.number();
      behind = start + reader.number() + 1;
      if (behind > 0x110000) throw new RangeError("a range beyond Unicode");
      return { start, end: behind, ...payload(start, behind) };
    });
  }

  /** The range that holds a code point; undefined where none does. */
  at(code) {
    let [low, high] = [0, this.ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle].end <= code) low = middle + 1;
      else high = middle;
    }
    const found = this.ranges[low];
    return found !== undefined && found.start <= code ? found : undefined;
  }
}

export class Characters {
  /** @param {import("./reader.js").Reader} reader */
  constructor(reader) {
    this.replaced = repeated(reader, () => [reader.text(), reader.text()]);
    this.swallowed = new Map();
    this.odd = new Set();
    repeated(reader, () => {
      const [first, second] = [reader.number(), reader.number()];
      if (!this.swallowed.has(first)) this.swallowed.set(first, new Set());
      this.swallowed.get(first).add(second);
      this.odd.add(first);
    });
    this.ranges = new Ranges(reader, (start, end) => this.#range(reader, start, end));
    this.plain = new Map(); // code point -> its outputs as text, spaces around what stands alone; or ODD
  }

  #range(reader, start, end) {
    const kind = reader.number();
    let payload = null;
    if (kind === IS_ALONE || kind === SHIFTED) {
      payload = reader.signed();
      String.fromCodePoint(start + payload, end - 1 + payload); // throws RangeError beyond Unicode
    } else if (kind === IS_MARK) {
      payload = reader.number();
      for (let code = start; code < end; code++) this.odd.add(code);
    } else if (kind === SPELLED) {
      payload = [];
      for (let code = start; code < end; code++) {
        payload.push(
          repeated(reader, () => {
            const packed = reader.number();
            const what = packed % 4;
            if (what === MARK) this.odd.add(code);
            return [String.fromCodePoint(code + signed((packed - what) / 4)), what];
          }),
        );
      }
    } else if (kind > IS_MARK || (kind === HANGUL && (start < 0xac00 || end > 0xd7a4))) {
      throw new RangeError("a range of an unknown kind");
    }
    return { kind, payload };
  }

  /** @returns {string[]} the normalized words of a text. */
  words(text) {
    if (this.replaced.every(([pattern]) => !text.includes(pattern))) {
      const found = this.#plainly(text);
      if (found !== null) return found;
    }
    return this.placed(text).map(([word]) => word);
  }

  /** The words of a text without marks and pairs that depend on their neighbours; null where there are some. */
  #plainly(text) {
    let spelled = "";
    for (const character of text) {
      const code = character.codePointAt(0);
      let output = this.plain.get(code);
      if (output === undefined) {
        output = this.odd.has(code)
          ? ODD
          : this.#outputs(character)
              .outputs.map(([one, what]) => (what === ALONE ? ` ${one} ` : one))
              .join("");
        this.plain.set(code, output);
      }
      if (output === ODD) return null;
      spelled += output;
    }
    return spelled.split(" ").filter((word) => word !== "");
  }

  /**
   * The normalized words of a text, with the places that their code units come from.
   *
   * @returns {[string, number[]][]}
   */
  placed(text) {
    const found = [];
    let word = "";
    let places = [];
    let marks = [];
    const flush = () => {
      marks.sort((one, other) => one[0] - other[0]);
      for (const [, character, place] of marks) add(character, place);
      marks = [];
    };
    const add = (character, place) => {
      word += character;
      for (let i = 0; i < character.length; i++) places.push(place);
    };
    const end = () => {
      flush();
      if (word) found.push([word, places]);
      [word, places] = ["", []];
    };
    let before = -1;
    for (const [character, place] of this.#read(text)) {
      const { kind, outputs } = this.#outputs(character);
      if (kind === DROPPED) continue;
      const code = character.codePointAt(0);
      const swallowed = this.swallowed.get(before)?.has(code);
      before = code;
      if (swallowed) continue;
      if (kind === BREAKS) flush();
      for (const [output, what] of outputs) {
        if (what === MARK) {
          marks.push([this.ranges.at(output.codePointAt(0))?.payload ?? 0, output, place]);
          continue;
        }
        flush();
        if (what !== WORD) end();
        if (what !== SPACE) add(output, place);
        if (what === ALONE) end();
      }
    }
    end();
    return found;
  }

  /** The characters of a text and their places, after what is replaced before all else. */
  #read(text) {
    let read = [];
    for (let at = 0; at < text.length; ) {
      const character = String.fromCodePoint(text.codePointAt(at));
      read.push([character, at]);
      at += character.length;
    }
    for (const [pattern, other] of this.replaced) {
      const wanted = Array.from(pattern);
      const made = [];
      for (let at = 0; at < read.length; ) {
        if (wanted.length && wanted.every((character, i) => read[at + i]?.[0] === character)) {
          const last = read[at + wanted.length - 1][1];
          for (const character of other) made.push([character, last]);
          at += wanted.length;
        } else {
          made.push(read[at++]);
        }
      }
      read = made;
    }
    return read;
  }

  /** What its range is, and what becomes of a character: [character, what it is to the splitter] each. */
  #outputs(character) {
    const code = character.codePointAt(0);
    const range = this.ranges.at(code);
    if (range === undefined) return { kind: SHIFTED, outputs: [[character, WORD]] };
    const { kind, payload, start } = range;
    let outputs = NO_OUTPUT;
    if (kind === IS_SPACE) outputs = [[" ", SPACE]];
    else if (kind === IS_ALONE) outputs = [[String.fromCodePoint(code + payload), ALONE]];
    else if (kind === SHIFTED) outputs = [[String.fromCodePoint(code + payload), WORD]];
    else if (kind === SPELLED) outputs = payload[code - start];
    else if (kind === HANGUL) outputs = letters(code).map((one) => [one, WORD]);
    else if (kind === IS_MARK) outputs = [[character, MARK]];
    return { kind, outputs };
  }
}

/** The letters of a Hangul syllable (Unicode, section 3.12). */
function letters(code) {
  const number = code - 0xac00;
  const [vowels, tails] = [21, 28];
  const found = [0x1100 + Math.floor(number / (vowels * tails)), 0x1161 + Math.floor((number % (vowels * tails)) / tails)];
  if (number % tails) found.push(0x11a7 + (number % tails));
  return found.map((one) => String.fromCodePoint(one));
}

/** What `read` gives as often as the count says that stands next. */
function repeated(reader, read) {
  const found = [];
  for (let left = reader.number(); left > 0; left--) found.push(read());
  return found;
}
